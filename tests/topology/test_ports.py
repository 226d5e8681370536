from __future__ import annotations

import os
import socket
import sys

import pytest

from guarita.topology.local import ports


def test_a_port_that_somebody_listens_on_is_not_free_and_its_holder_is_named() -> None:
    with socket.create_server((ports.HOST, 0)) as listener:
        port = listener.getsockname()[1]
        assert not ports.is_free(port)
        assert ports.answers(port)
        if sys.platform == "linux":
            assert f"(pid {os.getpid()})" in ports.holder(port)
    assert ports.is_free(port)
    assert not ports.answers(port)


def test_a_port_whose_last_connection_lingers_is_free() -> None:
    with socket.create_server((ports.HOST, 0)) as listener:
        address = listener.getsockname()
        with socket.create_connection(address), listener.accept()[0]:
            pass
    assert ports.is_free(address[1])


@pytest.mark.parametrize("with_bus", [False, True])
def test_drawn_ports_are_different_and_free(with_bus: bool) -> None:
    drawn = ports.free_ports(6, with_bus=with_bus)
    wanted = drawn + [port + ports.BUS_OFFSET for port in drawn if with_bus]
    assert len(set(wanted)) == len(wanted)
    assert all(map(ports.is_free, wanted))
    assert max(wanted) < 32_768, "an outgoing connection could take it"
