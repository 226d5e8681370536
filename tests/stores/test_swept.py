"""Counters where a primary whose clock was ahead had taken seconds out that are still to come."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import redis

from guarita.deadline import Deadline
from guarita.stores.base import Redeemed, Status, Store

from .conftest import Servers, settings_for
from .test_contract import create, redeem

ONE_USED = 2**26  # see lua/record.lua


def sweep_ahead(client: redis.Redis, counters: str, by_s: int) -> None:
    """As a primary does whose clock is ahead."""
    swept_s = int(time.time()) + by_s
    for field, number in client.hgetall(f"{counters}:expiring").items():
        if int(field) <= swept_s:
            used, live = divmod(int(number), ONE_USED)
            client.hincrby(counters, "gone", live)
            client.hincrby(counters, "used_gone", used)
            client.hdel(f"{counters}:expiring", field)
    client.hset(counters, "swept", swept_s)


@pytest.mark.parametrize(
    ("ticket_s", "session_s", "live", "used"),
    [
        (60, 60, 0, 0),  # both are over by that clock
        (60, 600, 1, 1),  # the ticket is; the session counts anew
        (600, 60, 1, 1),  # the record stays as long as the ticket
        (600, 900, 1, 1),
    ],
)
def test_a_second_that_was_swept_too_early_is_not_counted_twice(
    servers: Servers,
    opened: Callable[..., Store],
    deadline: Deadline,
    ticket_s: int,
    session_s: int,
    live: int,
    used: int,
) -> None:
    installation = servers.get("standalone")
    assert installation is not None
    settings = settings_for(installation)
    store, [node] = opened(settings), installation.nodes
    id = create(store, deadline, ttl_s=ticket_s)
    with installation.client(node) as client:
        sweep_ahead(client, settings.sessions.stats_key, 300)
    assert redeem(store, deadline, id, session_ttl_s=session_s) is Redeemed.ADMITTED
    assert store.status(deadline=deadline) == Status(live, used, 1, 1)
    assert store.revoke(id, tenant=None, deadline=deadline)
    assert store.status(deadline=deadline) == Status(0, 0, 1, 1)


def test_a_session_that_was_swept_too_early_is_not_taken_out_again(
    servers: Servers, opened: Callable[..., Store], deadline: Deadline
) -> None:
    installation = servers.get("standalone")
    assert installation is not None
    settings = settings_for(installation)
    store, [node] = opened(settings), installation.nodes
    used, fresh = (create(store, deadline, ttl_s=60) for _ in range(2))
    assert redeem(store, deadline, used, session_ttl_s=60) is Redeemed.ADMITTED
    with installation.client(node) as client:
        sweep_ahead(client, settings.sessions.stats_key, 300)
    assert store.status(deadline=deadline) == Status(0, 0, 2, 1)
    for id in (used, fresh):
        assert store.revoke(id, tenant=None, deadline=deadline)
    assert store.status(deadline=deadline) == Status(0, 0, 2, 1)
    create(store, deadline, ttl_s=60)
    assert store.status(deadline=deadline) == Status(0, 0, 3, 1)
    create(store, deadline, ttl_s=600)
    assert store.status(deadline=deadline) == Status(1, 0, 4, 1)


@pytest.mark.parametrize("behind_s", [3, 100_000])  # second by second, and by what there is
def test_what_is_over_is_taken_out_once_and_what_nobody_knows_is_left_alone(
    servers: Servers, opened: Callable[..., Store], deadline: Deadline, behind_s: int
) -> None:
    installation = servers.get("standalone")
    assert installation is not None
    settings = settings_for(installation)
    store, [node], counters = opened(settings), installation.nodes, settings.sessions.stats_key
    now_s = int(time.time())
    to_come = {str(now_s + each): 1 + ONE_USED for each in range(600, 620)}
    over = {str(now_s - 2): 3 + 2 * ONE_USED, "foreign": 7}
    totals = {"total_created": 23, "total_used": 22, "swept": now_s - behind_s}
    with installation.client(node) as client:
        client.hset(counters, mapping=totals)
        client.hset(f"{counters}:expiring", mapping={**to_come, **over})
        for _ in range(2):
            assert store.status(deadline=deadline) == Status(20, 20, 23, 22)
        left = client.hgetall(f"{counters}:expiring")
        assert left.keys() == {*to_come, "foreign"}
