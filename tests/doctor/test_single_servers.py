"""Servers of their own: standalone, Cluster, TLS, a long load; and the agents' answers."""

from __future__ import annotations

import datetime
import ipaddress
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509

from cli.test_health import answering
from guarita import processes
from guarita.config import Address, StoreSettings
from guarita.doctor.findings import findings
from guarita.node.endpoint import Answer, Endpoint
from guarita.servers import find_server
from guarita.topology.local import LocalCluster, LocalSentinel, LocalStandalone, Node
from guarita.topology.local.ports import free_ports

from .conftest import codes, look, said, settings
from stores.conftest import started
from stores.test_tls import certify, start


@pytest.fixture
def standalone(tmp_path: Path) -> Iterator[LocalStandalone]:
    installation = LocalStandalone(tmp_path)
    started(installation)
    yield installation
    installation.kill_all()


def test_the_memory_store_has_nobody_to_ask() -> None:
    seen = look(StoreSettings.model_validate({"topology": "memory"}))
    assert codes(seen) == {"nothing-to-ask"}
    assert (seen.nodes, seen.sentinels, seen.names) == ((), (), ())


def test_a_standalone_server_that_is_well_and_then_dead(standalone: LocalStandalone) -> None:
    store = settings(standalone)
    assert findings(look(store)) == ()
    standalone.kill_all()
    assert codes(look(store)) == {"named-unreachable"}


def test_a_password_that_the_server_does_not_want(standalone: LocalStandalone) -> None:
    seen = look(settings(standalone, data={"password": "not wanted"}))
    assert "password-unwanted" in codes(seen)
    assert "not wanted" not in said(seen, "password-unwanted")


def test_agents_that_live_are_ready_or_do_not_answer(standalone: LocalStandalone) -> None:
    store = settings(standalone)
    with answering({"/livez": 200, "/readyz": 200, "/role": 503}) as port:
        seen = look(store, agents=[Address("127.0.0.1", port)])
        assert codes(seen) == set()
        assert seen.has_agents
    with answering({"/livez": 200, "/readyz": 503, "/role": 503}) as port:
        seen = look(store, agents=[Address("127.0.0.1", port)])
        assert "/readyz answered 503. " in said(seen, "agent-not-ready")
    assert codes(look(store, agents=[Address("127.0.0.1", port)])) == {"agent-silent"}


@contextmanager
def agent_saying(ready: bytes, alive: bytes = b"") -> Iterator[Address]:
    """The endpoint of an agent whose answers are well, or these bodies with status 503."""

    def saying(body: bytes) -> Callable[[], Answer]:
        return lambda: Answer(503 if body else 200, body or b"well\n")

    address = Address("127.0.0.1", free_ports(1)[0])
    endpoint = Endpoint(str(address), {"/livez": saying(alive), "/readyz": saying(ready)})
    endpoint.start()
    try:
        yield address
    finally:
        endpoint.close()


def test_an_agent_s_reason_is_told_in_its_own_words(standalone: LocalStandalone) -> None:
    store = settings(standalone)
    reason = "its file is damaged (odd) and may be the only copy: 0 of 3 Sentinels answer"
    with agent_saying(ready=f"{reason}.\nand more\n".encode()) as address:
        text = said(look(store, agents=[address]), "agent-not-ready")
    assert f"The node agent is not ready: /readyz answered 503: {reason}. " in text
    assert "more" not in text
    with agent_saying(ready=b"", alive=b"the server does not run\n") as address:
        text = said(look(store, agents=[address]), "agent-silent")
    assert "/livez answered 503: the server does not run. " in text


def test_an_agent_s_reason_does_nothing_to_a_terminal(standalone: LocalStandalone) -> None:
    body = "\x1b[2J\x1b]0;odd\x07\u202ewell.".encode() + b"\xff\r" + b"x" * 9000
    with agent_saying(ready=body) as address:
        text = said(look(settings(standalone), agents=[address]), "agent-not-ready")
    assert text.isprintable()
    assert "�[2J�]0;odd��well.� xxx" in text
    assert "x…. " in text
    assert len(text) < 500


def test_an_agent_of_a_sentinel_minds_no_data_node(standalone: LocalStandalone) -> None:
    with agent_saying(ready=b"") as address:
        seen = look(settings(standalone), agents=[address])
    assert codes(seen) == set()
    assert [(each.alive, each.ready, each.of_data_node) for each in seen.agents] == [
        (True, True, False)
    ]
    assert not seen.has_agents


