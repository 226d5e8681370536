"""Connections: several requests on one, how they are cut, time limits, the end of the server."""

from __future__ import annotations

import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guarita.http1 import Limits

from http1 import echo
from http1.conftest import Answer, Loop, gunicorn, read_all, read_answers, threads

LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
MANY = (
    b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nfirst"
    b"GET /pieces HTTP/1.1\r\nHost: a\r\n\r\n"
    b"\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"6\r\nsecond\r\n0\r\nX: y\r\n\r\n"
    b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n" + LAST
)


def _told(answers: list[Answer]) -> list[tuple[int, bytes]]:
    return [(answer.status, answer.body) for answer in answers]


EXPECTED = [(200, b"first"), (200, b"one, two"), (200, b"second"), (204, b""), (200, b"ok")]


def test_requests_sent_at_once_are_answered_in_order(loop: Loop) -> None:
    assert _told(read_answers(loop.raw(MANY))) == EXPECTED


def test_requests_that_come_by_the_byte_are_answered_the_same(loop: Loop) -> None:
    pieces = [MANY[at : at + 1] for at in range(len(MANY))]
    assert _told(read_answers(loop.raw(*pieces))) == EXPECTED


def test_who_sends_without_a_pause_does_not_keep_others_from_answers(loop: Loop) -> None:
    flood = LAST.replace(b"Connection: close\r\n", b"") * 500
    over = threading.Event()
    with loop.connect() as connection, ThreadPoolExecutor() as pool:

        def send() -> None:
            while not over.is_set():
                connection.sendall(flood)

        def read() -> None:
            while not over.is_set():
                assert connection.recv(1_000_000)

        sending, reading = pool.submit(send), pool.submit(read)
        try:
            for _ in range(5):
                assert loop.get("/").status == 200
            assert not sending.done()
            assert not reading.done()
        finally:
            over.set()
            connection.shutdown(socket.SHUT_RDWR)


each_cut = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(cuts=st.lists(st.integers(1, len(MANY) - 1), max_size=12))
@each_cut
def test_however_requests_are_cut_the_answers_are_the_same(loop: Loop, cuts: list[int]) -> None:
    ends = [0, *sorted(set(cuts)), len(MANY)]
    pieces = [MANY[a:b] for a, b in pairwise(ends)]
    assert _told(read_answers(loop.raw(*pieces))) == EXPECTED


pieces_of_requests = (
    *(b"GET ", b"POST ", b"/", b"/echo", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\n", b"\r", b":"),
    *(b"Host: a", b"\r\nHost: a\r\n\r\n", b"Content-Length: 3\r\n", b"Expect: 100-continue\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n", b"\0", b" ", b"\xff"),
    b"a" * 9000,
)
words = st.sampled_from(pieces_of_requests)
noise = st.one_of(st.binary(max_size=200), st.lists(words, max_size=20).map(b"".join))


@given(data=noise)
@settings(parent=each_cut, max_examples=150)
def test_nothing_that_a_caller_sends_is_a_failure_of_ours(loop: Loop, data: bytes) -> None:
    with loop.connect() as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        try:
            received = read_all(connection)
        except ConnectionResetError:
            received = b""
    assert not re.search(rb"HTTP/1.1 5", received)
    assert loop.get("/").status == 200
    assert loop.reports == []
    if loop.log is not None:
        assert "Traceback" not in loop.log.read_text()


@pytest.mark.parametrize(
    ("version", "header", "stays"),
    [
        ("1.1", "X: y", True),
        ("1.1", "Connection: keep-alive", True),
        ("1.1", "Connection: close", False),
        ("1.1", "Connection: Keep-Alive, Close", False),
        ("1.0", "X: y", False),
        ("1.0", "Connection: Keep-Alive", True),
        ("1.0", "Connection: close", False),
    ],
)
def test_a_connection_stays_as_the_caller_asks(
    loop: Loop, version: str, header: str, stays: bool
) -> None:
    request = f"GET / HTTP/{version}\r\nHost: a\r\n{header}\r\n\r\n".encode()
    answers = read_answers(loop.raw(request + LAST))
    assert len(answers) == (2 if stays else 1)
    said = answers[0].headers.get("connection")
    assert said == {True: "keep-alive" if version == "1.0" else None, False: "close"}[stays]


def test_the_application_may_end_a_connection(loop: Loop) -> None:
    (answer,) = read_answers(loop.raw(b"GET /says-close HTTP/1.1\r\nHost: a\r\n\r\n" * 2))
    assert answer.headers["connection"] == "close"


def test_a_connection_without_a_request_is_closed_in_silence(hasty: Loop) -> None:
    assert hasty.raw() == b""
    received = hasty.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert len(read_answers(received)) == 1


def _drip(connection: socket.socket, piece: bytes) -> bytes:
    """Send a byte now and then, and return what comes back until the loop closes."""
    connection.settimeout(0.1)
    received, give_up = b"", time.monotonic() + 20
    while time.monotonic() < give_up:
        try:
            connection.sendall(piece)
            chunk = connection.recv(65_536)
            if not chunk:
                return received
            received += chunk
        except TimeoutError:
            continue
        except ConnectionError:
            return received
    raise AssertionError("the loop goes on with it")


HEAD = b"POST /echo HTTP/1.1\r\nHost: a\r\n"
SIZED = HEAD + b"Content-Length: 500\r\n\r\n"


@pytest.mark.parametrize(
    "beginning",
    [
        b"GET / HT",
        HEAD,
        SIZED,
        SIZED + b"half of it",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5",
        HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n",
    ],
    ids=["line", "head", "no body", "body", "chunk", "size", "asked"],
)
def test_who_stalls_within_a_request_gets_408(hasty: Loop, beginning: bytes) -> None:
    answer = hasty.ask(beginning)
    assert (answer.status, answer.headers["connection"]) == (408, "close")


def test_who_sends_a_byte_now_and_then_gets_408(hasty: Loop) -> None:
    for beginning, piece in ((b"GET /", b"a"), (HEAD + b"X: ", b"a"), (SIZED, b"a")):
        with hasty.connect() as connection:
            connection.sendall(beginning)
            (answer,) = read_answers(_drip(connection, piece))
        assert answer.status == 408


def test_an_application_may_answer_for_a_late_body_itself(hasty: Loop) -> None:
    answer = hasty.ask(SIZED.replace(b"/echo", b"/catch"))
    assert answer.json == ["LateError"] * 2
    assert answer.headers["connection"] == "close"


def test_a_body_that_nobody_reads_is_not_waited_for_without_end(hasty: Loop) -> None:
    assert hasty.ask(SIZED.replace(b"/echo", b"/")).status == 200


def test_who_does_not_take_the_answer_is_dropped(hasty: Loop) -> None:
    echo.closed.clear()
    with hasty.connect() as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        _until(lambda: "/large" in hasty.said())
        received = 0
        try:
            while chunk := connection.recv(1_000_000):
                received += len(chunk)
        except ConnectionResetError:
            pass
    assert 0 < received < echo.LARGE


def _until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.02)


