"""The service as its users run it: `guarita serve`, several workers, a real store."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

import guarita
from guarita.errors import ServerMissing, TopologyError
from guarita.processes import wait_until
from guarita.server.address import check_address
from guarita.topology.local import LocalStandalone
from guarita.topology.local.ports import free_ports
from serving import MEMORY, SERVERS, Running, listens, serving, start

UNKNOWN_ID = "11111111-2222-4333-8444-555555555555"
CLOSING = b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module", params=SERVERS)
def kind(request: pytest.FixtureRequest) -> str:
    """The server of HTTP: the tests that name it are of both."""
    return str(request.param)


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory, kind: str) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("service"), kind=kind, store=MEMORY) as running:
        yield running


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The store section of a real server."""
    installation = LocalStandalone(tmp_path_factory.mktemp("redis"))
    try:
        installation.__enter__()
    except ServerMissing as exc:
        pytest.skip(str(exc))
    try:
        node = installation.nodes[0]
        yield {"topology": "standalone", "standalone": {"host": node.host, "port": node.port}}
    finally:
        installation.__exit__(None, None, None)


def test_a_ticket_lives_its_life(memory: Running) -> None:
    created = memory.call("POST", "/auth/create-session")
    id = created.json["session_id"]
    assert memory.call("GET", created.json["iframe_url"]).status == 200
    body = {"session_id": id, "attempt": "attempt-1"}
    redeemed = memory.call("POST", "/auth/redeem", body)
    bearer = f"Bearer {redeemed.json['session_token']}"
    assert memory.call("GET", "/auth/verify", Authorization=bearer).status == 200
    assert memory.call("POST", "/auth/revoke", {"session_id": id}).status == 204
    assert memory.call("GET", "/auth/verify", Authorization=bearer).status == 401


def test_workers_share_secret_store_and_metrics(
    tmp_path: Path, kind: str, redis: dict[str, Any]
) -> None:
    with serving(tmp_path, kind=kind, workers=2, store=redis) as service:
        ids = {
            service.call("POST", "/auth/create-session", Idempotency_Key="same").json["session_id"]
            for _ in range(20)
        }
        (id,) = ids
        tokens = {
            service.call("POST", "/auth/redeem", {"session_id": id, "attempt": "attempt-1"}).json[
                "session_token"
            ]
            for _ in range(20)
        }
        assert len(tokens) == 1
        pages = {service.call("GET", "/metrics").body.decode() for _ in range(10)}
        assert all("\nguarita_tickets_created_total 20.0\n" in page for page in pages)
        assert len(service.workers()) == 2


def test_a_store_that_is_gone_leaves_the_process_alive_and_ready(tmp_path: Path, kind: str) -> None:
    [nowhere] = free_ports(1)
    store = {
        "topology": "standalone",
        "standalone": {"host": "127.0.0.1", "port": nowhere},
        "deadline_s": 0.3,
    }
    with serving(tmp_path, kind=kind, store=store) as service:
        assert service.call("GET", "/livez").status == 200
        assert service.call("GET", "/readyz").status == 200
        for target in ("/healthz/deep", "/auth/redis-health", "/auth/session-status"):
            answer = service.call("GET", target)
            assert answer.status == 503
            assert int(answer.headers["retry-after"]) >= 1
            assert str(nowhere).encode() not in answer.body
        page = service.call("GET", f"/client/iframe.html?session_id={UNKNOWN_ID}")
        assert page.status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_every_process_and_leaves_no_file(
    tmp_path: Path, kind: str, number: int
) -> None:
    with serving(tmp_path, kind=kind, store=MEMORY) as service:
        [worker] = service.workers()
        assert [*(tmp_path / "tmp").glob("guarita-metrics-*")]
        assert service.stop(number) == 0
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)
        assert not [*(tmp_path / "tmp").glob("guarita-metrics-*")]
        assert "Traceback" not in service.log()


def test_what_a_killed_service_leaves_is_removed_by_the_next_and_nothing_of_a_living_one(
    tmp_path: Path, kind: str
) -> None:
    def directories() -> set[Path]:
        return {*(tmp_path / "tmp").glob("*guarita-metrics-*")}

    with serving(tmp_path, kind=kind, store=MEMORY) as killed:
        (left,) = directories()
        workers = killed.workers()
        killed.process.kill()
        killed.process.wait()
        for worker in workers:
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
    with serving(tmp_path, kind=kind, store=MEMORY) as alive:
        (own,) = directories()
        assert own != left
        with serving(tmp_path, kind=kind, store=MEMORY) as other:
            assert directories() > {own}
            assert other.stop() == 0
        assert directories() == {own}
        assert alive.call("GET", "/metrics").status == 200


def test_a_stop_waits_for_who_is_being_answered_and_for_nobody_else(
    tmp_path: Path, kind: str
) -> None:
    [nowhere] = free_ports(1)
    where = {"host": "127.0.0.1", "port": nowhere}
    store = {"topology": "standalone", "standalone": where, "deadline_s": 3}
    with serving(tmp_path, kind=kind, store=store) as service, ThreadPoolExecutor(1) as callers:
        with socket.create_connection(("127.0.0.1", service.port), timeout=30) as idle:
            idle.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
            assert idle.recv(65_536)
            waiting = callers.submit(service.call, "GET", "/auth/session-status")
            assert wait_until(lambda: '"waiting":1' in service.log(), timeout_s=10)
            assert service.stop() == 0
            assert idle.recv(65_536) == b""
        assert waiting.result().status == 503


def test_a_missing_secret_is_said_once(memory: Running) -> None:
    assert memory.log().count("security.secret is not set") == 1


def test_a_taken_port_is_one_sentence_and_status_3(
    tmp_path: Path, kind: str, memory: Running
) -> None:
    server = {"kind": kind, "bind": f"127.0.0.1:{memory.port}"}
    process = start(tmp_path, server=server, store=MEMORY)
    assert process.wait(timeout=30) == 3
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert f"127.0.0.1:{memory.port}" in line
    assert "taken" in line


def test_an_address_of_another_machine_is_told_apart() -> None:
    with pytest.raises(TopologyError, match="cannot be listened at"):
        check_address("192.0.2.1:8000")
    with pytest.raises(TopologyError, match="no directory"):
        check_address("unix:/nowhere/guarita.sock")


def test_memory_in_several_processes_is_refused_with_status_2(tmp_path: Path) -> None:
    process = start(tmp_path, server={"workers": 2}, store=MEMORY)
    assert process.wait(timeout=30) == 2
    assert "server.workers" in (tmp_path / "log").read_text()


def test_a_unix_socket_is_served(tmp_path: Path, kind: str) -> None:
    bind = f"unix:{tmp_path / 's'}"
    process = start(tmp_path, server={"kind": kind, "bind": bind, "workers": 1}, store=MEMORY)
    try:
        assert wait_until(lambda: listens(tmp_path / "s"), timeout_s=60)
        assert _health(tmp_path) == 0, (tmp_path / "log").read_text()
    finally:
        process.terminate()
        assert process.wait(timeout=30) == 0
    assert _health(tmp_path) == 1


def test_with_reload_workers_take_up_a_change_of_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source/guarita"
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(guarita.__file__).parent, source, ignore=unwanted)
    monkeypatch.setenv("PYTHONPATH", str(source.parent))
    with serving(tmp_path, more={"reload": True}, store=MEMORY) as service:
        health = source / "api/health.py"
        health.write_text(health.read_text().replace("The store answers", "It is reloaded"))

        def says_so() -> bool:
            try:
                return service.call("GET", "/auth/redis-health").json["message"] == "It is reloaded"
            except (OSError, HTTPException):  # between the two workers
                return False

        assert wait_until(says_so, timeout_s=60)
        assert service.stop() == 0


def _health(directory: Path) -> int:
    command = [sys.executable, "-c", "from guarita.cli import main; main()"]
    return subprocess.run(
        [*command, "health", "--config", "guarita.yaml"],
        cwd=directory,
        capture_output=True,
        timeout=30,
        check=False,
    ).returncode


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /auth/validate-session?session_id=" + b"a" * 10_000 + CLOSING, 400),
        (b"GET /livez?planted-value nonsense\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nplanted-value\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\nX: planted-value\0\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\n" + b"X: planted-value\r\n" * 200 + b"\r\n", 431),
        (b"\x16\x03\x01planted-value\r\n\r\n", 400),
    ],
    ids=["10 kB id", "request line", "header", "NUL", "too many headers", "TLS"],
)
def test_what_is_not_http_is_answered_without_a_word_of_it_and_not_logged(
    memory: Running, kind: str, request_: bytes, status: int
) -> None:
    head, _, body = memory.raw(request_).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"planted-value" not in head + body
    assert "planted-value" not in memory.log()
    if kind == "granian" and not body:
        return  # its own answer
    assert b"application/problem+json" in head
    assert b"frame-ancestors 'none'" in head
    assert b"\r\nx-request-id: " in head.lower()
    assert json.loads(body)["status"] == status


def test_a_body_may_come_in_chunks(memory: Running) -> None:
    head = (
        b"POST /auth/create-session HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    assert memory.raw(head + b"2\r\n{}\r\n0\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    wrong = b'e\r\n{"unknown": 1}\r\n0\r\n\r\n'
    assert memory.raw(head + wrong).startswith(b"HTTP/1.1 400 ")
    large = b"5000\r\n" + b" " * 0x5000 + b"\r\n0\r\n\r\n"
    assert memory.raw(head + large).startswith(b"HTTP/1.1 413 ")
    assert memory.raw(head + b"no size\r\n{}\r\n0\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert "Traceback" not in memory.log()


def test_a_body_that_nobody_reads_does_not_cost_the_answer(memory: Running) -> None:
    for path, status in (("/nowhere", 404), ("/auth/create-session", 413)):
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 500000"
        request = head.encode() + b"\r\n\r\n" + b" " * 500_000
        assert memory.raw(request).startswith(b"HTTP/1.1 %d " % status)


def test_weird_targets_are_answered_without_a_traceback(memory: Running) -> None:
    for target in ("/%00", "/%ff%fe", "/..%2f..%2fetc/passwd", "//", "/auth/verify/", "/%", "*"):
        answer = memory.raw(
            f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
        )
        assert answer.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 400 ")), target
    assert "Traceback" not in memory.log()


def test_the_log_has_one_line_a_request_without_its_query(memory: Running) -> None:
    memory.call("GET", f"/auth/validate-session?session_id={UNKNOWN_ID}", X_Request_Id="find-me")
    found = [json.loads(line) for line in memory.log().splitlines() if "find-me" in line]
    (line,) = [line for line in found if line["event"] == "request"]
    assert (line["path"], line["status"]) == ("/auth/validate-session", 401)
    assert UNKNOWN_ID not in memory.log()


def test_an_answer_is_one_piece_with_or_without_a_body(memory: Running) -> None:
    with socket.create_connection(("127.0.0.1", memory.port), timeout=30) as connection:
        for method in ("GET", "HEAD", "GET"):
            connection.sendall(f"{method} /livez HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            head, end, body = connection.recv(65_536).partition(b"\r\n\r\n")
            assert (head[:9], end) == (b"HTTP/1.1 ", b"\r\n\r\n")
            assert bool(body) is (method == "GET")
