"""What every store does, on memory and on real standalone, Sentinel and Cluster servers."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest

from guarita.deadline import Deadline
from guarita.stores.base import Created, Grant, Redeem, Redeemed, Status, Store

from .conftest import settings_for

GRANT = Grant("acme", "https://acme.example", "ana maria", '{"plan": "gold", "city": "São Paulo"}')


def create(store: Store, deadline: Deadline, grant: Grant = GRANT, ttl_s: int = 600) -> UUID:
    id = uuid4()
    assert store.create(id, grant, ttl_s=ttl_s, max_sessions=0, deadline=deadline) is Created.NEW
    return id


def redeem_of(id: UUID, attempt: int = 1, **changes: int) -> Redeem:
    return Redeem(
        id,
        attempt_sha256=attempt.to_bytes(32),
        token_sha256=(attempt + 1000).to_bytes(32),
        **{"session_ttl_s": 600, "replay_window_s": 60, **changes},
    )


def redeem(
    store: Store, deadline: Deadline, id: UUID, attempt: int = 1, **changes: int
) -> Redeemed:
    return store.redeem(redeem_of(id, attempt, **changes), deadline=deadline).outcome


def at_once(calls: int, act: Callable[[int], object]) -> list[object]:
    """All calls in threads that start together."""
    barrier = threading.Barrier(calls)

    def one(number: int) -> object:
        barrier.wait()
        return act(number)

    with ThreadPoolExecutor(calls) as executor:
        return list(executor.map(one, range(calls)))


def eventually(holds: Callable[[], bool], within_s: float = 10) -> None:
    until = Deadline.after(within_s)
    while not holds():
        assert not until.passed, "it did not come true in time"
        time.sleep(0.02)


def test_a_created_ticket_is_kept_as_it_was_given(store: Store, deadline: Deadline):
    id = create(store, deadline)
    record = store.read(id, deadline=deadline)
    assert record is not None
    assert (record.id, record.grant) == (id, GRANT)
    assert (record.used, record.iframe_opened, record.revoked) == (False, False, False)
    assert abs(record.created_at_ms - time.time() * 1000) < 5000
    lives_ms = record.ticket_expires_at_ms - record.created_at_ms
    assert 600_000 <= lives_ms <= 601_000


@pytest.mark.parametrize("grant", [Grant(), Grant(subject="s"), Grant(claims="{}"), GRANT])
def test_a_create_is_safe_to_repeat(store: Store, deadline: Deadline, grant: Grant):
    id = create(store, deadline, grant)
    before = store.read(id, deadline=deadline)
    again = store.create(id, grant, ttl_s=600, max_sessions=0, deadline=deadline)
    assert again is Created.REPEATED
    assert store.read(id, deadline=deadline) == before
    redeem(store, deadline, id)
    again = store.create(id, grant, ttl_s=600, max_sessions=0, deadline=deadline)
    assert again is Created.REPEATED
    assert store.status(deadline=deadline).total_created == 1


def test_the_same_id_with_another_grant_changes_nothing(store: Store, deadline: Deadline):
    id = create(store, deadline)
    other = store.create(id, Grant("else"), ttl_s=600, max_sessions=0, deadline=deadline)
    assert other is Created.CONFLICT
    record = store.read(id, deadline=deadline)
    assert record is not None
    assert record.grant == GRANT


def test_an_unknown_id_never_creates_anything(store: Store, deadline: Deadline):
    id = uuid4()
    before = store.status(deadline=deadline)
    assert store.read(id, deadline=deadline) is None
    assert store.open(id, deadline=deadline) is None
    assert redeem(store, deadline, id) is Redeemed.UNKNOWN
    assert store.revoke(id, tenant=None, deadline=deadline) is False
    assert store.read(id, deadline=deadline) is None
    assert store.status(deadline=deadline) == before == Status(0, 0, 0, 0)


@pytest.mark.parametrize("grant", [GRANT, Grant()])
def test_opening_is_noted_and_redeems_nothing(store: Store, deadline: Deadline, grant: Grant):
    id = create(store, deadline, grant)
    for _ in range(2):
        record = store.open(id, deadline=deadline)
        assert record is not None
        assert record.iframe_opened
        assert not record.used
    assert redeem(store, deadline, id) is Redeemed.ADMITTED
    record = store.read(id, deadline=deadline)
    assert record is not None
    assert record.iframe_opened
    assert record.grant == grant


@pytest.mark.parametrize("grant", [GRANT, Grant()])
def test_a_redeem_is_told_again_to_its_attempt_and_refused_to_others(
    store: Store, deadline: Deadline, grant: Grant
):
    id = create(store, deadline, grant)
    first = store.redeem(redeem_of(id), deadline=deadline)
    again = store.redeem(redeem_of(id), deadline=deadline)
    assert (first.outcome, again.outcome) == (Redeemed.ADMITTED, Redeemed.REPLAYED)
    assert first.record == again.record == store.read(id, deadline=deadline)
    assert redeem(store, deadline, id, attempt=2) is Redeemed.USED
    assert store.read(id, deadline=deadline) == first.record
    assert store.status(deadline=deadline) == Status(1, 1, 1, 1)


def test_the_same_attempt_with_another_token_is_refused(store: Store, deadline: Deadline):
    id = create(store, deadline)
    redeem(store, deadline, id)
    other = Redeem(id, (1).to_bytes(32), (7).to_bytes(32), 600, 60)
    assert store.redeem(other, deadline=deadline).outcome is Redeemed.USED


def test_an_attempt_that_asks_again_too_late_is_refused(store: Store, deadline: Deadline):
    id = create(store, deadline)
    redeem(store, deadline, id, replay_window_s=0)
    eventually(lambda: redeem(store, deadline, id, replay_window_s=0) is Redeemed.USED)


def test_another_attempt_revokes_where_it_is_told_to(store: Store, deadline: Deadline):
    id = create(store, deadline)
    redeem(store, deadline, id)
    harsh = Redeem(id, (2).to_bytes(32), (2).to_bytes(32), 600, 60, revoke_on_replay=True)
    assert store.redeem(harsh, deadline=deadline).outcome is Redeemed.USED
    assert redeem(store, deadline, id) is Redeemed.REVOKED
    assert store.status(deadline=deadline) == Status(0, 0, 1, 1)


@pytest.mark.parametrize("grant", [GRANT, Grant()])
def test_of_a_hundred_redeems_at_once_exactly_one_is_admitted(
    store: Store, deadline: Deadline, grant: Grant
):
    id = create(store, deadline, grant)
    outcomes = Counter(at_once(100, lambda number: redeem(store, deadline, id, number + 1)))
    assert outcomes == {Redeemed.ADMITTED: 1, Redeemed.USED: 99}
    assert store.status(deadline=deadline).total_used == 1


def test_one_attempt_sent_by_many_at_once_is_admitted_once(store: Store, deadline: Deadline):
    id = create(store, deadline)
    outcomes = Counter(at_once(20, lambda _: redeem(store, deadline, id)))
    assert outcomes == {Redeemed.ADMITTED: 1, Redeemed.REPLAYED: 19}


@pytest.mark.parametrize("grant", [GRANT, Grant()])
def test_a_revoked_ticket_is_refused_and_no_longer_counted(
    store: Store, deadline: Deadline, grant: Grant
):
    fresh, used = create(store, deadline, grant), create(store, deadline, grant)
    redeem(store, deadline, used)
    for id in (fresh, used, fresh, used):
        assert store.revoke(id, tenant=None, deadline=deadline)
        record = store.read(id, deadline=deadline)
        assert record is not None
        assert record.revoked
    assert redeem(store, deadline, fresh) is Redeemed.REVOKED
    assert redeem(store, deadline, used) is Redeemed.REVOKED
    assert store.status(deadline=deadline) == Status(0, 0, 2, 1)


@pytest.mark.parametrize("used", [False, True])
def test_a_tenant_revokes_only_its_own(store: Store, deadline: Deadline, used: bool):
    id = create(store, deadline)
    if used:
        redeem(store, deadline, id)
    for stranger in ("other", "", "acm", "acme2"):
        assert not store.revoke(id, tenant=stranger, deadline=deadline)
    record = store.read(id, deadline=deadline)
    assert record is not None
    assert not record.revoked
    assert store.revoke(id, tenant="acme", deadline=deadline)


def test_a_subject_loses_all_it_has_and_keeps_what_comes_later(store: Store, deadline: Deadline):
    fresh, used = create(store, deadline), create(store, deadline)
    redeem(store, deadline, used)
    neighbour = create(store, deadline, Grant("other", subject=GRANT.subject))
    store.revoke_subject("acme", GRANT.subject, ttl_s=1200, deadline=deadline)
    later = create(store, deadline)
    assert redeem(store, deadline, fresh) is Redeemed.REVOKED
    assert redeem(store, deadline, used) is Redeemed.REVOKED
    record = store.read(used, deadline=deadline)
    assert record is not None
    assert record.revoked
    assert redeem(store, deadline, later) is Redeemed.ADMITTED
    assert redeem(store, deadline, neighbour) is Redeemed.ADMITTED


def test_what_expires_is_gone_and_no_longer_counted(store: Store, deadline: Deadline):
    short = create(store, deadline, ttl_s=1)
    used = create(store, deadline, ttl_s=1)
    kept = create(store, deadline)
    redeem(store, deadline, used, session_ttl_s=1)
    eventually(lambda: store.status(deadline=deadline) == Status(1, 0, 3, 1))
    assert redeem(store, deadline, short) is Redeemed.UNKNOWN
    assert store.read(used, deadline=deadline) is None
    assert store.read(kept, deadline=deadline) is not None


def test_a_session_outlives_its_ticket(store: Store, deadline: Deadline):
    used = create(store, deadline, ttl_s=1)
    create(store, deadline, ttl_s=1)
    redeem(store, deadline, used, session_ttl_s=600)
    eventually(lambda: store.status(deadline=deadline) == Status(1, 1, 2, 1))
    record = store.read(used, deadline=deadline)
    assert record is not None
    assert record.session_expires_at_ms > record.ticket_expires_at_ms


def test_the_tombstone_of_a_short_session_stays_until_the_ticket_expires(
    store: Store, deadline: Deadline
):
    id = create(store, deadline)
    redeem(store, deadline, id, session_ttl_s=1)
    eventually(lambda: redeem(store, deadline, id) is Redeemed.EXPIRED)
    assert redeem(store, deadline, id, attempt=2) is Redeemed.USED


def test_the_limit_refuses_and_changes_nothing(store: Store, deadline: Deadline):
    for _ in range(3):
        create(store, deadline)
    id = uuid4()
    answer = store.create(id, GRANT, ttl_s=600, max_sessions=3, deadline=deadline)
    assert answer is Created.FULL
    assert store.read(id, deadline=deadline) is None
    assert store.status(deadline=deadline) == Status(3, 0, 3, 0)


def test_a_repeat_is_answered_at_the_limit_too(store: Store, deadline: Deadline):
    id = create(store, deadline)
    again = store.create(id, GRANT, ttl_s=600, max_sessions=1, deadline=deadline)
    assert again is Created.REPEATED


def test_what_is_revoked_or_expired_makes_room(store: Store, deadline: Deadline):
    revoked = create(store, deadline)
    create(store, deadline, ttl_s=1)

    def one_more() -> Created:
        return store.create(uuid4(), GRANT, ttl_s=600, max_sessions=2, deadline=deadline)

    assert one_more() is Created.FULL
    store.revoke(revoked, tenant=None, deadline=deadline)
    assert one_more() is Created.NEW
    eventually(lambda: one_more() is Created.NEW)
    assert one_more() is Created.FULL


def test_the_limit_holds_for_many_at_once(store: Store, topology: str, deadline: Deadline):
    def one(_: int) -> Created:
        return store.create(uuid4(), GRANT, ttl_s=600, max_sessions=10, deadline=deadline)

    new = Counter(at_once(40, one))[Created.NEW]
    # A Cluster adds up its nodes before the write: creates of the same moment may pass the limit.
    assert new == 10 or (topology == "cluster" and new > 10)
    assert store.status(deadline=deadline).total_sessions == new
    assert one(0) is Created.FULL


def test_two_installations_on_one_server_do_not_meet(servers, opened, topology, deadline):
    one, other = (opened(settings_for(servers.get(topology))) for _ in range(2))
    id = create(one, deadline)
    assert other.read(id, deadline=deadline) is None
    assert other.status(deadline=deadline) == Status(0, 0, 0, 0)


def test_a_ping_returns_where_the_store_takes_writes(store: Store, deadline: Deadline):
    store.ping(deadline=deadline)
