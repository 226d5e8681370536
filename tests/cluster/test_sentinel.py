"""The highly available installation, by ci/sentinel: what happens to it, callers do not notice."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import pytest

from ..agents.counting import figures_of
from ..agents.load import Load
from .running import NAME, WELL_S, Release, addresses_in, since

pytestmark = pytest.mark.kubernetes

RATE = 100.0
LOAD_S = 60.0
STEADY_S = 120.0
PLANNED_S, UNPLANNED_S = 1.0, 6.0  # that writes may pause
INSTALLED_S = 60.0
Say = Callable[[str], None]


@pytest.fixture(scope="module")
def bare(new_release: Callable[[str], Release]) -> Release:
    """Nothing is installed yet."""
    return new_release("sentinel")


@pytest.fixture(scope="module")
def release(bare: Release) -> Release:
    bare.upgrade()
    return bare


@pytest.fixture
def room_s(pytestconfig: pytest.Config) -> float:
    """Beyond the bounds, on a machine that does other things."""
    return float(pytestconfig.getoption("room"))


def test_the_first_ticket_is_redeemed_soon_after_the_install(
    bare: Release, figure: Say, room_s: float
) -> None:
    began_s = time.monotonic()
    bare.upgrade()
    installed_s = since(began_s)
    with bare.reached() as port:
        assert bare.redeem(port, bare.create(port)) == 200
    took_s = since(began_s)
    figure(
        f"chart: helm install took {installed_s:.0f} s, to the first redeemed ticket "
        f"{took_s:.0f} s (with the time to reach it from outside)"
    )
    assert took_s <= INSTALLED_S + room_s


def test_no_object_was_warned_of_in_a_restricted_namespace(release: Release) -> None:
    assert "Warning" not in release.warnings
    assert "violate" not in release.events()


def test_upgrading_to_the_same_changes_nothing(release: Release) -> None:
    def state() -> object:
        return release.versions() | {
            name: pod["metadata"]["uid"]
            for part in ("node", "sentinel", "service")
            for name, pod in release.pods(part).items()
        }

    before = state()
    for _ in range(2):
        release.upgrade()
    assert state() == before


def test_helm_test_finds_it_well(release: Release) -> None:
    release.wait_well()
    release.helm("test", "auth", "--timeout", "5m")


_CONNECT = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)"


def test_every_address_in_the_notes_is_answered_at(release: Release) -> None:
    release.wait_well()
    notes = release.helm("get", "notes", "auth")
    found = addresses_in(notes)
    assert len(found) == 2
    for host, port in found:
        release.namespace.run(
            *("exec", f"deployment/{NAME}", "--", "python3", "-c", _CONNECT, host, str(port))
        )


def test_every_pod_has_the_names_of_all_nodes_in_a_file(release: Release) -> None:
    """So that a failover needs no cluster DNS."""
    release.wait_well()
    names = {
        f"{NAME}-{part}-{number}.{release.namespace.name}.svc.cluster.local"
        for part in ("node", "sentinel")
        for number in range(3)
    }
    for where in (f"{NAME}-node-0", f"{NAME}-sentinel-0", f"deployment/{NAME}"):
        lines = release.namespace.run("exec", where, "--", "cat", "/etc/hosts").splitlines()
        own = [line.split() for line in lines if line.endswith("# guarita")]
        assert {name for _, name, *_ in own} == names, where
        assert len({address for address, *_ in own}) == len(names), where
        assert any("localhost" in line for line in lines), where


# Under load


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done, in words, and whether everybody knew of it before."""

    words: str
    do: Callable[[Release, str], None]
    planned: bool = False


def _delete(release: Release, primary: str) -> None:
    release.namespace.run("delete", "pod", primary, "--wait=true", timeout_s=90)


def _force(release: Release, primary: str) -> None:
    release.namespace.kill(primary)


def _kill_server(release: Release, primary: str) -> None:
    release.namespace.signal_server(primary, signal.SIGKILL)


def _freeze(release: Release, primary: str) -> None:
    release.namespace.signal_server(primary, signal.SIGSTOP)
    time.sleep(10)
    release.namespace.signal_server(primary, signal.SIGCONT)


def _restart_all(release: Release, primary: str) -> None:
    for each in (f"statefulset/{NAME}-node", f"statefulset/{NAME}-sentinel", f"deployment/{NAME}"):
        release.namespace.run("rollout", "restart", each)
        release.wait_rolled()


def _upgrade(release: Release, primary: str) -> None:
    release.upgrade({"sentinels": {"downAfterMs": 1900}, "sessions": {"maxSessions": 200_000}})
    release.wait_rolled()


FAULTS = {
    "delete": Fault("the primary's pod is deleted", _delete, planned=True),
    "force": Fault("the primary's pod is deleted by force", _force),
    "kill": Fault("kill -9 of the primary's server", _kill_server),
    "freeze": Fault("the primary's server is frozen for 10 s", _freeze),
    "restart": Fault("everything is restarted, one after another", _restart_all, planned=True),
    "upgrade": Fault("helm upgrade with changed settings", _upgrade, planned=True),
}


@contextmanager
def loaded(release: Release) -> Iterator[Load]:
    """Load through the Service; it is steady, and `figures_of(load.history())` behind it."""
    with release.reached() as port:
        load = Load(port, rate=RATE, api_key=release.api_key)
        load.start()
        try:
            assert load.wait_steady(STEADY_S)
            yield load
        finally:
            load.close()


class Judge(Protocol):
    """Of what callers met. Every figure is told, and then held against what may be."""

    def __call__(self, load: Load, words: str, *, planned: bool) -> None: ...


