"""Servers that say what nobody expects, or say it late: told of these, and of all others too."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from guarita.config import Address, StoreSettings
from guarita.doctor.findings import findings
from guarita.topology.local import LocalStandalone

from .conftest import codes, look, said, tell
from .speaking import REFUSED, array, bulk, speaking
from stores.conftest import started

PRIMARY = "redis_version:7.0.15\r\nrole:master\r\n"


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStandalone]:
    """A server beside the odd one, with something wrong that must be told all the same."""
    installation = LocalStandalone(tmp_path_factory.mktemp("other"))
    started(installation)
    tell(installation, installation.nodes[0], "CONFIG", "SET", "appendonly", "no")
    yield installation
    installation.kill_all()


def of_cluster(*nodes: object) -> StoreSettings:
    addresses = [str(each) for each in nodes]
    return StoreSettings.model_validate({"topology": "cluster", "cluster": {"nodes": addresses}})


# By what begins the command.
ODD: list[dict[str, bytes]] = [
    {"INFO": bulk(PRIMARY + "connected_slaves:1\r\nslave0:odd\r\n")},
    {"INFO": bulk(PRIMARY + "connected_slaves:many\r\n")},
    {"INFO": bulk("role:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:odd\r\n")},
    {"INFO": bulk("role:slave\r\nmaster_host:10.0.0.1\r\n")},
    {"INFO": bulk(PRIMARY + "server_time_usec:soon\r\n")},
    {"INFO": bulk(PRIMARY), "ACL LOG": b"*1\r\n" + array("reason", "auth")},
    {"INFO": bulk(PRIMARY), "CLUSTER NODES": bulk("odd")},
    {"INFO": b"HTTP/1.1 400 Bad Request\r\n\r\n"},
]


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_answer_is_told_and_the_other_servers_are_judged(
    other: LocalStandalone, odd: dict[str, bytes]
) -> None:
    def answer(command: str) -> bytes:
        return next((odd[begin] for begin in odd if command.startswith(begin)), REFUSED)

    with speaking(answer) as address:
        seen = look(of_cluster(other.nodes[0], address))
    text = said(seen, "answer-not-understood")
    assert text.startswith(f"{address}: ")
    assert "its answer is not understood (" in text
    assert str(other.nodes[0]) in said(seen, "persistence-off")


def test_an_odd_sentinel_keeps_nobody_from_being_judged(other: LocalStandalone) -> None:
    odd = {"INFO": bulk("redis_mode:sentinel\r\n"), "SENTINEL MASTER": array("ip", "10.0.0.1")}

    def answer(command: str) -> bytes:
        return next((odd[begin] for begin in odd if command.startswith(begin)), REFUSED)

    with speaking(answer) as address:
        sentinel = {"primary_name": "guarita", "nodes": [str(address)]}
        data_nodes = [str(other.nodes[0])]
        seen = look(
            StoreSettings.model_validate(
                {"topology": "sentinel", "sentinel": sentinel, "data_nodes": data_nodes}
            )
        )
    assert f"{address}: " in said(seen, "answer-not-understood")
    assert "sentinel-silent" not in codes(seen)
    assert str(other.nodes[0]) in said(seen, "persistence-off")


def test_a_host_that_can_be_no_name_keeps_nobody_from_being_judged(other: LocalStandalone) -> None:
    host = "a" * 64 + ".example"
    seen = look(of_cluster(other.nodes[0], f"{host}:6379"), agents=[Address(host, 8300)])
    assert f"{host}: " in said(seen, "name-unresolved")
    assert "too long" in said(seen, "agent-silent")
    assert str(other.nodes[0]) in said(seen, "persistence-off")


def test_what_is_told_of_an_odd_answer_is_short_and_does_nothing_to_a_terminal() -> None:
    with speaking(lambda _: b"\x1b]0;odd\x07" + b"x" * 9000 + b"\r\n") as address:
        (text,) = {
            each.text
            for each in findings(look(of_cluster(address)))
            if each.code == "answer-not-understood"
        }
    assert text.isprintable()
    assert len(text) < 600


def test_a_data_node_that_is_far_away_is_told() -> None:
    pause = threading.Event()

    def answer(command: str) -> bytes:
        pause.wait(0.03)
        return bulk(PRIMARY) if command.startswith("INFO") else REFUSED

    with speaking(answer) as address:
        seen = look(of_cluster(address))
    assert f"{address}: A round trip from here takes" in said(seen, "network-slow")


@pytest.mark.parametrize("late_s", [[0.15], [0.03] * 4])
def test_some_answers_that_come_late_are_no_slow_network(late_s: list[float]) -> None:
    late, pause = [*late_s], threading.Event()

    def answer(command: str) -> bytes:
        if late:
            pause.wait(late.pop())
        return bulk(PRIMARY) if command.startswith("INFO") else REFUSED

    with speaking(answer) as address:
        (node,) = look(of_cluster(address)).nodes
    assert 2 * node.server.unsure_s < 0.03
