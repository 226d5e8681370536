"""What `guarita serve` does of its own under granian."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from guarita.config import Settings
from guarita.processes import wait_until
from guarita.server import stop_s
from guarita.topology.local.ports import free_ports
from serving import MEMORY, Running, serving, start

granian = pytest.importorskip(
    "guarita.server.granian",
    reason="granian is not installed: the extra of this name",
    exc_type=ModuleNotFoundError,
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("service"), kind="granian", store=MEMORY) as running:
        yield running


def send(service: Running, request: bytes) -> socket.socket:
    """A connection on which this was sent."""
    connection = socket.create_connection(("127.0.0.1", service.port), timeout=30)
    connection.sendall(request)
    return connection


POST = b"POST /auth/create-session HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


def test_whoever_waits_beyond_the_cap_is_refused_and_probes_are_answered(tmp_path: Path) -> None:
    [nowhere] = free_ports(1)
    where = {"host": "127.0.0.1", "port": nowhere}
    store = {"topology": "standalone", "standalone": where, "deadline_s": 20, "max_waiting": 700}
    ask = b"GET /auth/session-status HTTP/1.1\r\nHost: a\r\n\r\n"
    with ExitStack() as stack:
        service = stack.enter_context(serving(tmp_path, kind="granian", store=store))
        for _ in range(700):
            stack.enter_context(send(service, ask))
        waiting = b"\nguarita_store_waiting_requests 700.0\n"
        assert wait_until(lambda: waiting in service.call("GET", "/metrics").body, timeout_s=15)
        refused = service.call("GET", "/auth/session-status")
        assert refused.status == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert "700 requests wait already" in service.log()
        assert service.call("GET", "/livez").status == 200


SLOW = POST + b"Content-Length: 20\r\n\r\n{"


def test_slow_bodies_hold_nobody_else_up(service: Running) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(send(service, SLOW)) for _ in range(700)]
        assert service.call("POST", "/auth/create-session", {}).status == 200
        assert service.call("GET", "/auth/session-status").status == 200
        slow[0].sendall(b" " * 18 + b"}")
        assert slow[0].recv(65_536).startswith(b"HTTP/1.1 200 ")


def test_a_body_that_stalls_is_answered_408_and_holds_no_stop_up(tmp_path: Path) -> None:
    with serving(tmp_path, kind="granian", store=MEMORY) as service:
        with send(service, SLOW) as slow:
            service.call("GET", "/livez")
            assert service.stop() == 0
            assert slow.recv(65_536).startswith(b"HTTP/1.1 408 ")
        # It ended by itself, before the limit at which granian kills. (That it does so it says also
        # of a worker that has closed everything and is still ending a millisecond later.)
        lines = [json.loads(line) for line in service.log().splitlines()]
        told = {each["event"]: each["timestamp"] for each in lines}
        began, ended = (
            datetime.fromisoformat(told[event])
            for event in ("Shutting down granian", "Stopped worker-1")
        )
        assert ended - began < timedelta(seconds=stop_s(Settings()) - 1)


def test_a_body_that_breaks_off_makes_no_ticket(service: Running) -> None:
    def created() -> int:
        return int(service.call("GET", "/auth/session-status").json["total_created"])

    before = created()
    broken = POST + b"X-Request-Id: broken\r\nContent-Length: 20\r\n\r\n{}"
    with send(service, broken) as connection:
        connection.shutdown(socket.SHUT_WR)
        connection.recv(65_536)
    assert wait_until(lambda: '"request_id":"broken"' in service.log(), timeout_s=10)
    assert created() == before


def test_fields_that_come_twice_are_one(service: Running) -> None:
    id = service.call("POST", "/auth/create-session", {}).json["session_id"]
    redeemed = service.call("POST", "/auth/redeem", {"session_id": id, "attempt": "attempt-1"})
    cookie = f"Cookie: __Host-guarita={redeemed.json['session_token']}\r\n"
    for cookies in (f"Cookie: other=1\r\n{cookie}", f"{cookie}Cookie: other=1\r\n"):
        head = f"GET /auth/verify HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{cookies}\r\n"
        assert service.raw(head.encode()).startswith(b"HTTP/1.1 200 ")


def test_a_trusted_proxy_tells_the_address_and_nobody_else_does(tmp_path: Path) -> None:
    proxies = {"trusted_proxies": ["127.0.0.0/8"]}
    with serving(tmp_path, kind="granian", store=MEMORY, more=proxies) as service:
        head = b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        fields = b"X-Forwarded-For: 192.0.2.2\r\nX_Forwarded_For: 192.0.2.1\r\n"
        assert service.raw(head + fields + b"\r\n").startswith(b"HTTP/1.1 200 ")
        assert '"address":"192.0.2.2"' in service.log()
        assert "192.0.2.1" not in service.log()


def test_names_with_an_underscore_are_dropped(service: Running) -> None:
    head = b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    planted = service.raw(head + b"X_Request_Id: planted\r\n\r\n")
    assert planted.startswith(b"HTTP/1.1 200 ")
    assert b"planted" not in planted


def test_chunks_that_are_none_are_taken_for_a_body_that_broke_off(service: Running) -> None:
    head = POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = service.raw(head + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == 400


def test_http_2_is_not_spoken(service: Running) -> None:
    assert service.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == b""


def test_a_worker_that_dies_is_replaced_and_its_gauges_forgotten(tmp_path: Path) -> None:
    [nowhere] = free_ports(1)
    store = {"topology": "standalone", "standalone": {"host": "127.0.0.1", "port": nowhere}}
    with serving(tmp_path, kind="granian", store=store) as service:
        [first] = service.workers()

        def gauges() -> list[str]:
            return [path.name for path in (tmp_path / "tmp").glob("*/gauge_live*.db")]

        assert wait_until(lambda: any(str(first) in name for name in gauges()), timeout_s=10)
        os.kill(first, signal.SIGKILL)
        assert wait_until(lambda: len(service.workers()) == 2, timeout_s=20)
        second = service.workers()[-1]
        assert wait_until(lambda: any(str(second) in name for name in gauges()), timeout_s=20)
        assert not any(str(first) in name for name in gauges())
        assert wait_until(service.is_up, timeout_s=20)
        assert service.stop() == 0


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    with serving(tmp_path, kind="granian", store=MEMORY) as service:
        [worker] = service.workers()
        service.process.kill()
        assert wait_until(lambda: not Path(f"/proc/{worker}/cmdline").exists(), timeout_s=20)


def test_a_worker_that_is_still_starting_ends_with_its_parent(tmp_path: Path) -> None:
    [port] = free_ports(1)
    server = {"kind": "granian", "bind": f"127.0.0.1:{port}", "workers": 1}
    service = Running(start(tmp_path, server=server, store=MEMORY), port, tmp_path)
    try:
        assert wait_until(service.workers, timeout_s=30)
    finally:
        service.process.kill()
        service.process.wait()
    [worker] = service.workers()
    try:
        assert wait_until(lambda: not Path(f"/proc/{worker}/cmdline").exists(), timeout_s=20)
    finally:
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)


def test_variables_of_the_environment_are_no_headers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_X_REQUEST_ID", "planted-value")
    with serving(tmp_path, kind="granian", store=MEMORY) as service:
        assert service.call("GET", "/livez").headers["x-request-id"] != "planted-value"


def test_the_socket_of_a_service_that_was_killed_is_taken_over(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(tmp_path / "s"))
    bind = {"kind": "granian", "bind": f"unix:{tmp_path / 's'}", "workers": 1}
    process = start(tmp_path, server=bind, store=MEMORY)

    def is_up() -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(tmp_path / "s")) == 0

    try:
        assert wait_until(is_up, timeout_s=30), (tmp_path / "log").read_text()
    finally:
        process.terminate()
        assert process.wait(timeout=30) == 0


def test_without_the_extra_it_is_one_sentence_and_status_2(tmp_path: Path) -> None:
    (tmp_path / "guarita.yaml").write_text(
        json.dumps({"server": {"kind": "granian", "workers": 1}, "store": MEMORY})
    )
    hidden = "import sys; sys.modules['granian'] = None; from guarita.cli import main; main()"
    answer = subprocess.run(
        [sys.executable, "-c", hidden, "--config", "guarita.yaml", "serve"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert answer.returncode == 2
    text = "server.kind: granian needs the extra: pip install 'guarita[granian]'"
    assert answer.stderr.splitlines() == [text]
