"""The agent's HTTP endpoint."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator

import pytest

from guarita.errors import TopologyError
from guarita.node import metrics
from guarita.node.endpoint import Answer, Endpoint
from guarita.topology.local import ports


def broken() -> Answer:
    raise ValueError("secret reason")


@pytest.fixture
def port() -> Iterator[int]:
    (port,) = ports.free_ports(1)
    routes = {
        "/livez": lambda: Answer.text(200, "alive"),
        "/readyz": lambda: Answer.text(503, "loading"),
        "/broken": broken,
        "/metrics": metrics.exposition,
    }
    endpoint = Endpoint(f"127.0.0.1:{port}", routes)
    endpoint.start()
    yield port
    endpoint.close()
    assert not ports.answers(port)


def ask(port: int, path: str, method: str = "GET") -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        connection.close()


def test_routes_answer_get_and_head(port: int) -> None:
    plain = "text/plain; charset=utf-8"
    assert ask(port, "/livez?from=probe") == (200, plain, b"alive\n")
    assert ask(port, "/readyz") == (503, plain, b"loading\n")
    assert ask(port, "/livez", "HEAD") == (200, plain, b"")
    assert ask(port, "/livez", "POST")[0] == 501
    assert ask(port, "/other")[0] == 404


def test_a_route_that_fails_tells_the_caller_nothing_and_the_others_go_on(port: int) -> None:
    status, _, body = ask(port, "/broken")
    assert status == 500
    assert b"secret reason" not in body
    assert ask(port, "/livez")[0] == 200


def test_metrics_are_those_of_the_agent_alone(port: int) -> None:
    metrics.ACTIONS.labels("rejoin").inc()
    _, kind, body = ask(port, "/metrics")
    assert kind.startswith("text/plain; version=")
    assert b'guarita_node_actions_total{action="rejoin"} ' in body
    assert b"guarita_http_requests" not in body


def test_who_sends_nothing_keeps_nobody_waiting(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)):
        assert ask(port, "/livez")[0] == 200


def test_an_address_that_is_taken_is_said_in_one_sentence(port: int) -> None:
    with pytest.raises(TopologyError, match=rf"^node\.http: 127\.0\.0\.1:{port}: cannot be"):
        Endpoint(f"127.0.0.1:{port}", {}).start()