@pytest.mark.cluster
def test_a_cluster_whose_replica_dies(tmp_path: Path) -> None:
    cluster = LocalCluster(tmp_path, password="a Cluster's password")
    started(cluster)
    try:
        seen = look(settings(cluster))
        assert len(seen.nodes) == 6
        # No node agent, and the usual repl-timeout of 60 s.
        assert codes(seen) == {"frozen-replica-kept"}
        cluster.kill(cluster.nodes[5])

        def is_failed() -> bool:
            found = codes(look(settings(cluster)))
            return {"cluster-node-failed", "cluster-without-replica", "node-silent"} <= found

        assert processes.wait_until(is_failed, timeout_s=20)
    finally:
        cluster.kill_all()


@contextmanager
def speaking_tls(directory: Path, name: str, lasts_h: int = 1) -> Iterator[StoreSettings]:
    """A standalone server whose certificate has this name and lasts so long from now."""
    alt: x509.GeneralName = x509.DNSName(name)
    if name == "127.0.0.1":
        alt = x509.IPAddress(ipaddress.ip_address(name))
    certify(directory, "server", alt, datetime.timedelta(hours=lasts_h))
    port = free_ports(1)[0]
    process = start(directory, port, ['save ""', "tls-auth-clients no", "appendonly yes"])
    tls = {"enabled": True, "ca_file": str(directory / "ca.pem")}
    try:
        yield StoreSettings.model_validate(
            {"standalone": {"host": "127.0.0.1", "port": port}, "data": {"tls": tls}}
        )
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("name", "lasts_h", "expected"),
    [
        ("127.0.0.1", 1, {"certificate-ends-soon"}),
        ("127.0.0.1", 24 * 31, set()),
        ("127.0.0.1", -1, {"certificate-expired"}),
        ("elsewhere.example", 24 * 31, {"certificate-name"}),
    ],
)
def test_certificates(tmp_path: Path, name: str, lasts_h: int, expected: set[str]) -> None:
    with speaking_tls(tmp_path, name, lasts_h) as store:
        assert codes(look(store)) - {"named-unreachable"} == expected


def test_a_certificate_of_another_authority_and_a_client_without_tls(tmp_path: Path) -> None:
    with speaking_tls(tmp_path, "127.0.0.1", 24 * 31) as store:
        other = {"enabled": True, "ca_file": str(tmp_path / "other.pem")}
        for tls, expected in ((other, "certificate-untrusted"), ({}, "named-unreachable")):
            changed = {**store.model_dump(exclude={"data"}), "data": {"tls": tls}}
            assert expected in codes(look(StoreSettings.model_validate(changed)))


@pytest.fixture
def slow_to_load(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A server that takes its time with each key of its AOF, as one with much data does."""
    server = find_server()
    port = free_ports(1)[0]
    command = "".join(f"*3\r\n$3\r\nSET\r\n$5\r\n{n:05}\r\n$1\r\nx\r\n" for n in range(40_000))
    (tmp_path / "appendonly.aof").write_text(command)
    config = tmp_path / "server.conf"
    lines = [
        f"port {port}",
        "bind 127.0.0.1",
        f'dir "{tmp_path}"',
        'save ""',
        "appendonly yes",
        "key-load-delay 100",  # microseconds; others are answered after each 1024 keys
    ]
    config.write_text("\n".join(lines) + "\n")
    process = subprocess.Popen([server.path, str(config)], stdout=subprocess.DEVNULL)
    yield process, port
    process.kill()
    process.wait()


@pytest.mark.usefixtures("standalone")
def test_a_server_that_loads_its_data(slow_to_load: tuple[object, int]) -> None:
    store = StoreSettings.model_validate(
        {"standalone": {"host": "127.0.0.1", "port": slow_to_load[1]}}
    )
    assert processes.wait_until(lambda: "loading" in codes(look(store)), timeout_s=10)


def agents_of(nodes: tuple[Node, ...]) -> list[Address]:
    return [Address(node.host, node.http_port or 0) for node in nodes]


def test_an_installation_that_is_run_by_agents_is_well_as_soon_as_they_are_known(
    tmp_path: Path,
) -> None:
    installation = LocalSentinel(tmp_path, agents=True)
    started(installation)
    try:
        store = settings(installation, data_nodes=[str(node) for node in installation.nodes])
        agents = agents_of(installation.nodes)

        def told(wanted: set[str], **more: list[Address]) -> bool:
            """A replica is not promotable before it has caught up, a moment after it is linked."""
            return processes.wait_until(lambda: codes(look(store, **more)) == wanted, timeout_s=20)

        assert told(set(), agents=agents)
        assert told(set(), agents=agents[1:])
        for few in ([], agents[:1], agents_of(installation.sentinels)):
            assert told({"down-after-short", "frozen-replica-kept"}, agents=few)
        installation.kill(installation.replicas()[0])
        assert {"agent-silent", "node-silent"} <= codes(look(store, agents=agents))
    finally:
        installation.kill_all()
