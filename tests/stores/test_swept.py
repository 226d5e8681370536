"""Counters where a primary whose clock was ahead had taken seconds out that are still to come."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from guarita.deadline import Deadline
from guarita.stores.base import Redeemed, Status, Store

from .conftest import Servers, settings_for
from .test_contract import create, redeem


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
    counters = settings.sessions.stats_key
    swept_s = int(time.time()) + 300
    with installation.client(node) as client:
        for second in map(int, client.hkeys(f"{counters}:expiring")):
            if second <= swept_s:
                gone = int(client.hget(f"{counters}:expiring", str(second)))
                client.hincrby(counters, "live", -gone)
                client.hdel(f"{counters}:expiring", str(second))
        client.hset(counters, "swept", swept_s)
    assert redeem(store, deadline, id, session_ttl_s=session_s) is Redeemed.ADMITTED
    assert store.status(deadline=deadline) == Status(live, used, 1, 1)
    assert store.revoke(id, tenant=None, deadline=deadline)
    assert store.status(deadline=deadline) == Status(0, 0, 1, 1)
