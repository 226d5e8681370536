"""compose.sentinel.yaml under load through its proxy: whichever container goes, nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from ..agents.counting import figures_of
from ..agents.load import Load
from .endpoints import check_endpoints, new_ticket, redeem
from .running import Kit

pytestmark = pytest.mark.container

RATE = 100.0
STEADY_S = 60.0


@pytest.fixture(scope="module")
def kit(start: Callable[[str], Kit]) -> Kit:
    return start("sentinel")


Fault = Callable[[Kit, str], None]


def _kill(kit: Kit, primary: str) -> None:
    kit.docker("kill", primary)


def _stop(kit: Kit, primary: str) -> None:
    kit.docker("stop", primary, "--time=30")


def _freeze(kit: Kit, primary: str) -> None:
    kit.docker("pause", primary)


def _restart_each_service(kit: Kit, primary: str) -> None:
    for service in ("service-1", "service-2"):
        kit.docker("restart", service, "--time=20")
        kit.wait_healthy(service)


def _kill_a_service(kit: Kit, primary: str) -> None:
    kit.docker("kill", "service-1")


HEAL: dict[Fault, Callable[[Kit, str], None]] = {
    _kill: lambda kit, primary: kit.docker("start", primary),
    _stop: lambda kit, primary: kit.docker("start", primary),
    _freeze: lambda kit, primary: kit.docker("unpause", primary),
    _restart_each_service: lambda kit, primary: None,
    _kill_a_service: lambda kit, primary: kit.docker("start", "service-1"),
}


def test_the_four_endpoints_answer(kit: Kit) -> None:
    check_endpoints(kit)


@pytest.mark.parametrize("fault", HEAL, ids=lambda fault: fault.__name__.strip("_"))
def test_under_load_no_request_fails_and_no_ticket_is_lost(
    kit: Kit, figure: Callable[[str], None], fault: Fault
) -> None:
    kit.wait_well()
    primary = kit.primary()
    load = Load(kit.port, rate=RATE, tls=kit.tls, api_key=kit.env["API_KEY"])
    load.start()
    try:
        assert load.wait_steady(STEADY_S)
        since_s = time.monotonic()
        fault(kit, primary)
        assert load.wait_steady(STEADY_S, since_s=since_s)
        HEAL[fault](kit, primary)
        kit.wait_well()
        assert load.wait_steady(STEADY_S, since_s=time.monotonic())
        load.stop()
        found = figures_of(load.history())
    finally:
        load.close()
    assert (found.failed, found.lost, found.double, found.wrong) == (0, 0, 0, 0), found
    name = fault.__name__.strip("_").replace("_", " ")
    figure(
        f"containers, {name}, {RATE:g} requests a second: {found.requests} requests, 0 failed, "
        f"0 lost, {found.pause_s:.1f} s without a successful write"
    )


def test_tickets_survive_everything_restarted_and_created_anew(kit: Kit) -> None:
    kit.wait_well()
    tickets = []
    for turn in (("restart",), ("up", "--force-recreate", "--detach"), ("down",)):
        tickets.append(new_ticket(kit))
        ended = kit.compose(*turn)
        assert ended.returncode == 0, ended.stderr
        kit.up()
    assert [redeem(kit, ticket)[0] for ticket in tickets] == [200, 200, 200]


def test_down_with_volumes_leaves_nothing(kit: Kit) -> None:
    kit.remove()
    assert kit.left_behind() == []
