from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

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


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a holder is not told")
def test_a_holder_is_named_that_closes_other_files_meanwhile() -> None:
    """As whoever looks at his own does: at the directory of them, which has the lowest number."""
    with ExitStack() as stack:
        files = [stack.enter_context(open(os.devnull)) for _ in range(3)]
        listener = stack.enter_context(socket.create_server((ports.HOST, 0)))
        for each in files:
            each.close()
        assert f"(pid {os.getpid()})" in ports.holder(listener.getsockname()[1])


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


def test_processes_that_draw_at_once_draw_different_ports() -> None:
    """Also before anybody listens on them; and a process draws none again before its turn."""
    code = (
        "from guarita.topology.local.ports import free_ports; "
        "print(*free_ports(20), *free_ports(20), flush=True); input()"
    )
    argv = [sys.executable, "-c", code]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with ExitStack() as stack:
        others = [stack.enter_context(subprocess.Popen(argv, **pipes)) for _ in range(2)]
        drawn = [*ports.free_ports(20), *ports.free_ports(20)]
        for each in others:
            assert each.stdout
            drawn += map(int, each.stdout.readline().split())
        assert len(set(drawn)) == len(drawn) == 120
        for each in others:
            each.communicate("\n")


def test_a_fork_draws_other_ports_than_its_parent() -> None:
    code = (
        "import os; from guarita.topology.local.ports import free_ports; "
        "first = free_ports(50); pid = os.fork(); theirs = free_ports(50); "
        "pid and os.waitpid(pid, 0); print(*first, *theirs, flush=True)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    one, other = (set(map(int, line.split())) for line in told.stdout.splitlines())
    assert len(one) == len(other) == 100
    assert len(one & other) == 50  # what was drawn before the fork


def test_a_process_with_a_temporary_directory_of_its_own_draws_no_ports_of_others(
    tmp_path: Path,
) -> None:
    code = "from guarita.topology.local.ports import free_ports; free_ports(1)"
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []
