"""What the kits' tests rest on, as far as it needs no engine."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from . import crowd
from .running import networks_of_worker

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"


@contextmanager
def cutting_off(words: bytes, *, reset: bool) -> Iterator[int]:
    """Somebody who says this much to one caller, and is gone."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with listener.accept()[0] as caller:
                caller.recv(4096)
                caller.sendall(words)
                if (
                    reset
                ):  # RST in place of FIN: https://man7.org/linux/man-pages/man7/socket.7.html
                    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        thread = threading.Thread(target=answer)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(
    ("words", "reset", "how"),
    [
        (b"", False, "lost"),
        (b"HTTP/1.1 2", False, "in_pieces"),
        (HEAD + b"half", False, "in_pieces"),
        (HEAD + b"half", True, "in_pieces"),
    ],
)
def test_an_answer_that_is_cut_off_has_failed(
    monkeypatch: pytest.MonkeyPatch, words: bytes, reset: bool, how: str
) -> None:
    monkeypatch.setattr(crowd, "counts", crowd.collections.Counter())
    with cutting_off(words, reset=reset) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        assert crowd.call(connection, is_new=True)
    assert crowd.counts == {how: 1}
    assert connection.sock is None


def test_two_workers_never_draw_the_same_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")
    drawn = []
    for worker in ("gw0", "gw1"):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
        drawn.append(set(networks_of_worker()))
    assert min(map(len, drawn)) > 50
    assert drawn[0].isdisjoint(drawn[1])
