"""compose.standalone.yaml: it works, keeps its tickets over a restart, and leaves nothing."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from .endpoints import check_endpoints, new_ticket, redeem
from .running import Kit

pytestmark = pytest.mark.container


@pytest.fixture(scope="module")
def kit(start: Callable[[str], Kit]) -> Kit:
    return start("standalone")


def test_the_four_endpoints_answer(kit: Kit) -> None:
    check_endpoints(kit)


def test_the_ports_of_the_kit_are_on_loopback_alone(kit: Kit) -> None:
    address = kit.env["NETWORK"] + ".1"  # this machine, for the kit's network
    with socket.socket() as probe, pytest.raises(OSError, match="refused"):
        probe.connect((address, kit.port))


def test_without_its_key_nobody_creates(kit: Kit) -> None:
    assert kit.call("POST", "/auth/create-session")[0] == 403


def test_tickets_survive_a_restart_of_everything_and_a_new_creation_of_its_containers(
    kit: Kit,
) -> None:
    ticket = new_ticket(kit)
    for turn in (("restart",), ("up", "--force-recreate", "--detach"), ("down",)):
        ended = kit.compose(*turn)
        assert ended.returncode == 0, ended.stderr
    kit.up()
    assert redeem(kit, ticket)[0] == 200


def test_a_second_make_up_changes_nothing(kit: Kit) -> None:
    before = kit.started()
    kit.up()
    assert kit.started() == before


def test_down_keeps_the_data_and_with_volumes_leaves_nothing(kit: Kit) -> None:
    assert kit.make("down").returncode == 0
    assert len(kit.left_behind()) == 1
    kit.remove()
    assert kit.left_behind() == []
