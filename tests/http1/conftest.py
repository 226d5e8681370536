"""The HTTP loop on a real socket: with threads in this process, and in gunicorn's worker."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from guarita.http1 import Limits, Refusal, Server, base_environ
from guarita.topology.local.ports import free_ports

from http1 import echo
from http1.echo import HASTY, app


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    is_whole: bool = True

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def read_answers(data: bytes, *methods: str) -> list[Answer]:
    """All answers in these bytes, the way RFC 9112 cuts them; `methods` asked for them."""
    answers: list[Answer] = []
    while data:
        head, end, data = data.partition(b"\r\n\r\n")
        assert end, head
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        assert len(headers) == len(lines), head
        method = methods[len(answers)] if len(answers) < len(methods) else "GET"
        body, is_whole = b"", True
        if int(status) == 100:
            continue
        if method != "HEAD" and int(status) not in (204, 304):
            body, data, is_whole = _body(headers, data)
        answers.append(Answer(int(status), headers, body, is_whole))
    return answers


def _body(headers: dict[str, str], data: bytes) -> tuple[bytes, bytes, bool]:
    if "content-length" in headers:
        length = int(headers["content-length"])
        return data[:length], data[length:], len(data) >= length
    if headers.get("transfer-encoding") != "chunked":
        assert headers["connection"] == "close"
        return data, b"", True
    body = b""
    while match := re.match(rb"([0-9a-f]+)\r\n", data):
        size, data = int(match[1], 16), data[match.end() :]
        body += data[:size]
        assert data[size : size + 2] == b"\r\n"
        data = data[size + 2 :]
        if size == 0:
            return body, data, True
    return body, data, False


@dataclass(slots=True)
class Loop:
    """Where the loop listens, and what it reported."""

    address: Any
    reports: list[str] = field(default_factory=list)
    log: Path | None = None
    process: subprocess.Popen[bytes] | None = None
    server: Server | None = None

    def connect(self) -> socket.socket:
        family = socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET
        connection = socket.socket(family)
        connection.settimeout(30)
        try:
            connection.connect(self.address)
        except OSError:
            connection.close()
            raise
        return connection

    def raw(self, *pieces: bytes) -> bytes:
        """All that comes back to these bytes, each sent by itself, until the loop closes."""
        with self.connect() as connection:
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for piece in pieces:
                with suppress(BrokenPipeError, ConnectionResetError):
                    connection.sendall(piece)
            return read_all(connection)

    def ask(self, *pieces: bytes) -> Answer:
        """The one answer."""
        (answer,) = read_answers(self.raw(*pieces))
        return answer

    def said(self) -> str:
        """What the applications printed."""
        return "\n".join(echo.closed) if self.log is None else self.log.read_text()

    def get(self, path: str, *headers: str, method: str = "GET") -> Answer:
        lines = [f"{method} {path} HTTP/1.1", "Host: a", *headers, "Connection: close", "", ""]
        (answer,) = read_answers(self.raw("\r\n".join(lines).encode("latin-1")), method)
        return answer


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while chunk := connection.recv(65_536):
        received += chunk
    return received


def _refuse(status: int) -> Refusal:
    return Refusal(f"{status} Refused", [("X-Refused", "1")], b"refused")


@contextmanager
def threads(limits: Limits) -> Iterator[Loop]:
    """The loop in threads of this process."""
    loop = Loop(None)
    server = Server(
        app,
        refuse=_refuse,
        report=lambda exc: loop.reports.append(f"{type(exc).__name__}: {exc}"),
        limits=limits,
    )
    loop.server = server
    over = threading.Event()

    def sweep() -> None:
        while not over.wait(0.02):
            server.sweep()

    def accept(listener: socket.socket, base: dict[str, Any]) -> None:
        while not over.is_set():
            with suppress(OSError):
                connection, address = listener.accept()
                arguments = (connection, address, base)
                threading.Thread(target=server.serve, args=arguments, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        loop.address = listener.getsockname()
        base = base_environ(loop.address, errors=sys.stderr, is_multiprocess=False)
        accepting = threading.Thread(target=accept, args=(listener, base), daemon=True)
        threading.Thread(target=sweep, daemon=True).start()
        accepting.start()
        try:
            yield loop
        finally:
            over.set()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            accepting.join(10)


@contextmanager
def gunicorn(
    directory: Path, *, worker: str = "guarita.worker.Worker", app: str = "app", unix: bool = False
) -> Iterator[Loop]:
    """The loop in our worker under a real gunicorn."""
    [port] = free_ports(1)
    bind = f"unix:{directory / 's'}" if unix else f"127.0.0.1:{port}"
    log = directory / "log"
    keep_alive = "1" if "Hasty" in worker else "5"
    command = [sys.executable, "-m", "gunicorn", "--workers", "1", "--worker-class", worker]
    command += ["--bind", bind, "--keep-alive", keep_alive, "--no-control-socket"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, f"http1.echo:{app}"],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
            cwd=directory,
            stdout=output,
            stderr=output,
        )
    loop = Loop(str(directory / "s") if unix else ("127.0.0.1", port), log=log, process=process)
    try:
        _wait_until_it_answers(loop)
        yield loop
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        finally:
            process.kill()
            process.wait()


def _wait_until_it_answers(loop: Loop) -> None:
    assert loop.process is not None
    assert loop.log is not None
    give_up = time.monotonic() + 60
    while True:
        assert loop.process.poll() is None, loop.log.read_text()
        assert time.monotonic() < give_up, loop.log.read_text()
        with suppress(OSError):
            loop.raw(b"GET / HTTP/1.0\r\n\r\n")  # gunicorn listens before its worker answers
            return
        time.sleep(0.05)


@pytest.fixture(scope="module", params=["threads", "gunicorn"])
def loop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Loop]:
    """With the time limits of the service."""
    directory = tmp_path_factory.mktemp("loop")
    with threads(Limits()) if request.param == "threads" else gunicorn(directory) as running:
        yield running


@pytest.fixture(scope="module", params=["threads", "gunicorn"])
def hasty(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Loop]:
    """With time limits that a test can wait for."""
    if request.param == "threads":
        with threads(HASTY) as running:
            yield running
        return
    directory = tmp_path_factory.mktemp("hasty")
    with gunicorn(directory, worker="http1.echo.HastyWorker") as running:
        yield running


@pytest.fixture
def here() -> Iterator[Loop]:
    """In this process, by itself."""
    with threads(Limits()) as running:
        yield running
