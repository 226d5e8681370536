from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from guarita.deadline import Deadline
from guarita.errors import Rejected, StoreOutcomeUnknown, StoreUnavailable
from guarita.regions import MAX_ANSWER_BYTES, Answer, Call, Regions

CALL = Call("GET", "/auth/verify?a=b", {"X-Request-Id": "r1"}, b"")


@contextmanager
def peer(answer: Callable[[socket.socket, bytes], None]) -> Iterator[str]:
    """A server that reads one request's head and lets `answer` do the rest; yields its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    head = b""
                    while b"\r\n\r\n" not in head:
                        head += connection.recv(65_536)
                    answer(connection, head)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)
        assert not thread.is_alive()


def send(url: str, *, seconds: float = 5) -> Answer:
    return Regions("eu-west", {"us-east": url}).send(
        "us-east", CALL, deadline=Deadline.after(seconds)
    )


def response(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


def test_the_answer_comes_back_as_it_is() -> None:
    heads: list[bytes] = []

    def answer(connection: socket.socket, head: bytes) -> None:
        heads.append(head)
        connection.sendall(response(b"{}", "X-Guarita-Region: us-east", "X-A: 1", status="401 No"))

    with peer(answer) as url:
        got = send(f"{url}/prefix")
    assert (got.status, got.body) == (401, b"{}")
    assert ("X-A", "1") in got.headers
    assert heads[0].startswith(b"GET /prefix/auth/verify?a=b HTTP/1.1\r\n")
    assert b"X-Request-Id: r1\r\n" in heads[0]


def test_a_region_that_is_no_peer_is_not_acceptable() -> None:
    with pytest.raises(Rejected):
        Regions("eu-west", {}).send("us-east", CALL, deadline=Deadline.after(5))


def test_a_peer_that_is_not_reached_changed_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(StoreUnavailable):
        send(f"http://127.0.0.1:{port}")


def test_no_time_left_asks_nobody() -> None:
    with pytest.raises(StoreUnavailable):
        send("http://127.0.0.1:1", seconds=0)


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"not http\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Guarita-Region: us-east\r\nContent-Length: 10\r\n\r\nshort",
        response(b"<html>", status="502 Bad Gateway"),
        response(b"{}", "X-Guarita-Region: ap-south"),
        response(b"x" * (MAX_ANSWER_BYTES + 1), "X-Guarita-Region: us-east"),
    ],
    ids=["nothing", "no HTTP", "cut off", "a proxy", "another region", "too long"],
)
def test_an_answer_that_is_not_the_regions_own_is_an_unknown_outcome(reply: bytes) -> None:
    def answer(connection: socket.socket, _head: bytes) -> None:
        with suppress(OSError):
            connection.sendall(reply)

    with peer(answer) as url, pytest.raises(StoreOutcomeUnknown):
        send(url)


def test_a_silent_peer_costs_no_more_than_the_deadline() -> None:
    gone = threading.Event()
    with peer(lambda _connection, _head: (gone.wait(10), None)[1]) as url:
        try:
            with pytest.raises(StoreOutcomeUnknown):
                send(url, seconds=0.2)
            assert not gone.is_set()
        finally:
            gone.set()


def test_a_peer_that_drips_costs_no_more_than_the_deadline() -> None:
    gone = threading.Event()

    def answer(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        stop_at = time.monotonic() + 10
        with suppress(OSError):
            while not gone.wait(0.02) and time.monotonic() < stop_at:
                connection.sendall(b"x")

    with peer(answer) as url:
        try:
            with pytest.raises(StoreOutcomeUnknown, match=r"deadline|timed out"):
                send(url, seconds=0.3)
        finally:
            gone.set()
