"""What `guarita node` and `guarita sentinel` end with: what starts them again goes by that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml

from guarita.node.child import PID_FILE, end_orphan, exit_status, noted_server
from guarita.node.sentinel_agent import FILE
from guarita.processes import Condition, condition, wait_until
from guarita.servers import Server
from guarita.topology.local.ports import free_ports


@contextmanager
def running(command: str, directory: Path, http: int) -> Iterator[subprocess.Popen[bytes]]:
    """The command, whose server was started; nothing else of its installation is there."""
    nodes = [f"127.0.0.1:{port}" for port in free_ports(2)]
    sentinel = {"primary_name": "main", "nodes": nodes}
    node = {"announce": nodes[0], "peers": nodes, "data_dir": ".", "http": f"127.0.0.1:{http}"}
    settings = {"store": {"topology": "sentinel", "sentinel": sentinel}, "node": node}
    (directory / "g.yaml").write_text(yaml.safe_dump(settings))
    known = nodes[1].replace(":", " ")  # else it would look for a primary for a while
    (directory / FILE).write_text(f"sentinel monitor main {known} 1\n")
    argv = [sys.executable, "-m", "guarita", command, "--config", "g.yaml"]
    process = subprocess.Popen(argv, cwd=directory, stderr=subprocess.DEVNULL)
    try:
        assert wait_until((directory / PID_FILE).exists, timeout_s=20)
        yield process
    finally:
        process.terminate()
        process.wait(60)
        end_orphan(directory)


def is_ready(http: int) -> bool:
    with (
        suppress(OSError),
        urllib.request.urlopen(f"http://127.0.0.1:{http}/readyz", timeout=2) as answer,
    ):
        return answer.status == 200
    return False


def test_a_status_is_the_servers_and_tells_the_signal_that_ended_it() -> None:
    assert [exit_status(code) for code in (0, 1, -signal.SIGTERM)] == [0, 1, 143]


def test_a_node_whose_server_is_killed_until_it_is_given_up_says_so(
    server: Server, tmp_path: Path
) -> None:
    with running("node", tmp_path, *free_ports(1)) as process:

        def is_given_up() -> bool:
            noted = noted_server(tmp_path)
            if noted and condition(noted) is not Condition.DEAD:
                os.kill(noted.pid, signal.SIGKILL)
            return process.poll() is not None

        assert wait_until(is_given_up, timeout_s=20)
        assert process.returncode == 128 + signal.SIGKILL


def test_a_sentinel_that_is_told_to_stop_ends_well(server: Server, tmp_path: Path) -> None:
    (http,) = free_ports(1)
    with running("sentinel", tmp_path, http) as process:
        assert wait_until(lambda: is_ready(http), timeout_s=20)
        process.terminate()
        assert process.wait(20) == 0
