"""Faults of containers under load: nothing lost, nothing double, and no request fails.

The single server comes first: it leaves the machine to the kit that the other worker starts, whose
times are bounded (test_sentinel.py).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from guarita.drill.check import Verdict
from guarita.testing import Installation, SentinelInstallation

from .breaking import LASTS_S, SETTINGS, Do, judge

pytestmark = pytest.mark.container


def _restart_the_primary(installation: Installation) -> None:
    installation.restart(installation.primary())


def _kill_all_sentinels_but_one(installation: Installation) -> None:
    for name in installation.sentinels[1:]:
        installation.kill(name)


OF_ONE: dict[str, Do] = {
    "kill": lambda each: each.kill_primary(),
    "pause": lambda each: each.pause_primary(),
    "stop": lambda each: each.stop_primary(),
    "network disconnect": lambda each: each.isolate_primary(),
    "restart": _restart_the_primary,
}


Play = Callable[..., None]


@pytest.fixture
def asserted(figure: Callable[[str], None], tmp_path: Path) -> Play:
    """Plays a fault and wants nothing lost, nothing double, and all of it seen."""

    def play(installation: Installation, words: str, do: Do, **how: float | None) -> None:
        judgement = judge(installation, tmp_path, words, do, **how)  # type: ignore[arg-type]
        assert judgement.verdict is Verdict.VALID, judgement
        figures = judgement.figures
        figure(
            f"containers, {installation.topology}, {words}: {figures.requests} requests, "
            f"{figures.failed} failed, {figures.lost} lost, {figures.double} double, "
            f"{figures.pause_s:.1f} s without a successful write"
        )

    return play


@pytest.fixture
def replaced(asserted: Play) -> Play:
    """The same, and another node has taken over."""

    def play(installation: Installation, words: str, do: Do, **how: float | None) -> None:
        before = installation.primary()
        asserted(installation, words, do, **how)
        assert installation.primary() != before

    return play


@pytest.mark.parametrize("fault", OF_ONE)
def test_standalone_requests_wait_until_the_server_is_back(
    running: Callable[[str], Installation], asserted: Play, fault: str
) -> None:
    asserted(running("standalone"), fault, OF_ONE[fault], for_s=2.0)


@pytest.mark.parametrize("fault", OF_ONE)
def test_sentinel_no_request_fails_and_another_node_takes_over(
    running: Callable[[str], Installation], replaced: Play, fault: str
) -> None:
    replaced(running("sentinel"), fault, OF_ONE[fault])


def test_sentinel_writes_go_on_with_all_sentinels_but_one_gone(
    running: Callable[[str], Installation], asserted: Play
) -> None:
    installation = running("sentinel")
    words = "all Sentinels but one gone"  # writes do not even pause: it has to last
    asserted(installation, words, _kill_all_sentinels_but_one, for_s=LASTS_S)


def test_sentinel_on_redis_no_request_fails(
    guarita_image: str, redis_image: str, replaced: Play
) -> None:
    with SentinelInstallation(
        guarita_image, node_image=redis_image, settings=SETTINGS
    ) as installation:
        with installation.connect(installation.primary()) as client:
            server = client.info("server")
        assert "valkey_version" not in server
        assert server["redis_version"].startswith("8.")
        replaced(installation, "kill, on Redis", OF_ONE["kill"])


@pytest.mark.parametrize("fault", [each for each in OF_ONE if each != "restart"])
def test_cluster_no_request_fails_and_another_node_takes_over(
    running: Callable[[str], Installation], replaced: Play, fault: str
) -> None:
    # Callers are served all the time: the other primaries have two thirds of the tickets.
    replaced(running("cluster"), fault, OF_ONE[fault], for_s=LASTS_S)


def test_cluster_requests_wait_until_a_restarted_primary_is_back(
    running: Callable[[str], Installation], asserted: Play
) -> None:
    asserted(running("cluster"), "restart", _restart_the_primary)  # sooner than a failover


@pytest.mark.parametrize("topology", ["standalone", "sentinel", "cluster"])
def test_everything_restarted_keeps_every_ticket(
    running: Callable[[str], Installation], asserted: Play, topology: str
) -> None:
    # The service too: who asks meanwhile finds nobody there.
    everything = Installation.restart
    asserted(running(topology), "everything restarted", everything, for_s=0.0, failed=None)