@pytest.fixture
def stopping(tmp_path: Path) -> Iterator[Loop]:
    """A gunicorn for the test to stop."""
    with gunicorn(tmp_path) as running:
        yield running


def test_a_request_in_flight_is_finished_when_the_server_stops(stopping: Loop) -> None:
    answer = stopping.ask(b"GET /stop HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (answer.body, answer.headers["connection"]) == (b"finished", "close")
    assert stopping.process is not None
    assert stopping.process.wait(timeout=30) == 0


def test_a_connection_without_a_request_does_not_keep_the_server_from_stopping(
    stopping: Loop,
) -> None:
    with stopping.connect() as idle, stopping.connect() as fresh:
        idle.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert idle.recv(65_536)
        assert stopping.process is not None
        stopping.process.send_signal(signal.SIGTERM)
        assert (read_all(idle), read_all(fresh)) == (b"", b"")
        assert stopping.process.wait(timeout=30) == 0
    assert stopping.log is not None
    assert "Traceback" not in stopping.log.read_text()


def test_a_stop_closes_connections_without_a_request_and_says_so_to_others() -> None:
    limits = Limits(keep_alive_s=600, parting_s=0.2)
    with threads(limits) as loop, loop.connect() as idle, loop.connect() as busy:
        assert loop.server is not None
        idle.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert idle.recv(65_536)
        busy.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert busy.recv(65_536).startswith(b"HTTP/1.1 100 ")
        loop.server.is_stopping = True
        assert read_all(idle) == b""
        busy.sendall(b"{}")
        (answer,) = read_answers(read_all(busy))
        assert (answer.status, answer.headers["connection"]) == (200, "close")


def test_a_request_on_a_kept_connection_is_answered_while_the_server_stops() -> None:
    """It may have been under way before its caller could know."""
    limits = Limits(keep_alive_s=600, parting_s=60)
    with threads(limits) as loop, loop.connect() as kept:
        assert loop.server is not None
        kept.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        (answer,) = read_answers(kept.recv(65_536))
        assert "connection" not in answer.headers
        loop.server.is_stopping = True
        for _ in range(3):
            loop.server.sweep()
        kept.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        (answer,) = read_answers(read_all(kept))
    assert (answer.status, answer.headers["connection"]) == (200, "close")


def test_a_caller_on_a_unix_socket_has_no_address(tmp_path: Path) -> None:
    with gunicorn(tmp_path, unix=True) as running:
        environ = running.get("/environ").json
    assert environ["REMOTE_ADDR"] == ""
    assert "REMOTE_PORT" not in environ
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("localhost", "80")


@pytest.fixture(scope="module")
def guarita(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    """The service itself, with time limits that a test can wait for."""
    directory = tmp_path_factory.mktemp("guarita")
    with gunicorn(directory, worker="http1.echo.HastyWorker", app="guarita") as running:
        yield running


@pytest.mark.parametrize(
    ("request_", "status", "kind"),
    [
        (b"GET /livez HTTP/1.1\r\nplanted-value\r\n\r\n", 400, "malformed"),
        (b"GET /livez?planted-value HTTP/1.1\r\nHost: a\r\nHo", 408, "http-408"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: planted-value\r\n\r\n", 417, "http-417"),
        (b"GET / HTTP/1.1\r\n" + b"X: planted-value\r\n" * 101 + b"\r\n", 431, "http-431"),
        (
            b"POST /auth/create-session HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b'Content-Length: 99\r\n\r\n{"subject": "planted-value',
            408,
            "http-408",
        ),
        (
            b"POST /auth/create-session HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\nplanted-value\r\n",
            400,
            "malformed",
        ),
    ],
    ids=["no request", "late head", "expectation", "too many", "late body", "broken body"],
)
def test_a_refusal_is_one_of_our_problems_and_repeats_nothing(
    guarita: Loop, request_: bytes, status: int, kind: str
) -> None:
    answer = guarita.ask(request_)
    problem: dict[str, Any] = answer.json
    assert answer.status == problem["status"] == status
    assert problem["type"] == f"urn:guarita:problem:{kind}"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["content-security-policy"].endswith("frame-ancestors 'none'")
    assert answer.headers["cache-control"] == "no-store"
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
    assert b"planted" not in answer.body
    assert guarita.log is not None
    assert "planted" not in guarita.log.read_text()
