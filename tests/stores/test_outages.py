"""What callers see while servers die, freeze, forget, refuse, or lose an answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from guarita.deadline import Deadline
from guarita.errors import StoreError, StoreOutcomeUnknown, StoreUnavailable
from guarita.stores.base import Created, Grant, Redeemed, Status, Store
from guarita.stores.record import split_id
from guarita.topology.local import LocalCluster, LocalStandalone

from .conftest import PASSWORD, settings_for, started
from .test_contract import GRANT, create, eventually, redeem, redeem_of
from .wire import Wire

Opener = Callable[..., Store]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    installation = started(LocalCluster(tmp_path / "cluster", password=PASSWORD))
    yield installation
    installation.kill_all()


def test_a_dead_server_is_unavailable_by_the_deadline_and_never_unknown(standalone, opened):
    store = opened(settings_for(standalone))
    id = create(store, Deadline.after(5))
    standalone.kill(standalone.nodes[0])
    with pytest.raises(StoreError):  # the first call may have been on the way
        store.read(id, deadline=Deadline.after(0.3))
    with pytest.raises(StoreUnavailable, match="takes no writes"):
        redeem(store, Deadline.after(0.3), id)


def test_a_server_that_was_never_there_is_unavailable_in_words(standalone, opened):
    settings = settings_for(standalone)
    standalone.kill_all()
    port = standalone.nodes[0].port
    store = opened(settings)
    with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{port} takes no writes"):
        store.ping(deadline=Deadline.after(0.5))


def test_a_wrong_password_is_unavailable_and_names_no_password(standalone, opened):
    settings = settings_for(standalone, data={"password": "not the right one"})
    store = opened(settings)
    with pytest.raises(StoreUnavailable) as caught:
        store.ping(deadline=Deadline.after(0.5))
    assert "invalid username-password pair" in str(caught.value)
    assert "not the right one" not in str(caught.value)


def test_a_frozen_server_holds_callers_until_it_goes_on(standalone, opened):
    store = opened(settings_for(standalone))
    id = create(store, Deadline.after(5))
    standalone.pause(standalone.nodes[0])
    with ThreadPoolExecutor(1) as executor:
        held = executor.submit(redeem, store, Deadline.after(20), id)
        eventually(lambda: store._lanes[0].gate.waiting > 0)  # type: ignore[attr-defined]
        standalone.resume(standalone.nodes[0])
        # The attempt was lost on the frozen connection and perhaps applied: it is told either way.
        assert held.result() in (Redeemed.ADMITTED, Redeemed.REPLAYED)
    assert store.status(deadline=Deadline.after(5)).total_used == 1


def test_a_server_that_comes_back_with_its_data_answers_held_callers(standalone, opened):
    store = opened(settings_for(standalone))
    id = create(store, Deadline.after(5))
    node = standalone.nodes[0]
    # What everysec has not synced yet survives a kill of the process: the kernel has it.
    standalone.kill(node)
    with ThreadPoolExecutor(1) as executor:
        held = executor.submit(redeem, store, Deadline.after(20), id)
        standalone.start(node)
        assert held.result() is Redeemed.ADMITTED


def test_a_server_that_forgot_the_scripts_is_taught_them_again(standalone, opened):
    store = opened(settings_for(standalone))
    id = create(store, Deadline.after(5))
    with standalone.client(standalone.nodes[0]) as client:
        client.script_flush()
    assert redeem(store, Deadline.after(5), id) is Redeemed.ADMITTED


@pytest.fixture
def wire(standalone: LocalStandalone) -> Iterator[Wire]:
    each = Wire(standalone.nodes[0].port)
    yield each
    each.close()


@pytest.fixture
def store_behind_wire(standalone: LocalStandalone, wire: Wire, opened: Opener) -> Store:
    address = {"host": "127.0.0.1", "port": wire.port}
    store = opened(settings_for(standalone, standalone=address))
    redeem(store, Deadline.after(5), create(store, Deadline.after(5)))  # teaches it the scripts
    return store


@pytest.mark.parametrize("grant", [GRANT, Grant()])
def test_a_lost_answer_to_a_create_makes_one_ticket(wire, store_behind_wire, grant):
    store, id = store_behind_wire, uuid4()
    wire.cut_answer(to=split_id(id)[0])
    answer = store.create(id, grant, ttl_s=600, max_sessions=0, deadline=Deadline.after(5))
    assert wire.cuts == 1
    assert answer is Created.REPEATED
    assert store.status(deadline=Deadline.after(5)) == Status(2, 1, 2, 1)


@pytest.mark.parametrize("grant", [GRANT, Grant()])
def test_a_lost_answer_to_a_redeem_is_one_admission(wire, store_behind_wire, grant):
    store = store_behind_wire
    id = create(store, Deadline.after(5), grant)
    wire.cut_answer(to=split_id(id)[0])
    result = store.redeem(redeem_of(id), deadline=Deadline.after(5))
    assert wire.cuts == 1
    assert result.outcome is Redeemed.REPLAYED
    assert store.status(deadline=Deadline.after(5)) == Status(2, 2, 2, 2)


@pytest.mark.parametrize("grant", [GRANT, Grant()])
def test_a_lost_answer_without_time_to_ask_again_is_named_unknown(
    standalone, wire, store_behind_wire, grant
):
    store = store_behind_wire
    id = create(store, Deadline.after(5), grant)
    node = standalone.nodes[0]
    standalone.pause(node)
    with pytest.raises(StoreOutcomeUnknown):
        redeem(store, Deadline.after(0.5), id)
    with pytest.raises(StoreUnavailable):
        redeem(store, Deadline.after(0.2), id, attempt=2)
    standalone.resume(node)
    # The first attempt did arrive in the end: it is told so, and no other is let in.
    eventually(lambda: store.status(deadline=Deadline.after(5)).total_used == 2)
    assert redeem(store, Deadline.after(5), id, attempt=2) is Redeemed.USED
    assert redeem(store, Deadline.after(5), id) is Redeemed.REPLAYED


def test_an_answer_that_never_comes_is_waited_for_until_the_deadline_only(wire, store_behind_wire):
    store = store_behind_wire
    id = create(store, Deadline.after(5))
    wire.lose_requests(to=split_id(id)[0])  # the node goes on answering everything else
    with pytest.raises(StoreOutcomeUnknown):
        redeem(store, Deadline.after(0.5), id)


def test_a_server_that_refuses_writes_is_unavailable_and_nothing_is_applied(standalone, opened):
    store = opened(settings_for(standalone))
    id = create(store, Deadline.after(5))
    with standalone.client(standalone.nodes[0]) as client:
        client.config_set("min-replicas-to-write", 1)
        with pytest.raises(StoreUnavailable, match="NOREPLICAS"):
            redeem(store, Deadline.after(0.5), id)
        client.config_set("min-replicas-to-write", 0)
    assert redeem(store, Deadline.after(5), id, attempt=2) is Redeemed.ADMITTED


def test_a_server_without_memory_refuses_what_needs_some_and_reads_go_on(standalone, opened):
    store = opened(settings_for(standalone))
    id, other = (create(store, Deadline.after(5)) for _ in range(2))
    assert redeem(store, Deadline.after(5), id) is Redeemed.ADMITTED
    primary = store._lanes[0].gate.primary
    with standalone.client(standalone.nodes[0]) as client:
        client.config_set("maxmemory", 1)
        with pytest.raises(StoreUnavailable, match="no memory left"):
            create(store, Deadline.after(5))
        with pytest.raises(StoreUnavailable, match="no memory left"):
            redeem(store, Deadline.after(5), other)
        assert store.read(id, deadline=Deadline.after(5)).used
        assert not store.read(other, deadline=Deadline.after(5)).used
        assert store._lanes[0].gate.primary is primary
        client.config_set("maxmemory", 0)
    assert redeem(store, Deadline.after(5), other, attempt=2) is Redeemed.ADMITTED


def test_a_server_that_refuses_callers_only_is_opened_a_few_times_a_second(
    standalone, opened, monkeypatch
):
    settings = settings_for(standalone)
    store = opened(settings)
    store.ping(deadline=Deadline.after(5))
    openings: list[object] = []
    gate = store._lanes[0].gate
    let_on = gate.open
    monkeypatch.setattr(gate, "open", lambda primary: (openings.append(primary), let_on(primary)))
    with standalone.client(standalone.nodes[0]) as client:
        # The probe's key is under the counters' name, the ticket's is not.
        keys = settings.sessions.stats_key
        client.execute_command("ACL", "SETUSER", "default", "resetkeys", f"~{keys}*")
    with pytest.raises(StoreUnavailable):
        create(store, Deadline.after(2))
    assert 1 <= len(openings) <= 10


def test_past_the_cap_a_caller_is_refused_at_once(standalone, opened):
    store = opened(settings_for(standalone, max_waiting=3))
    store.ping(deadline=Deadline.after(5))
    standalone.kill(standalone.nodes[0])
    with pytest.raises(StoreError):
        store.ping(deadline=Deadline.after(0.1))
    gate = store._lanes[0].gate
    with ThreadPoolExecutor(3) as executor:
        held = [executor.submit(store.ping, deadline=Deadline.after(20)) for _ in range(3)]
        eventually(lambda: gate.waiting == 3)
        with pytest.raises(StoreUnavailable, match="3 requests wait already"):
            store.ping(deadline=Deadline.after(20))
        standalone.start(standalone.nodes[0])
        for each in held:
            each.result()


def test_calls_that_are_sent_but_not_acknowledged_count_towards_the_cap(sentinel, opened):
    store = opened(settings_for(sentinel, max_waiting=3))
    store.ping(deadline=Deadline.after(10))
    primary = sentinel.primary()
    replicas = [node for node in sentinel.nodes if node != primary]
    for node in replicas:
        sentinel.pause(node)
    with ThreadPoolExecutor(3) as executor:
        held = [executor.submit(store.ping, deadline=Deadline.after(15)) for _ in range(3)]
        eventually(lambda: len(store._lanes[0].gate.primary.writes._unacknowledged) == 3)
        with pytest.raises(StoreUnavailable, match="3 calls wait"):
            store.ping(deadline=Deadline.after(5))
        for node in replicas:
            sentinel.resume(node)
        for each in held:
            each.result()


class Load:
    """Creates and redeems in threads until stopped; keeps what failed and what was admitted."""

    def __init__(self, store: Store, threads: int = 8, deadline_s: float = 15) -> None:
        self._store = store
        self._deadline_s = deadline_s
        self._stop = threading.Event()
        self.failures: list[object] = []
        self.admitted = 0
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]
        for each in self._threads:
            each.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                id, deadline = uuid4(), Deadline.after(self._deadline_s)
                # Either of new and repeated: an answer that is lost is asked for again.
                created = self._store.create(
                    id, GRANT, ttl_s=600, max_sessions=0, deadline=deadline
                )
                assert created in (Created.NEW, Created.REPEATED)
                outcome = redeem(self._store, Deadline.after(self._deadline_s), id)
            except (StoreError, AssertionError) as exc:
                self.failures.append(exc)
                continue
            if outcome in (Redeemed.ADMITTED, Redeemed.REPLAYED):
                self.admitted += 1
            else:
                self.failures.append(outcome)
            time.sleep(0.01)  # paces the load; nothing is awaited

    def stop(self) -> None:
        self._stop.set()
        for each in self._threads:
            each.join()


def test_a_planned_switch_of_the_primary_fails_no_caller(sentinel, opened):
    store = opened(settings_for(sentinel))
    # Sentinel alone takes its time to make the old primary a replica, which must have each write.
    load = Load(store, deadline_s=60)
    eventually(lambda: load.admitted > 20)
    old = sentinel.primary()
    with sentinel.client(sentinel.sentinels[0]) as client:
        eventually(lambda: client.execute_command("SENTINEL FAILOVER guarita"))
    sentinel.wait_new_primary(old)
    seen = load.admitted
    eventually(lambda: load.admitted > seen + 20, within_s=60)
    load.stop()
    assert load.failures == []


@pytest.mark.parametrize("fault", ["kill", "pause"])
def test_a_lost_primary_fails_no_caller(sentinel, opened, fault):
    store = opened(settings_for(sentinel))
    load = Load(store)
    eventually(lambda: load.admitted > 20)
    old = sentinel.kill_primary() if fault == "kill" else sentinel.pause_primary()
    sentinel.wait_new_primary(old)
    seen = load.admitted
    eventually(lambda: load.admitted > seen + 20, within_s=20)
    load.stop()
    assert load.failures == []


def test_a_minority_of_sentinels_names_nobody(sentinel, opened):
    for node in sentinel.sentinels[:2]:
        sentinel.kill(node)
    store = opened(settings_for(sentinel))
    with pytest.raises(StoreUnavailable, match="2 of 3 Sentinels must agree"):
        store.ping(deadline=Deadline.after(1))


def test_a_frozen_sentinel_is_not_waited_for(sentinel, opened):
    sentinel.pause(sentinel.sentinels[0])
    store = opened(settings_for(sentinel))
    store.ping(deadline=Deadline.after(5))
    sentinel.resume(sentinel.sentinels[0])


def test_known_primaries_are_used_on_while_all_sentinels_are_gone(sentinel, opened):
    store = opened(settings_for(sentinel))
    id = create(store, Deadline.after(5))
    for node in sentinel.sentinels:
        sentinel.kill(node)
    assert redeem(store, Deadline.after(5), id) is Redeemed.ADMITTED


def test_sentinels_that_do_not_know_the_name_are_told_so(sentinel, opened):
    settings = settings_for(sentinel)
    named = settings.store.sentinel.model_copy(update={"primary_name": "other"})
    store = opened(
        settings.model_copy(update={"store": settings.store.model_copy(update={"sentinel": named})})
    )
    with pytest.raises(StoreUnavailable, match=r"'other'.*does not know it"):
        store.ping(deadline=Deadline.after(1))


def test_a_replica_given_as_standalone_is_refused_in_words(sentinel, opened):
    replica = sentinel.replicas()[0]
    settings = settings_for(
        sentinel,
        topology="standalone",
        standalone={"host": replica.host, "port": replica.port},
        data={"password": PASSWORD},
    )
    store = opened(settings)
    with pytest.raises(StoreUnavailable, match=r"it is a replica of .*, not the primary"):
        store.ping(deadline=Deadline.after(1))


@pytest.mark.cluster
def test_a_lost_primary_of_a_cluster_fails_no_caller(cluster, opened):
    store = opened(settings_for(cluster))
    load = Load(store)
    eventually(lambda: load.admitted > 20)
    cluster.wait_new_primary(cluster.kill_primary())
    store.ping(deadline=Deadline.after(20))
    seen = load.admitted
    eventually(lambda: load.admitted > seen + 50, within_s=20)
    load.stop()
    assert load.failures == []


def test_a_changed_password_is_read_again(standalone, opened, tmp_path):
    secret = tmp_path / "password"
    secret.write_text(PASSWORD + "\n")
    store = opened(settings_for(standalone, data={"password_file": str(secret)}))
    id = create(store, Deadline.after(5))
    with standalone.client(standalone.nodes[0]) as client:
        client.config_set("requirepass", "the new one")
        secret.write_text("the new one\n")
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert redeem(store, Deadline.after(5), id) is Redeemed.ADMITTED
