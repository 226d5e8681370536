"""Applications that the HTTP loop serves in these tests, and its worker with little patience."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

from guarita.http1 import Limits

Start = Callable[..., Callable[[bytes], None]]
Reply = Callable[[dict[str, Any], Start], Iterable[bytes]]

LARGE = 20_000_000
HASTY = Limits(keep_alive_s=0.5, head_s=0.5, stall_s=0.5, body_s=1.5, send_s=0.5, linger_s=0.5)
PLAIN = [("Content-Type", "text/plain")]

closed: list[str] = []
"""Paths whose answers were closed, where the application runs in this process."""


class Closing:
    """An answer in pieces that tells when it is closed."""

    def __init__(self, path: str, pieces: Iterable[bytes]) -> None:
        self._path = path
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)

    def close(self) -> None:
        closed.append(self._path)
        print("closed", self._path, file=sys.stderr, flush=True)  # noqa: T201


def app(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    """What the path asks for."""
    return REPLIES[environ["PATH_INFO"]](environ, start)


def _environ(environ: dict[str, Any], start: Start) -> list[bytes]:
    start("200 OK", PLAIN)
    return [json.dumps({k: v for k, v in environ.items() if isinstance(v, str)}).encode()]


def _echo(environ: dict[str, Any], start: Start) -> list[bytes]:
    body = environ["wsgi.input"].read()
    start("200 OK", PLAIN)
    return [body]


def _lines(environ: dict[str, Any], start: Start) -> list[bytes]:
    stream = environ["wsgi.input"]
    read = [stream.read(2), stream.readline(), *stream, stream.read(1), stream.readline()]
    start("200 OK", PLAIN)
    return [json.dumps([piece.decode() for piece in read]).encode()]


def _catch(environ: dict[str, Any], start: Start) -> list[bytes]:
    names = []
    for _ in range(2):
        try:
            environ["wsgi.input"].read()
        except OSError as exc:
            names.append(type(exc).__name__)
    start("200 OK", PLAIN)
    return [json.dumps(names).encode()]


def _answer(status: str, headers: list[tuple[str, str]], *pieces: bytes) -> Reply:
    def reply(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        start(status, headers)
        return Closing(environ["PATH_INFO"], pieces)

    return reply


def _list(status: str, headers: list[Any], *pieces: bytes) -> Reply:
    def reply(_environ: dict[str, Any], start: Start) -> list[bytes]:
        start(status, headers)
        return [*pieces]

    return reply


def _write(_environ: dict[str, Any], start: Start) -> list[bytes]:
    write = start("200 OK", PLAIN)
    write(b"written, ")
    write(b"")
    return [b"returned"]


def _late_start(environ: dict[str, Any], start: Start) -> Iterator[bytes]:
    yield b""
    start("200 OK", PLAIN)
    yield b"late"


def _failing(environ: dict[str, Any], start: Start) -> Iterator[bytes]:
    start("200 OK", PLAIN)
    yield b"begun"
    raise RuntimeError("failed on the way")


def _restart(start: Start) -> None:
    try:
        int("no number")
    except ValueError:
        start("503 Service Unavailable", PLAIN, sys.exc_info())


def _replaced(_environ: dict[str, Any], start: Start) -> list[bytes]:
    start("200 OK", [("X-First", "1"), ("Content-Length", "99")])
    _restart(start)
    return [b"replaced"]


def _replaced_too_late(_environ: dict[str, Any], start: Start) -> list[bytes]:
    start("200 OK", [("Content-Length", "9")])(b"begun")
    _restart(start)
    return [b"never"]


def _twice(_environ: dict[str, Any], start: Start) -> list[bytes]:
    start("200 OK", PLAIN)
    start("200 OK", PLAIN)
    return []


def _raise(_environ: dict[str, Any], _start: Start) -> list[bytes]:
    raise RuntimeError("failed at once")


def _stop(environ: dict[str, Any], start: Start) -> list[bytes]:
    """Answer only when the server, told to stop by this request, listens no more."""
    os.kill(os.getppid(), signal.SIGTERM)
    give_up = time.monotonic() + 20
    with suppress(ConnectionRefusedError):
        while time.monotonic() < give_up:
            socket.create_connection((environ["SERVER_NAME"], environ["SERVER_PORT"])).close()
            time.sleep(0.05)
    start("200 OK", PLAIN)
    return [b"finished"]


REPLIES: dict[str, Reply] = {
    "/": _list("200 OK", PLAIN, b"ok"),
    "/environ": _environ,
    "/caf\xc3\xa9/ a": _environ,
    "*": _environ,
    "/echo": _echo,
    "/lines": _lines,
    "/catch": _catch,
    "/none": _list("204 No Content", [("Content-Length", "0")]),
    "/talkative none": _answer("204 No Content", [], b"must not be sent"),
    "/not-modified": _list("304 Not Modified", [("ETag", '"a"')], b"must not be sent"),
    "/pieces": _answer("200 OK", PLAIN, b"one, ", b"", b"two"),
    "/sized": _answer("200 OK", [("Content-Length", "8")], b"one, ", b"two"),
    "/short": _answer("200 OK", [("Content-Length", "9")], b"one, ", b"two"),
    "/long": _answer("200 OK", [("Content-Length", "7")], b"one, ", b"two"),
    "/empty": _list("200 OK", PLAIN),
    "/write": _write,
    "/late-start": _late_start,
    "/failing": _failing,
    "/replaced": _replaced,
    "/replaced-too-late": _replaced_too_late,
    "/twice": _twice,
    "/raise": _raise,
    "/no-start": lambda _environ, _start: [b"lost"],
    "/large": lambda environ, start: _answer("200 OK", PLAIN, bytes(LARGE))(environ, start),
    "/says-close": _list("200 OK", [("Connection", "close")], b"ok"),
    "/hop-by-hop": _list("200 OK", [("Transfer-Encoding", "chunked"), ("Upgrade", "x")], b"ok"),
    "/dated": _list("200 OK", [("Date", "today"), ("Server", "own")], b"ok"),
    "/latin": _list("200 OK", [("X-Latin", "\xe9")], b"ok"),
    "/split-value": _list("200 OK", [("X-A", "a\r\nX-B: planted")], b"ok"),
    "/split-lf": _list("200 OK", [("X-A", "a\nX-B: planted")], b"ok"),
    "/split-name": _list("200 OK", [("X-A: a\r\nX-B", "planted")], b"ok"),
    "/odd-name": _list("200 OK", [("X-A:", "planted")], b"ok"),
    "/split-status": _list("200 OK\r\nX-B: planted", [], b"ok"),
    "/not-latin": _list("200 OK", [("X-A", "\u20ac")], b"ok"),
    "/not-text": _list("200 OK", [("X-A", 1)], b"ok"),
    "/wrong-length": _list("200 OK", [("Content-Length", "-1")], b"ok"),
    "/two-lengths": _list("200 OK", [("Content-Length", "2"), ("Content-Length", "2")], b"ok"),
    "/early-status": _list("100 Continue", [], b""),
    "/stop": _stop,
}


def hasty_worker() -> type[Any]:
    """Called in the gunicorn process alone: importing the worker loads gevent."""
    from guarita.worker import Worker

    return type("Hasty", (Worker,), {"limits": HASTY, "sweep_s": 0.02})


def __getattr__(name: str) -> Any:
    if name == "HastyWorker":
        return hasty_worker()
    if name == "guarita":
        from guarita.config import Settings
        from guarita.wsgi import build

        return build(Settings.model_validate({"store": {"topology": "memory"}}))
    raise AttributeError(name)
