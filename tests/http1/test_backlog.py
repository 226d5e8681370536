"""The kernel's queue of connections that nobody has accepted yet."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from guarita.http1 import unaccepted


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
