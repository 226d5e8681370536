"""The agent's HTTP endpoint."""

from __future__ import annotations

import http.client
import itertools
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from guarita import certs
from guarita.clients import agent_connection
from guarita.config import NodeSettings, TlsSettings
from guarita.errors import TopologyError
from guarita.node import metrics
from guarita.node.endpoint import Answer, Endpoint, tls_of
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


@pytest.fixture
def over_tls(tmp_path: Path) -> Iterator[tuple[int, Endpoint, NodeSettings]]:
    """An endpoint whose certificate is for 127.0.0.1, signed by `tmp_path`/ca.crt; its port."""
    certs.init(tmp_path, (certs.Leaf("node", ("127.0.0.1",)),))
    files = {f"{name}_file": tmp_path / file for name, file in FILES.items()}
    (port,) = ports.free_ports(1)
    node = NodeSettings(tls=files)
    endpoint = Endpoint(
        f"127.0.0.1:{port}", {"/livez": lambda: Answer.text(200, "a")}, tls_of(node)
    )
    endpoint.start()
    yield port, endpoint, node
    endpoint.close()


@pytest.fixture
def tls_port(over_tls: tuple[int, Endpoint, NodeSettings]) -> int:
    return over_tls[0]


FILES = {"cert": "node.crt", "key": "node.key", "ca": "ca.crt"}


def ask_over_tls(host: str, port: int, ca_file: Path) -> int:
    tls = TlsSettings(enabled=True, ca_file=ca_file)
    connection = agent_connection((host, port), tls, 5.0)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status
    finally:
        connection.close()


def test_with_tls_names_and_authorities_are_checked(tls_port: int, tmp_path: Path) -> None:
    assert ask_over_tls("127.0.0.1", tls_port, tmp_path / "ca.crt") == 200
    with pytest.raises(ssl.SSLCertVerificationError, match="not valid for 'localhost'"):
        ask_over_tls("localhost", tls_port, tmp_path / "ca.crt")
    certs.init(tmp_path / "other", (certs.Leaf("node", ("127.0.0.1",)),))
    with pytest.raises(ssl.SSLCertVerificationError):
        ask_over_tls("127.0.0.1", tls_port, tmp_path / "other/ca.crt")


def test_with_tls_nothing_is_said_in_the_clear_and_a_silent_caller_stops_nobody(
    tls_port: int, tmp_path: Path
) -> None:
    with pytest.raises((OSError, http.client.HTTPException)):
        ask(tls_port, "/livez")
    with socket.create_connection(("127.0.0.1", tls_port)):
        assert ask_over_tls("127.0.0.1", tls_port, tmp_path / "ca.crt") == 200


def test_nobody_is_refused_while_certificates_change(
    over_tls: tuple[int, Endpoint, NodeSettings], tmp_path: Path
) -> None:
    port, endpoint, node = over_tls
    certs.init(tmp_path, (certs.Leaf("next", ("127.0.0.1",)),))
    files = {"cert_file": tmp_path / "next.crt", "key_file": tmp_path / "next.key"}
    pairs = itertools.cycle((NodeSettings(tls={**files, "ca_file": tmp_path / "ca.crt"}), node))
    is_over = threading.Event()

    def change() -> None:
        while not is_over.is_set():
            endpoint.show(tls_of(next(pairs)))

    changing = threading.Thread(target=change)
    changing.start()
    try:
        answers = [ask_over_tls("127.0.0.1", port, tmp_path / "ca.crt") for _ in range(40)]
    finally:
        is_over.set()
        changing.join()
    assert answers == [200] * 40


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    certs.init(tmp_path, (certs.Leaf("node", ("a",)), certs.Leaf("other", ("b",))))
    files = {f"{name}_file": tmp_path / file for name, file in FILES.items()}
    node = NodeSettings(tls={**files, "key_file": tmp_path / "other.key"})
    with pytest.raises(TopologyError, match=r"^node\.tls: .*node\.crt, .*other\.key: "):
        tls_of(node)
