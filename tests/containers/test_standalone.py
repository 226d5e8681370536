"""compose.standalone.yaml: it works, keeps its tickets over a restart, and leaves nothing."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from guarita.processes import wait_until

from .endpoints import check_endpoints
from .faults import EVERY_ORDER, stop_in_turns
from .running import Kit, Start

pytestmark = pytest.mark.container


@pytest.fixture(scope="module")
def kit(start: Start) -> Kit:
    return start("standalone")


def test_the_four_endpoints_answer(kit: Kit) -> None:
    check_endpoints(kit)


def test_the_ports_of_the_kit_are_on_loopback_alone(kit: Kit) -> None:
    address = kit.env["NETWORK"] + ".1"  # this machine, for the kit's network
    with socket.socket() as probe, pytest.raises(OSError, match="refused"):
        probe.connect((address, kit.port))


def test_without_its_key_nobody_creates(kit: Kit) -> None:
    assert kit.call("POST", "/auth/create-session")[0] == 403


def test_a_stop_under_load_cuts_off_nobody(kit: Kit, figure: Callable[[str], None]) -> None:
    """Behind no proxy: whatever the service has done it has told, and no answer is in pieces."""

    def created() -> int:
        return int(kit.call("GET", "/auth/session-status", key=True)[1]["total_created"])

    before = created()
    crowd = Path(__file__).with_name("crowd.py").read_text()
    with kit.running_beside("service", crowd) as load:
        assert wait_until(lambda: "busy" in kit.logs_of(load), timeout_s=60)
        kit.docker("stop", "service", "-t=20")
        told = json.loads(kit.wait_end_of(load).splitlines()[-1])
    kit.docker("start", "service")
    kit.wait_healthy("service")
    assert told["statuses"] == {"200": told["answered"]}
    assert told["in_pieces"] == told["lost"] == 0
    assert created() - before == told["answered"]
    figure(
        f"containers, SIGTERM to the service under load: {told['answered']} requests answered, "
        f"none cut off, {told['not_taken']} that came to a connection which was closed before"
    )


def test_tickets_survive_a_stop_of_everything_in_every_order(kit: Kit) -> None:
    stop_in_turns(kit, 0, EVERY_ORDER)


def test_a_second_make_up_changes_nothing(kit: Kit) -> None:
    before = kit.started()
    kit.up()
    assert kit.started() == before


def test_down_keeps_the_data_and_with_volumes_leaves_nothing(kit: Kit) -> None:
    assert kit.make("down").returncode == 0
    assert len(kit.left_behind()) == 1
    assert kit.make("down", "--volumes").returncode == 0
    assert kit.left_behind() == []
