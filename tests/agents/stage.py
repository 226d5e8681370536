"""An installation with its service, and what a scenario may do to it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import redis

from guarita import processes
from guarita.config import Durability
from guarita.errors import TopologyError
from guarita.processes import wait_until
from guarita.topology.local import Condition, LocalSentinel, Node
from guarita.topology.local.application import Application
from guarita.topology.local.ports import free_ports

from .load import Load
from .sampler import Sample, Sampler, sample_of

READY_S = 90.0
STEADY_WITHIN_S = 45.0
DAY_S = 86_400
_HELD_BACK = re.compile(r"will not start a failover before \w+ (\w+ +\d+ [\d:]+ \d+)")
# What the files of a node are, beside its data.
_NOT_DATA = ("agent.yaml", "server.conf", "*.log")


class FiveSentinels(LocalSentinel):
    """An installation whose Sentinels are two more than are left later."""

    sentinel_nodes = 5


@dataclass(frozen=True, slots=True)
class Service(Application):
    """The service as `guarita local` runs it, but that tickets outlive every scenario."""

    durability: str = "balanced"

    def _settings(self, secret: Path) -> dict[str, Any]:
        # Without super(): a dataclass with slots is another class than the one that is written.
        settings = Application._settings(self, secret)
        assert self.installation is not None
        settings["store"] |= {
            "durability": self.durability,
            "data_nodes": [str(node) for node in self.installation.nodes],
        }
        settings["sessions"] = {
            "max_sessions": 0,
            "ticket_ttl_s": DAY_S,
            "session_ttl_s": DAY_S,
            "replay_window_s": DAY_S,
        }
        return settings


@dataclass(slots=True)
class Stage:
    """What a scenario acts on. It is the only one that changes the installation meanwhile."""

    sentinel: LocalSentinel
    service: Service
    agents: bool  # without them: the negative control
    load: Load
    sampler: Sampler
    number: int = 0  # of the repetition
    minutes: float = 0.0  # of those that last as long as they are told
    measured: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def primary(self) -> Node:
        return self.sentinel.primary()

    @property
    def replicas(self) -> tuple[Node, ...]:
        return self.sentinel.replicas()

    # Faults

    def kill(self, node: Node) -> None:
        """kill -9 agent and server: a machine is gone."""
        self.sentinel.kill(node)

    def start(self, node: Node) -> None:
        self.sentinel.start(node)

    def kill_server(self, node: Node) -> None:
        """kill -9 the server, which is started again at once: by its agent, where it has one."""
        self.sentinel.kill_server(node)
        if not self.agents:
            self.start(node)

    def terminate(self, node: Node, *, within_s: float = 40.0) -> float:
        """SIGTERM; returns the seconds until it was gone. Raises `TimeoutError`."""
        began_s = time.monotonic()
        self.sentinel.terminate(node)
        gone = wait_until(
            lambda: self.sentinel.condition(node) is Condition.DEAD, timeout_s=within_s
        )
        if not gone:
            raise TimeoutError(f"{node.name} was not gone {within_s:g} s after SIGTERM")
        return time.monotonic() - began_s

    def redirect(self, node: Node, port: int) -> None:
        """Make a node a replica of whatever has this port, behind its agent's back."""
        with self.sentinel.client(node) as client:
            client.replicaof(node.host, str(port))

    def wipe(self, node: Node) -> None:
        """Empty the directory of a dead node."""
        for path in list(node.directory.iterdir()):
            if any(path.match(pattern) for pattern in _NOT_DATA):
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def aof(self, node: Node) -> Path:
        """The file to which the node appends."""
        return max(node.directory.rglob("*.incr.aof"), key=lambda path: path.stat().st_mtime)

    # What is awaited and measured

    def hold(self, seconds: float) -> None:
        """A fault lasts: nothing is awaited here."""
        time.sleep(seconds)

    def steady(self) -> None:
        """Return when callers are served again. Raises `TimeoutError`."""
        if not self.load.wait_steady(STEADY_WITHIN_S, since_s=time.monotonic()):
            raise TimeoutError(f"writes were not steady again within {STEADY_WITHIN_S:g} s")

    def ready(self) -> None:
        """Resume and start all, and return when all is linked. Raises `TopologyError`."""
        began_s = time.monotonic()
        self.sentinel.up(timeout_s=READY_S)
        self.measured["healed_s"] = time.monotonic() - began_s

    def time_until(
        self, name: str, done: Callable[[], bool], *, since_s: float, within_s: float = READY_S
    ) -> None:
        """Measure when something is so; what is never so within the time is infinite."""

        def met() -> bool:
            try:
                return done()
            except (redis.RedisError, OSError, TopologyError):
                return False

        met_at_all = wait_until(met, timeout_s=within_s)
        self.measured[name] = time.monotonic() - since_s if met_at_all else float("inf")

    def sample(self, node: Node) -> Sample:
        """What the node says now."""
        with self.sentinel.client(node, timeout_s=0.5) as client:
            return sample_of(client, node)

    def follows_named(self, node: Node) -> bool:
        """Whether it is a replica of the one that a majority names, which says that it is one."""
        said = self.sample(node)
        return said.role == "slave" and said.port == self.primary.port

    def has_primary(self) -> bool:
        """Whether the one that a majority names takes writes."""
        return self.sample(self.primary).writable


def raise_installation(
    directory: Path, *, agents: bool, durability: str, kind: type[LocalSentinel] = LocalSentinel
) -> tuple[LocalSentinel, Service]:
    """Start nodes and service and return when they are ready. Raises `TopologyError`."""
    sentinel = kind(directory, agents=agents, durability=Durability(durability))
    try:
        port, demo_port = free_ports(2)
        service = Service(directory, "sentinel", sentinel, port, demo_port, durability=durability)
        sentinel.up(timeout_s=READY_S)
        service.launch()
        service_up = wait_until(lambda: service.obstacle() is None, timeout_s=60)
    except BaseException:
        sentinel.kill_all()
        raise
    if not service_up:
        lower_installation(sentinel, service)
        raise TopologyError(f"the service did not start: see {service.directory}/service.log")
    return sentinel, service


def wait_settled(sentinel: LocalSentinel) -> None:
    """Return when all is linked, and no Sentinel holds a failover back any more.

    One that voted for a failover that was given up does not try another for twice the
    failover-timeout; one that switched may at once. A single fault finds an installation that is
    over that.
    """
    sentinel.wait_ready(READY_S)
    for node in sentinel.sentinels:
        _, _, since_switch = node.log.read_text(errors="replace").rpartition("+switch-master")
        if told := _HELD_BACK.findall(since_switch):
            until = datetime.strptime(told[-1], "%b %d %H:%M:%S %Y")  # noqa: DTZ007
            wait_until(lambda until=until: datetime.now() > until, timeout_s=60)  # noqa: DTZ005


def lower_installation(sentinel: LocalSentinel, service: Service) -> None:
    """End all its processes; files stay."""
    with service.file.changing():
        processes.kill(each.identity for each in service.file.running("service", "demo"))
    sentinel.kill_all()


@contextmanager
def busy(cores: int) -> Iterator[None]:
    """Meanwhile, so many processes do nothing but take a core each."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
    try:
        yield
    finally:
        for each in spinning:
            each.kill()
            each.wait()
