"""A server that no Sentinel watches, under its agent: the only one, and nodes of a Cluster."""

from __future__ import annotations

import http.client
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from guarita import certs
from guarita.errors import ServerMissing
from guarita.processes import wait_until
from guarita.servers import find_server
from guarita.topology.cluster import form
from guarita.topology.local.ports import free_ports

PASSWORD = "the password of all"
Node = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Node]:
    """Starts `guarita node --alone` at this port, its agent at the other."""
    try:
        server = find_server().path
    except ServerMissing as exc:
        pytest.skip(str(exc))
    started: list[subprocess.Popen[bytes]] = []

    def start(port: int, http_port: int, store: dict[str, Any], **node: Any) -> Any:
        place = tmp_path / str(port)
        place.mkdir(exist_ok=True)
        settings = {
            "store": {"data": {"password": PASSWORD}, **store},
            "node": {
                "announce": f"127.0.0.1:{port}",
                "http": f"127.0.0.1:{http_port}",
                "data_dir": str(place / "data"),
                "server": server,
                **node,
            },
        }
        (place / "guarita.yaml").write_text(yaml.safe_dump(settings))
        command = [sys.executable, "-m", "guarita", "node", "--alone", "--config"]
        with (place / "log").open("ab") as log:
            process = subprocess.Popen(
                [*command, str(place / "guarita.yaml")],
                stdout=log,
                stderr=log,
            )
        started.append(process)
        return process

    yield start
    for each in started:
        each.send_signal(signal.SIGTERM)
    for each in started:
        each.wait(30)


def ready(port: int, context: ssl.SSLContext | None = None) -> tuple[int, str]:
    made = (
        http.client.HTTPSConnection("127.0.0.1", port, timeout=2, context=context)
        if context
        else http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    )
    try:
        made.request("GET", "/readyz")
        answer = made.getresponse()
        return answer.status, answer.read().decode().strip()
    except OSError as exc:
        return 0, str(exc)
    finally:
        made.close()


def eventually(done: Callable[[], object], timeout_s: float = 90) -> None:
    assert wait_until(lambda: bool(done()), timeout_s=timeout_s)


def test_a_renewed_certificate_is_shown_without_a_restart(start: Node, tmp_path: Path) -> None:
    def make(name: str) -> str:
        """All files at once, as a Secret changes in a pod."""
        certs.init(tmp_path / name, (certs.Leaf("tls", ("127.0.0.1",)),))
        (tmp_path / "next").symlink_to(name)
        (tmp_path / "next").replace(tmp_path / "now")
        return (tmp_path / "now/tls.crt").read_text()

    names = {"cert_file": "tls.crt", "key_file": "tls.key", "ca_file": "ca.crt"}
    files = {key: str(tmp_path / "now" / name) for key, name in names.items()}
    tls = {"enabled": True, "ca_file": files["ca_file"]}
    store = {
        "topology": "standalone",
        "data": {"password": PASSWORD, "tls": tls},
    }
    port, http_port = free_ports(2)
    first = make("a")
    process = start(port, http_port, store, tls=files)
    context = ssl.create_default_context(cafile=files["ca_file"])
    eventually(lambda: ready(http_port, context) == (200, "ready"))
    second = make("b")
    assert second != first
    for each in (port, http_port):
        eventually(lambda each=each: ssl.get_server_certificate(("127.0.0.1", each)) == second)
    assert process.poll() is None


@pytest.mark.cluster
def test_nodes_of_a_cluster_stop_in_turn_and_are_known_by_one_address(start: Node) -> None:
    """A replica connects from another address than its own where that is one of a Service."""
    host = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
    ports = free_ports(6, with_bus=True)
    agents = free_ports(6)
    nodes = [(host, port) for port in ports]
    store = {"topology": "cluster", "cluster": {"nodes": [f"{host}:{port}" for port in ports]}}
    processes = [
        start(*both, store, announce=f"{host}:{both[0]}")
        for both in zip(ports, agents, strict=True)
    ]
    clients = {port: redis.Redis(host, port, password=PASSWORD) for port in ports}
    eventually(lambda: all("not whole" in ready(each)[1] for each in agents))
    form(nodes, lambda node: clients[node[1]], replicas=1, timeout_s=30)
    eventually(lambda: all(ready(each) == (200, "ready") for each in agents))
    assert clients[ports[0]].config_get("repl-timeout") == {"repl-timeout": "5"}
    listed = [each for port in ports[:3] for each in clients[port].role()[2]]
    assert sorted((ip.decode(), int(port)) for ip, port, _ in listed) == sorted(nodes[3:])
    processes[0].send_signal(signal.SIGTERM)
    assert processes[0].wait(30) == 0
    roles = [clients[port].role()[0] for port in ports[1:]]
    assert roles.count(b"master") == 3, "the Cluster would have to find out"
    for each in clients.values():
        each.close()
