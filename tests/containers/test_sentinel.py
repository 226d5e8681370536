"""compose.sentinel.yaml under load through its proxy: whichever container goes, nothing is lost."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from guarita.drill.check import Figures

from .breaking import RATE
from .endpoints import check_endpoints, redeem
from .faults import EVERY_ORDER, load_through, stop_in_turns
from .running import Kit, Start

pytestmark = pytest.mark.container

READY_S = 25  # of containers; the image is there
PAUSE_S = 2.0 + 2  # down-after of the kit, and as much again for the failover


@pytest.fixture(scope="module")
def kit(start: Start) -> Kit:
    return start("sentinel")


# What is done to it, and undone: `make drill-kit` does the same.
TIMED = ("kill", "stop")
FAULTS = (
    *(pytest.param(each, marks=pytest.mark.timed) for each in TIMED),
    *("pause", "disconnect", "restart-services"),
)


@pytest.fixture
def room_s(pytestconfig: pytest.Config) -> float:
    return float(pytestconfig.getoption("room"))


def test_make_up_has_it_ready_in_time(kit: Kit, room_s: float) -> None:
    told = re.search(
        r"^ready after (\d+) s, of \d+ s in all: https://localhost:", kit.told, re.MULTILINE
    )
    assert told, kit.told
    assert int(told[1]) <= READY_S + room_s


def test_the_four_endpoints_answer(kit: Kit) -> None:
    check_endpoints(kit)


def test_the_demo_greets_a_guest_and_nobody_else(kit: Kit) -> None:
    made = kit.call("POST", "/auth/create-session", {"subject": "Ana"}, key=True)[1]
    token = redeem(kit, made["session_id"])[1]["session_token"]
    status, told = kit.call("GET", "/demo/content", token=token)
    assert (status, told["subject"]) == (200, "Ana")
    assert kit.call("GET", "/demo/content")[0] == 401


@pytest.mark.parametrize("fault", FAULTS)
def test_under_load_no_request_fails_and_no_ticket_is_lost(
    kit: Kit, tmp_path: Path, figure: Callable[[str], None], room_s: float, fault: str
) -> None:
    found = load_through(
        kit, tmp_path, fault, lambda: kit.drill(fault), lambda: kit.drill("heal"), replicas=2
    )
    tell(figure, fault, found)
    if fault in TIMED:
        assert found.pause_s <= PAUSE_S + room_s, (
            f"for {found.pause_s:.1f} s no create and no redeem was acknowledged, counted from one "
            f"such answer to the next; down-after and 2 s are {PAUSE_S:g} s"
        )


def test_under_load_no_request_fails_when_an_instance_of_the_service_is_killed(
    kit: Kit, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    words = "kill an instance of the service"
    found = load_through(
        kit,
        tmp_path,
        words,
        lambda: kit.docker("kill", "service-1"),
        lambda: kit.docker("start", "service-1"),
        replicas=2,
    )
    tell(figure, words, found)


def tell(figure: Callable[[str], None], fault: str, found: Figures) -> None:
    figure(
        f"containers, {fault}, {RATE:g} requests a second: {found.requests} requests, 0 failed, "
        f"0 lost, {found.pause_s:.1f} s without a successful write"
    )


def test_the_name_of_a_stopped_container_is_known_and_a_failover_needs_no_other(kit: Kit) -> None:
    """Docker's own DNS forgets it (https://github.com/redis/redis/issues/12184)."""
    kit.wait_well()
    primary = kit.primary()
    kit.docker("stop", primary, "-t=30")
    try:
        others = (each for each in ("valkey-1", "valkey-2", "valkey-3") if each != primary)
        for each in ("service-1", "sentinel-1", *others):
            found = kit.run_inside(each, "getent", "hosts", primary)
            assert found.stdout.startswith(kit.env["NETWORK"]), found
        assert kit.primary() != primary
    finally:
        kit.docker("start", primary)


def test_tickets_survive_a_stop_of_everything_in_every_order(kit: Kit) -> None:
    stop_in_turns(kit, 2, EVERY_ORDER)


def test_who_is_stopped_while_it_starts_has_heard_that(kit: Kit) -> None:
    """It would be killed at the end of its grace period."""
    assert kit.compose("restart").returncode == 0
    assert kit.compose("stop").returncode == 0
    codes = kit.compose("ps", "--all", "--format={{.Service}} {{.ExitCode}}").stdout.split("\n")
    assert len(codes) >= 9
    assert [each for each in codes if each.endswith(" 137")] == []


def test_nothing_is_left_of_it_when_it_is_taken_down(kit: Kit) -> None:
    kit.remove()
    assert kit.left_behind() == []