@pytest.fixture
def judge(figure: Say, room_s: float) -> Judge:
    def judge(load: Load, words: str, *, planned: bool) -> None:
        assert load.wait_steady(STEADY_S, since_s=time.monotonic())
        load.stop(after_s=LOAD_S)
        found = figures_of(load.history())
        figure(
            f"chart, {words}, {RATE:g} requests a second: {found.requests} requests, "
            f"{found.failed} failed, {found.lost} lost, {found.double} double, "
            f"{found.pause_s:.1f} s without a successful write"
        )
        assert (found.failed, found.lost, found.double, found.wrong) == (0, 0, 0, 0), found
        assert found.pause_s <= (PLANNED_S if planned else UNPLANNED_S) + room_s

    return judge


@pytest.mark.parametrize("name", FAULTS)
def test_under_load_no_request_fails_and_no_ticket_is_lost(
    release: Release, judge: Judge, name: str
) -> None:
    fault = FAULTS[name]
    release.wait_well()
    with loaded(release) as load:
        fault.do(release, release.primary())
        release.wait_well()
        judge(load, fault.words, planned=fault.planned)


@pytest.mark.parametrize("how", [_delete, _force])
def test_the_label_follows_the_primary_within_a_second(
    release: Release, figure: Say, room_s: float, how: Callable[[Release, str], None]
) -> None:
    release.wait_well()
    before = release.primary()
    with release.labelled() as labelled, release.named(before) as named:
        how(release, before)
        late_s = labelled() - named()
    figure(
        f"chart, {how.__name__.strip('_')}: the label came {late_s:.2f} s after a majority of the "
        "Sentinels named the new primary"
    )
    assert late_s <= 1.0 + room_s
    release.wait_well()
    assert release.primary() != before
    release.helm("test", "auth", "--filter", f"name={NAME}-test-primary", "--timeout", "3m")


def test_a_drain_takes_one_data_node_at_a_time_and_nobody_notices(
    release: Release, judge: Judge
) -> None:
    release.wait_well()
    primary = release.primary()
    others = [name for part in ("node", "sentinel") for name in release.pods(part)]
    others.remove(primary)
    with loaded(release) as load:
        assert release.evict(primary) == ""
        for other in others:
            if other.startswith(f"{NAME}-node"):
                assert "disruption budget" in release.evict(other)
        sentinel = next(name for name in others if name.startswith(f"{NAME}-sentinel"))
        assert release.evict(sentinel) == ""
        release.wait_well()
        judge(load, "the primary's pod and a Sentinel's evicted, as by a drain", planned=True)


@pytest.mark.parametrize("part", ["nodes", "sentinels"])
def test_scaled_up_and_down_under_load(release: Release, judge: Judge, part: str) -> None:
    release.wait_well()
    with loaded(release) as load:
        for count in (5, 3):
            release.upgrade({part: {"replicas": count}})
            release.wait_rolled()
            release.wait_well(**{part: count})
        judge(load, f"{part} 3 -> 5 -> 3 by helm upgrade", planned=True)


def test_passwords_change_under_load(release: Release, judge: Judge) -> None:
    release.wait_well()
    before = release.secret()
    with loaded(release) as load:
        release.upgrade({"secrets": {"rotation": f"{time.time():.0f}"}})
        judge(load, "all passwords changed by helm upgrade", planned=True)
    after = release.secret()
    for key in ("service-password", "agent-password", "sentinel-password"):
        assert after[key] != before[key]
        assert after[f"{key}-previous"] == before[key]
    release.wait_well()
    # What starts from now on has the new ones, and nothing else to go by.
    _restart_all(release, release.primary())
    release.wait_well()


# All at once


def test_the_last_ticket_is_there_after_everything_was_deleted_by_force(release: Release) -> None:
    release.wait_well()
    with release.reached() as port:
        ticket = release.create(port)
    release.namespace.run(
        *("delete", "pods", "--selector", "app.kubernetes.io/instance=auth"),
        *("--grace-period=0", "--force"),
    )
    release.wait_well()
    with release.reached() as port:
        assert release.redeem(port, ticket) == 200
        assert release.redeem(port, ticket, "another-attempt") == 401


def test_an_empty_volume_under_the_primarys_name_costs_nothing(release: Release) -> None:
    release.wait_well()
    primary = release.primary()
    claim = ("persistentvolumeclaim", f"data-{primary}")
    before = release.namespace.get(*claim)["metadata"]["uid"]
    with release.reached() as port:
        ticket = release.create(port)
        release.namespace.run("delete", *claim, "--wait=false")
        release.namespace.kill(primary)
        release.wait_well()
        assert release.redeem(port, ticket) == 200
    assert release.namespace.get(*claim)["metadata"]["uid"] != before


def test_rolled_back_it_is_what_it_was(release: Release) -> None:
    release.upgrade({})
    release.upgrade({"sessions": {"maxSessions": 5}})
    release.helm("rollback", "auth", "--wait", "--timeout", f"{WELL_S:g}s")
    release.wait_well()
    shown = release.namespace.get("configmap", NAME)["data"]["guarita.yaml"]
    assert "max_sessions: 100000" in shown


def test_uninstalled_and_installed_again_the_tickets_are_there(release: Release) -> None:
    release.upgrade({})
    release.wait_well()
    with release.reached() as port:
        ticket = release.create(port)
    key = release.api_key
    release.helm("uninstall", "auth")
    release.namespace.run(
        *("wait", "pods", "--for=delete", "--timeout=120s"),
        *("--selector", "app.kubernetes.io/instance=auth"),
    )
    release.upgrade({})
    release.wait_well()
    assert release.api_key == key
    with release.reached() as port:
        assert release.redeem(port, ticket) == 200
