"""Very many callers wait at once while the primary is killed and replaced.

Thousands here; ten thousand in `make crowd`, where nothing else wants the processors.
"""

from __future__ import annotations

import json
import resource
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from guarita.errors import ServerMissing
from guarita.processes import wait_until
from guarita.topology.local import LocalSentinel, Node
from guarita.topology.local.application import Application
from guarita.topology.local.ports import free_ports

from .crowd import Crowd, allow_open_files

ARRIVE_S = 7.3
WORKERS = 2
WAIT = 10 / 11  # of the callers; the others are refused
DEADLINE_S = 30.0  # 10 s until writes go on, and all callers to be answered on two busy cores
MOST_ON_THE_WAY = 20  # whose write was sent to the primary that died, before the cap refused them
MOST_MB = 60  # for 1000 callers that wait
SAMPLE_S = 0.2


@dataclass(frozen=True, kw_only=True)
class Crowded(Application):
    cap: int  # of each worker

    def _store_settings(self) -> dict[str, Any]:
        limits = {"max_waiting": self.cap, "deadline_s": DEADLINE_S}
        return {**super()._store_settings(), **limits}


@pytest.fixture
def callers(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("--callers"))


@pytest.fixture
def crowded(tmp_path: Path, callers: int) -> Iterator[Crowded]:
    if problem := allow_open_files(callers):
        pytest.skip(problem)
    if not Path("/proc/self/stat").exists():
        pytest.skip("the memory of processes is read from /proc, which is not here")
    # Writes pause for 10 s: all arrive in that time, though they take 7 s of it.
    sentinel = LocalSentinel(tmp_path, down_after_ms=9000)
    cap = round(callers * WAIT / WORKERS)
    application = Crowded(tmp_path, "sentinel", sentinel, *free_ports(2), cap=cap)
    try:
        sentinel.up()
        application.launch()
        assert wait_until(lambda: application.obstacle() is None, timeout_s=30)
        yield application
    except ServerMissing as exc:
        pytest.skip(str(exc))
    finally:
        application.stop()
        sentinel.kill_all()


class Samples:
    """What the workers hold in memory, and what each node has run, some times a second."""

    def __init__(self, application: Crowded, nodes: tuple[Node, ...]) -> None:
        (service,) = application.file.running("service")
        self._service = service.identity.pid
        self._clients = {node: application.installation.client(node) for node in nodes}
        self.memory_mb: list[float] = []
        self.commands: dict[Node, list[tuple[float, int]]] = {node: [] for node in nodes}
        self._ended = threading.Event()
        self._take()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()
        for client in self._clients.values():
            client.close()

    def busiest_second(self, node: Node) -> int:
        """The most commands that the node ran within about a second."""
        rows = self.commands[node]
        step = round(1 / SAMPLE_S)
        return max(later[1] - earlier[1] for earlier, later in zip(rows, rows[step:], strict=False))

    def _run(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            self._take()

    def _take(self) -> None:
        self.memory_mb.append(sum(memory_of_children(self._service)) / 2**20)
        for node, client in self._clients.items():
            with suppress(redis.ConnectionError):  # a node that is promoted hangs up
                self.commands[node].append((time.monotonic(), commands_of(client)))


def memory_of_children(pid: int) -> Iterator[int]:
    """The resident bytes of each child process, by proc(5): fields 4 and 24."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[1]) == pid:
                yield int(fields[21]) * resource.getpagesize()


def commands_of(client: redis.Redis) -> int:
    return int(client.info("stats")["total_commands_processed"])


def scripts_of(client: redis.Redis) -> int:
    stats = client.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "eval"))


def test_a_crowd_waits_through_a_failover_and_comes_back_without_a_storm(crowded, callers, figure):
    """Up to the cap callers wait and succeed; beyond it they get 503 with `Retry-After`.

    That is *unavailable*, and *unknown* for the few whose write was on its way at the kill.

    No storm means two things. Over the whole, the new primary runs at most two scripts for each
    caller that succeeds. And in no second does it run more than twice the commands of the load:
    the callers who arrive in it and all who waited, whom the gate lets on within a second, times
    what one create costs when all is well.
    """
    sentinel = crowded.installation
    with sentinel.client(sentinel.primary()) as client:
        before = commands_of(client)
        Crowd(crowded.port, 400, 400).run(20)
        a_create = (commands_of(client) - before) / 400
    samples = Samples(crowded, sentinel.replicas())
    old = sentinel.kill_primary()
    rate = callers / ARRIVE_S
    crowd = Crowd(crowded.port, callers, rate)
    crowd.run(2 * DEADLINE_S)
    samples.end()
    new = sentinel.wait_new_primary(old)
    refused = [answer for answer in crowd.answers if answer.status != 200]
    admitted = len(crowd.answers) - len(refused)
    assert len(crowd.answers) == callers
    assert admitted >= 0.9 * WORKERS * crowded.cap  # callers come to the workers about evenly
    assert {(each.status, each.problem) for each in refused} == {(503, "")}
    assert all("retry-after" in each.headers for each in refused)
    titles = Counter(json.loads(each.body)["title"] for each in refused)
    assert titles.keys() <= {"Store unavailable", "Outcome unknown"}
    assert titles["Outcome unknown"] <= MOST_ON_THE_WAY
    with sentinel.client(new) as client:
        scripts = scripts_of(client)
    assert admitted <= scripts <= 2 * admitted
    load = a_create * (rate + WORKERS * crowded.cap)
    assert samples.busiest_second(new) <= 2 * load
    waited = min(crowd.most_waiting, WORKERS * crowded.cap)
    each_thousand_mb = 1000 * (max(samples.memory_mb) - samples.memory_mb[0]) / waited
    assert each_thousand_mb <= MOST_MB
    figure(
        f"{callers} callers at a failover: {admitted} succeeded, {len(refused)} refused, "
        f"{waited} waited at once, {each_thousand_mb:.0f} MB for 1000 of them, "
        f"{scripts / admitted:.2f} scripts each, busiest second {samples.busiest_second(new)} "
        f"commands of {2 * load:.0f}"
    )
