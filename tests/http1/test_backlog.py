"""The kernel's queue of connections that nobody has accepted yet."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from guarita.http1 import let_nobody_in, unaccepted


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how long the queue is")
def test_who_is_connected_and_not_accepted_is_counted() -> None:
    with ExitStack() as open_ones, socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        for _ in range(3):
            open_ones.enter_context(socket.create_connection(listener.getsockname()))
        assert unaccepted(listener) == 3
        listener.accept()[0].close()
        assert unaccepted(listener) == 2


def test_a_unix_socket_does_not_tell(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        assert unaccepted(listener) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can keep them out")
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_who_has_begun_is_let_in_and_nobody_after_him(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listener = socket.create_server((address, 0), family=family)
    except OSError as exc:
        pytest.skip(f"this machine has no {address}: {exc}")
    with listener:
        where = listener.getsockname()[:2]
        with socket.create_connection(where) as early:
            let_nobody_in(listener)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(where)
            early.sendall(b"asked")
            with listener.accept()[0] as accepted:
                assert accepted.recv(5) == b"asked"
                accepted.sendall(b"answered")
            assert early.recv(8) == b"answered"


def test_a_unix_socket_lets_in_as_before(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as caller:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        let_nobody_in(listener)
        caller.connect(str(tmp_path / "s"))
