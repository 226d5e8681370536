"""The relay of a drill in a cluster ends connections as `kubectl port-forward` bears it."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from guarita.processes import wait_until
from guarita.topology.local.ports import free_ports

RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: RST in place of FIN, socket(7)


@contextmanager
def relaying(to: int) -> Iterator[socket.socket]:
    """A connection to a relay that passes on to a port of this machine."""
    [port] = free_ports(1)
    command = [sys.executable, "-m", "guarita.drill.relay", str(port), f"127.0.0.1:{to}"]
    relay = subprocess.Popen(command)
    try:
        assert wait_until(lambda: _connects(port), timeout_s=30)
        with socket.create_connection(("127.0.0.1", port), timeout=10) as caller:
            yield caller
    finally:
        relay.kill()
        relay.wait()


def _connects(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def upstream() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        yield listener


def accepted_of(upstream: socket.socket, first: bytes) -> socket.socket:
    """The one that sent this: a probe comes before it."""
    while True:
        connection = upstream.accept()[0]
        connection.settimeout(10)
        if connection.recv(100) == first:
            return connection
        connection.close()


def test_what_is_sent_arrives_and_so_does_the_end_of_either_side(upstream: socket.socket) -> None:
    with relaying(upstream.getsockname()[1]) as caller:
        caller.sendall(b"asked")
        with accepted_of(upstream, b"asked") as there:
            there.sendall(b"answered")
            there.shutdown(socket.SHUT_WR)
            assert caller.recv(100) == b"answered"
            assert caller.recv(100) == b""
            caller.sendall(b"more")
            assert there.recv(100) == b"more"
            caller.shutdown(socket.SHUT_WR)
            assert there.recv(100) == b""


def test_a_caller_is_not_reset_where_the_service_resets(upstream: socket.socket) -> None:
    with relaying(upstream.getsockname()[1]) as caller:
        caller.sendall(b"asked")
        there = accepted_of(upstream, b"asked")
        there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        there.close()
        assert caller.recv(100) == b""
        for _ in range(5):
            caller.sendall(b"more")
        caller.shutdown(socket.SHUT_WR)
        assert caller.recv(100) == b""
        assert caller.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def test_a_caller_is_not_reset_where_nobody_listens() -> None:
    [nobody] = free_ports(1)
    with relaying(nobody) as caller:
        caller.sendall(b"asked" * 1000)
        assert caller.recv(100) == b""
        caller.sendall(b"more")
        caller.shutdown(socket.SHUT_WR)
        assert caller.recv(100) == b""
