"""A revoked session is refused everywhere: two processes' worth of sessions on one real store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from guarita.config import Settings
from guarita.deadline import Deadline
from guarita.errors import Reason, Rejected, StoreError
from guarita.ids import TicketId
from guarita.sessions import Policy, Sessions
from guarita.stores.base import Grant
from guarita.stores.cache import Cache
from guarita.stores.connect import new_cache, open_store

from .conftest import Servers, settings_for
from .test_contract import eventually
from .wire import Wire

GRANT = Grant("acme", subject="ana")
LONG_S = 60.0  # an age that no test waits for: what is refused sooner was dropped
POLICY = Policy(b"s" * 32, max_sessions=0)


class Process:
    """What one process of the service has: a store, a cache and the sessions over them."""

    def __init__(self, settings: Settings, policy: Policy = POLICY) -> None:
        self.cache: Cache = new_cache(settings.store, settings.sessions)
        self.store = open_store(settings.store, settings.sessions, cache=self.cache)
        self.sessions = Sessions(self.store, policy, cache=self.cache)

    def admit(self, grant: Grant = GRANT) -> tuple[TicketId, str]:
        """A new session and its token."""
        id = self.sessions.create(grant, deadline=Deadline.after(10))
        return id, self.sessions.redeem(id, "attempt-0001", deadline=Deadline.after(10)).token

    def accepts(self, token: str, deadline_s: float = 10) -> bool:
        try:
            self.sessions.verify(token, deadline=Deadline.after(deadline_s))
        except Rejected as exc:
            if exc.reason is not Reason.REVOKED:
                raise
            return False
        return True

    def remembers(self, id: TicketId) -> bool:
        return self.cache.get(id.uuid.bytes) is not None

    def come_to_remember(self, id: TicketId, token: str) -> None:
        """Verify until it is answered from the cache: once this process hears of revocations."""
        eventually(lambda: self.accepts(token) and self.remembers(id), within_s=20)


def with_cache(settings: Settings, age_s: float) -> Settings:
    sessions = settings.sessions.model_copy(update={"cache_age_s": age_s})
    return settings.model_copy(update={"sessions": sessions})


Starter = Callable[..., Process]


@pytest.fixture
def start() -> Iterator[Starter]:
    """Starts processes that are ended when the test ends."""
    processes: list[Process] = []

    def one(settings: Settings, policy: Policy = POLICY) -> Process:
        processes.append(Process(settings, policy))
        return processes[-1]

    yield one
    for each in processes:
        each.store.close()


def revoke_id(process: Process, id: TicketId) -> None:
    assert process.sessions.revoke(id, tenant="acme", deadline=Deadline.after(10))


def revoke_subject(process: Process, id: TicketId) -> None:
    process.sessions.revoke_subject("ana", tenant="acme", deadline=Deadline.after(10))


def replay(process: Process, id: TicketId) -> None:
    with pytest.raises(Rejected):
        process.sessions.redeem(id, "attempt-0002", deadline=Deadline.after(10))


WAYS = [revoke_id, revoke_subject, replay]
ON_SERVERS = pytest.mark.parametrize("topology", ["standalone", "sentinel", "cluster"])
REVOKING = replace(POLICY, revoke_on_replay=True)


@pytest.mark.parametrize("way", WAYS)
def test_the_process_that_revokes_refuses_at_once(
    topology: str, servers: Servers, start: Starter, way: Any
):
    process = start(with_cache(settings_for(servers.get(topology)), LONG_S), REVOKING)
    id, token = process.admit()
    if topology != "memory":
        process.come_to_remember(id, token)
    way(process, id)
    assert not process.accepts(token)


@ON_SERVERS
@pytest.mark.parametrize("way", WAYS)
def test_another_process_refuses_when_it_is_told(
    topology: str, servers: Servers, start: Starter, way: Any, figure: Callable[[str], None]
):
    settings = with_cache(settings_for(servers.get(topology)), LONG_S)
    one, other = start(settings, REVOKING), start(settings, REVOKING)
    id, token = one.admit()
    other.come_to_remember(id, token)
    way(one, id)
    revoked_s = time.monotonic()
    eventually(lambda: not other.accepts(token))
    took_ms = 1000 * (time.monotonic() - revoked_s)
    figure(f"{way.__name__} on {topology}: refused by another process {took_ms:.1f} ms later")


@ON_SERVERS
def test_a_remembered_session_costs_the_store_nothing(
    topology: str, servers: Servers, start: Starter
):
    installation = servers.get(topology)
    assert installation is not None
    process = start(with_cache(settings_for(installation), LONG_S))
    id, token = process.admit()
    process.come_to_remember(id, token)

    def reads() -> int:
        total = 0
        for node in installation.nodes:
            with installation.client(node) as client:
                total += client.info("commandstats").get("cmdstat_get", {}).get("calls", 0)
        return total

    before = reads()
    assert all(process.accepts(token) for _ in range(200))
    assert reads() == before


def test_a_remembered_session_needs_no_store(standalone, start):
    process = start(with_cache(settings_for(standalone), LONG_S))
    id, token = process.admit()
    process.come_to_remember(id, token)
    standalone.pause(standalone.nodes[0])
    assert process.accepts(token, deadline_s=0)
    standalone.resume(standalone.nodes[0])


def test_a_store_that_fails_is_not_remembered(standalone, start):
    process = start(with_cache(settings_for(standalone), LONG_S))
    _, token = process.admit()
    standalone.pause(standalone.nodes[0])
    with pytest.raises(StoreError):
        process.accepts(token, deadline_s=0.2)
    standalone.resume(standalone.nodes[0])
    assert process.accepts(token)


def test_a_refused_session_is_not_remembered(standalone, start):
    process = start(with_cache(settings_for(standalone), LONG_S))
    kept, token = process.admit()
    process.come_to_remember(kept, token)
    id, revoked = process.admit()
    revoke_id(process, id)
    assert not process.accepts(revoked)
    assert not process.remembers(id)


def test_a_session_that_ends_is_refused_although_it_is_remembered(standalone, start):
    process = start(with_cache(settings_for(standalone), LONG_S), replace(POLICY, session_ttl_s=2))
    id, token = process.admit()
    process.come_to_remember(id, token)

    def has_expired() -> bool:
        try:
            return not process.accepts(token)
        except Rejected as exc:
            return exc.reason is Reason.EXPIRED

    eventually(has_expired)
    assert process.remembers(id)


def test_switched_off_it_listens_to_nothing_and_asks_each_time(standalone, start):
    settings = with_cache(settings_for(standalone), 0)
    process = start(settings)
    id, token = process.admit()
    assert process.accepts(token)
    assert not process.remembers(id)
    with standalone.client(standalone.nodes[0]) as client:
        assert client.client_list(_type="pubsub") == []
    assert process.store._lanes[0].gate.primary.listener is None  # type: ignore[attr-defined]


def test_a_closed_store_listens_to_nothing(standalone, start):
    process = start(with_cache(settings_for(standalone), LONG_S))
    id, token = process.admit()
    process.come_to_remember(id, token)
    process.store.close()
    assert not process.remembers(id)
    with standalone.client(standalone.nodes[0]) as client:
        eventually(lambda: client.client_list(_type="pubsub") == [])


def test_a_lost_connection_empties_the_cache_and_a_new_one_hears_again(standalone, start):
    settings = with_cache(settings_for(standalone), LONG_S)
    one, other = start(settings), start(settings)
    id, token = one.admit()
    other.come_to_remember(id, token)
    with standalone.client(standalone.nodes[0]) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    eventually(lambda: not other.remembers(id))
    other.come_to_remember(id, token)
    revoke_id(one, id)
    eventually(lambda: not other.accepts(token))


def test_who_may_neither_publish_nor_listen_revokes_all_the_same(standalone, start):
    settings = with_cache(settings_for(standalone), LONG_S)
    one, other = start(settings), start(settings)
    id, token = one.admit()
    other.come_to_remember(id, token)
    with standalone.client(standalone.nodes[0]) as client:
        client.execute_command("ACL", "SETUSER", "default", "resetchannels")
    eventually(lambda: not other.remembers(id))
    revoke_id(one, id)
    assert not other.accepts(token)


class Watch:
    """Verifies in a thread until it is refused; keeps when the last accepted verify began."""

    def __init__(self, process: Process, token: str) -> None:
        self._process, self._token = process, token
        self._accepted_s = 0.0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            began_s = time.monotonic()
            with suppress(StoreError):
                if not self._process.accepts(self._token, deadline_s=20):
                    return
                self._accepted_s = began_s

    def last_accepted_s(self, since_s: float) -> float:
        """Waits for the refusal; the seconds from `since_s` to the last that was accepted."""
        self._thread.join()
        return max(0.0, self._accepted_s - since_s)


def test_unheard_a_revocation_counts_within_the_age(standalone, start, figure):
    wire = Wire(standalone.nodes[0].port)
    settings = with_cache(settings_for(standalone), 1.0)
    behind = settings_for(standalone, standalone={"host": "127.0.0.1", "port": wire.port})
    one = start(settings)
    other = start(behind.model_copy(update={"sessions": settings.sessions}))
    id, token = one.admit()
    other.come_to_remember(id, token)
    wire.lose_answers(of=b"SSUBSCRIBE")  # the connection stays open, as behind a dead firewall
    watch = Watch(other, token)
    revoke_id(one, id)
    last_s = watch.last_accepted_s(time.monotonic())
    assert last_s < 1.0
    figure(f"unheard revocation, age 1 s: last accepted {last_s:.2f} s later")
    wire.close()


def test_a_silent_connection_is_given_up(standalone, start):
    wire = Wire(standalone.nodes[0].port)
    address = {"host": "127.0.0.1", "port": wire.port}
    process = start(with_cache(settings_for(standalone, standalone=address), LONG_S))
    id, token = process.admit()
    process.come_to_remember(id, token)
    wire.lose_answers(of=b"SSUBSCRIBE")
    eventually(lambda: not process.remembers(id))
    wire.close()


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_during_a_failover_a_revocation_counts_within_the_age(sentinel, start, fault, figure):
    settings = with_cache(settings_for(sentinel), 2.0)
    one, other = start(settings), start(settings)
    id, token = one.admit()
    other.come_to_remember(id, token)
    watch = Watch(other, token)
    old = sentinel.kill_primary() if fault == "kill" else sentinel.pause_primary()
    assert one.sessions.revoke(id, tenant="acme", deadline=Deadline.after(30))
    last_s = watch.last_accepted_s(time.monotonic())
    assert last_s < 2.0
    figure(f"revoked in a failover ({fault}), age 2 s: last accepted {last_s:.2f} s later")
    assert sentinel.primary() != old


def test_after_a_failover_revocations_are_heard_from_the_new_primary(sentinel, start):
    settings = with_cache(settings_for(sentinel), LONG_S)
    one, other = start(settings), start(settings)
    old = sentinel.primary()
    id, token = one.admit()
    other.come_to_remember(id, token)
    sentinel.kill_primary()
    sentinel.wait_new_primary(old)
    other.come_to_remember(id, token)
    revoke_id(one, id)
    eventually(lambda: not other.accepts(token))
