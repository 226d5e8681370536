"""The life of a ticket, on the memory store with a clock of its own."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from guarita.deadline import Deadline
from guarita.errors import Conflict, LimitReached, Malformed, Reason, Rejected
from guarita.ids import TicketId
from guarita.sessions import Policy, Sessions, parse_attempt
from guarita.stores.base import Grant, Record
from guarita.stores.cache import Cache
from guarita.stores.memory import MemoryStore

ATTEMPT = "attempt-0001"
GRANT = Grant(tenant="acme", origin="https://acme.example", subject="ana", claims='{"plan":"gold"}')


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_700_000_000.25

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def deadline() -> Deadline:
    return Deadline.after(10)


def sessions_of(clock: Clock, **policy: object) -> Sessions:
    chosen = replace(Policy(secret=b"s" * 32), **policy)  # type: ignore[arg-type]
    return Sessions(MemoryStore(clock), chosen, now=clock)


def refused(sessions: Sessions, id: TicketId, attempt: str, deadline: Deadline) -> Reason:
    with pytest.raises(Rejected) as caught:
        sessions.redeem(id, attempt, deadline=deadline)
    return caught.value.reason


def test_a_redeemed_ticket_becomes_a_session_that_its_token_proves(clock, deadline):
    sessions = sessions_of(clock)
    id = sessions.create(GRANT, deadline=deadline)
    admission = sessions.redeem(id, ATTEMPT, deadline=deadline)
    session = sessions.verify(admission.token, deadline=deadline)
    assert session.id == id
    assert session.subject == "ana"
    assert session.claims == {"plan": "gold"}
    assert not admission.replayed


def test_the_token_is_a_new_secret_that_the_ticket_does_not_give_away(clock, deadline):
    sessions = sessions_of(clock)
    id = sessions.create(GRANT, deadline=deadline)
    token = sessions.redeem(id, ATTEMPT, deadline=deadline).token
    assert str(id.uuid) not in token
    record = sessions.store.read(id.uuid, deadline=deadline)
    assert record is not None
    assert token.encode() not in (record.token_sha256, record.attempt_sha256)
    assert ATTEMPT.encode() not in repr(record).encode()


def test_the_same_attempt_gets_the_same_result_inside_the_replay_window(clock, deadline):
    sessions = sessions_of(clock)
    id = sessions.create(GRANT, deadline=deadline)
    first = sessions.redeem(id, ATTEMPT, deadline=deadline)
    clock.now_s += 60
    again = sessions.redeem(id, ATTEMPT, deadline=deadline)
    assert (again.token, again.session) == (first.token, first.session)
    assert again.replayed


def test_the_same_attempt_after_the_replay_window_is_refused(clock, deadline):
    sessions = sessions_of(clock)
    id = sessions.create(GRANT, deadline=deadline)
    sessions.redeem(id, ATTEMPT, deadline=deadline)
    clock.now_s += 61
    assert refused(sessions, id, ATTEMPT, deadline) is Reason.USED


def test_another_attempt_is_refused_and_changes_nothing(clock, deadline):
    sessions = sessions_of(clock)
    id = sessions.create(GRANT, deadline=deadline)
    token = sessions.redeem(id, ATTEMPT, deadline=deadline).token
    assert refused(sessions, id, "attempt-0002", deadline) is Reason.USED
    assert sessions.verify(token, deadline=deadline).id == id


def test_another_attempt_revokes_the_session_where_the_setting_says_so(clock, deadline):
    sessions = sessions_of(clock, revoke_on_replay=True)
    id = sessions.create(GRANT, deadline=deadline)
    token = sessions.redeem(id, ATTEMPT, deadline=deadline).token
    assert refused(sessions, id, "attempt-0002", deadline) is Reason.USED
    with pytest.raises(Rejected, match="revoked"):
        sessions.verify(token, deadline=deadline)


def test_a_redeem_without_an_attempt_can_not_be_repeated(clock, deadline):
    sessions = sessions_of(clock)
    id = sessions.create(Grant(), deadline=deadline)
    sessions.redeem(id, None, deadline=deadline)
    with pytest.raises(Rejected, match="used"):
        sessions.redeem(id, None, deadline=deadline)


def test_an_expired_ticket_is_refused_and_a_session_ends_by_its_own_lifetime(clock, deadline):
    sessions = sessions_of(clock, ticket_ttl_s=60, session_ttl_s=600)
    late = sessions.create(Grant(), deadline=deadline)
    id = sessions.create(Grant(), deadline=deadline)
    token = sessions.redeem(id, ATTEMPT, deadline=deadline).token
    clock.now_s += 62
    assert refused(sessions, late, ATTEMPT, deadline) is Reason.UNKNOWN
    assert sessions.verify(token, deadline=deadline).id == id
    clock.now_s += 540
    with pytest.raises(Rejected):
        sessions.verify(token, deadline=deadline)


def test_a_session_shorter_than_its_ticket_leaves_a_tombstone(clock, deadline):
    sessions = sessions_of(clock, ticket_ttl_s=600, session_ttl_s=10)
    id = sessions.create(Grant(), deadline=deadline)
    token = sessions.redeem(id, ATTEMPT, deadline=deadline).token
    clock.now_s += 12
    with pytest.raises(Rejected, match="expired"):
        sessions.verify(token, deadline=deadline)
    assert refused(sessions, id, "attempt-0002", deadline) is Reason.USED


@pytest.mark.parametrize("change", ["other-token", "flipped", "", "a", "é" * 64, "A" * 64])
def test_a_token_that_was_not_issued_proves_nothing(clock, deadline, change):
    sessions = sessions_of(clock)
    id = sessions.create(Grant(), deadline=deadline)
    token = sessions.redeem(id, ATTEMPT, deadline=deadline).token
    forged = token[:-1] + ("A" if token[-1] != "A" else "B") if change == "flipped" else change
    with pytest.raises(Rejected):
        sessions.verify(forged, deadline=deadline)


def test_a_token_of_a_ticket_that_was_not_redeemed_proves_nothing(clock, deadline):
    sessions = sessions_of(clock)
    redeemed = sessions.create(Grant(), deadline=deadline)
    fresh = sessions.create(Grant(), deadline=deadline)
    sessions.redeem(redeemed, ATTEMPT, deadline=deadline)
    with pytest.raises(Rejected, match="bad_token"):
        sessions.verify(_token_like(fresh), deadline=deadline)


def _token_like(id: TicketId) -> str:
    from base64 import urlsafe_b64encode

    return urlsafe_b64encode(id.uuid.bytes + bytes(32)).decode()


def test_the_same_idempotency_key_returns_the_same_ticket(clock, deadline):
    sessions = sessions_of(clock)
    first = sessions.create(GRANT, idempotency_key="order-1", deadline=deadline)
    assert sessions.create(GRANT, idempotency_key="order-1", deadline=deadline) == first
    assert sessions.status(deadline=deadline).total_created == 1
    assert first.uuid.version == 4


def test_an_idempotency_key_is_scoped_to_its_tenant(clock, deadline):
    sessions = sessions_of(clock)
    first = sessions.create(Grant(tenant="a"), idempotency_key="k", deadline=deadline)
    assert sessions.create(Grant(tenant="b"), idempotency_key="k", deadline=deadline) != first


def test_an_idempotency_key_with_other_contents_is_a_conflict(clock, deadline):
    sessions = sessions_of(clock)
    sessions.create(GRANT, idempotency_key="order-1", deadline=deadline)
    with pytest.raises(Conflict):
        sessions.create(Grant(tenant="acme"), idempotency_key="order-1", deadline=deadline)


def test_a_revoked_subject_loses_what_it_has_and_keeps_what_it_gets_later(clock, deadline):
    sessions = sessions_of(clock)
    old = sessions.create(GRANT, deadline=deadline)
    token = sessions.redeem(old, ATTEMPT, deadline=deadline).token
    sessions.revoke_subject("ana", tenant="acme", deadline=deadline)
    with pytest.raises(Rejected, match="revoked"):
        sessions.verify(token, deadline=deadline)
    new = sessions.create(GRANT, deadline=deadline)
    assert sessions.redeem(new, ATTEMPT, deadline=deadline)


class CountingStore(MemoryStore):
    """Counts how often it is asked for a record."""

    reads = 0

    def read(self, id: UUID, *, deadline: Deadline) -> Record | None:
        self.reads += 1
        return MemoryStore.read(self, id, deadline=deadline)


class OpenEar:
    ended = False


def with_cache(clock: Clock, **policy: object) -> tuple[Sessions, CountingStore]:
    cache = Cache(age_s=60, most=10, ears=1)
    cache.hears(OpenEar())
    store = CountingStore(clock)
    chosen = replace(Policy(secret=b"s" * 32), **policy)  # type: ignore[arg-type]
    return Sessions(store, chosen, cache=cache, now=clock), store


def test_a_session_that_was_verified_a_moment_ago_is_not_asked_for_again(clock, deadline):
    sessions, store = with_cache(clock)
    id = sessions.create(GRANT, deadline=deadline)
    token = sessions.redeem(id, ATTEMPT, deadline=deadline).token
    first = sessions.verify(token, deadline=deadline)
    assert sessions.verify(token, deadline=deadline) is first
    assert store.reads == 1


def test_a_wrong_token_is_refused_although_its_session_is_remembered(clock, deadline):
    sessions, _ = with_cache(clock)
    id = sessions.create(GRANT, deadline=deadline)
    sessions.verify(sessions.redeem(id, ATTEMPT, deadline=deadline).token, deadline=deadline)
    with pytest.raises(Rejected, match="bad_token"):
        sessions.verify(_token_like(id), deadline=deadline)


def test_a_remembered_session_ends_when_it_expires(clock, deadline):
    sessions, store = with_cache(clock, session_ttl_s=10)
    id = sessions.create(GRANT, deadline=deadline)
    token = sessions.redeem(id, ATTEMPT, deadline=deadline).token
    sessions.verify(token, deadline=deadline)
    clock.now_s += 11
    with pytest.raises(Rejected, match="expired"):
        sessions.verify(token, deadline=deadline)
    assert store.reads == 1


def test_what_is_refused_is_asked_for_each_time(clock, deadline):
    sessions, store = with_cache(clock)
    id = sessions.create(GRANT, deadline=deadline)
    token = sessions.redeem(id, ATTEMPT, deadline=deadline).token
    sessions.revoke(id, tenant=None, deadline=deadline)
    for _ in range(3):
        with pytest.raises(Rejected, match="revoked"):
            sessions.verify(token, deadline=deadline)
    assert store.reads == 3


def test_the_limit_refuses_and_leaves_nothing_behind(clock, deadline):
    sessions = sessions_of(clock, max_sessions=2)
    sessions.create(Grant(), deadline=deadline)
    sessions.create(Grant(), deadline=deadline)
    before = sessions.status(deadline=deadline)
    with pytest.raises(LimitReached):
        sessions.create(Grant(), deadline=deadline)
    assert sessions.status(deadline=deadline) == before


def test_ids_carry_the_region_and_come_back_from_text(clock, deadline):
    id = sessions_of(clock, region="eu-west").create(Grant(), deadline=deadline)
    assert str(id).startswith("eu-west.")
    assert TicketId.parse(str(id)) == id


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "00000000-0000-0000-0000-000000000000",
        "6F1B3C9E-8D2A-4C57-9E44-0A1B2C3D4E5F",
        "6f1b3c9e-8d2a-1c57-9e44-0a1b2c3d4e5f",
        "6f1b3c9e-8d2a-4c57-7e44-0a1b2c3d4e5f",
        "{6f1b3c9e-8d2a-4c57-9e44-0a1b2c3d4e5f}",
        "6f1b3c9e8d2a4c579e440a1b2c3d4e5f",
        "6f1b3c9e-8d2a-4c57-9e44-0a1b2c3d4e5f\n",
        "EU.6f1b3c9e-8d2a-4c57-9e44-0a1b2c3d4e5f",
        "-eu.6f1b3c9e-8d2a-4c57-9e44-0a1b2c3d4e5f",
        "a" * 10_000,
    ],
)
def test_only_the_canonical_spelling_of_an_id_is_taken(text):
    with pytest.raises(Malformed):
        TicketId.parse(text)


@pytest.mark.parametrize("text", ["", "short", "a" * 129, "nine\nlines", "olá mundo!"])
def test_only_a_printable_attempt_is_taken(text):
    with pytest.raises(Malformed):
        parse_attempt(text)


@pytest.mark.parametrize("field", ["tenant", "origin", "subject", "claims"])
def test_a_grant_takes_no_control_characters(field):
    with pytest.raises(Malformed, match=field):
        Grant(**{field: "a\nb"})
