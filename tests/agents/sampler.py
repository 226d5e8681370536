"""What each node says of itself every 200 ms, and what must never be true of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import redis

from guarita.topology.local import LocalSentinel, Node
from guarita.topology.local.sentinel import PRIMARY_NAME

EVERY_S = 0.2
FRESH_S = 0.6  # how long a sample says how a node is


@dataclass(frozen=True, slots=True)
class Sample:
    """One word of one node. `role` is empty where it does not answer."""

    at_s: float
    node: str
    role: str  # "master", "slave", "sentinel"
    port: int = 0  # whom a Sentinel names, or a replica follows
    writable: bool = False  # a primary with as many good replicas as it needs
    linked: bool = False

    @property
    def words(self) -> str:
        match self.role:
            case "master":
                return "primary, takes writes" if self.writable else "primary, takes no writes"
            case "slave":
                return f"replica of {self.port}, link {'up' if self.linked else 'down'}"
            case "sentinel":
                return f"names {self.port}"
        return "does not answer"


class Sampler:
    """A thread for each node, so that a frozen one holds up nobody else's samples."""

    def __init__(self, sentinel: LocalSentinel) -> None:
        self._sentinel = sentinel
        self._over = threading.Event()
        self._samples: list[Sample] = []
        self._threads = [
            threading.Thread(target=self._watch, args=(node,), daemon=True)
            for node in (*sentinel.nodes, *sentinel.sentinels)
        ]

    def start(self) -> None:
        for each in self._threads:
            each.start()

    def stop(self) -> list[Sample]:
        """All samples in order."""
        self._over.set()
        for each in self._threads:
            each.join()
        return sorted(self._samples, key=lambda sample: sample.at_s)

    def since(self, at_s: float, node: Node) -> list[Sample]:
        """What this node said since then, so far."""
        return [each for each in self._samples if each.node == node.name and each.at_s >= at_s]

    def _watch(self, node: Node) -> None:
        with self._sentinel.client(node, timeout_s=EVERY_S) as client:
            while not self._over.wait(EVERY_S):
                self._samples.append(sample_of(client, node))


def sample_of(client: redis.Redis, node: Node) -> Sample:
    """Ask one node now."""
    at_s = time.monotonic()
    try:
        if node.kind == "sentinel":
            named = client.sentinel_get_master_addr_by_name(PRIMARY_NAME)
            return Sample(at_s, node.name, "sentinel", int(named[1]) if named else 0)
        info = client.info("replication")
    except (redis.RedisError, OSError):
        return Sample(at_s, node.name, "")
    if info["role"] == "master":
        good = int(info.get("min_slaves_good_slaves", 1))
        return Sample(at_s, node.name, "master", writable=good > 0)
    linked = info["master_link_status"] == "up"
    return Sample(at_s, node.name, "slave", int(info["master_port"]), linked=linked)


def changes(samples: Iterable[Sample]) -> Iterator[tuple[float, str]]:
    """When a node began to say something else, and what."""
    last: dict[str, str] = {}
    for sample in samples:
        if last.get(sample.node) != sample.words:
            last[sample.node] = sample.words
            yield sample.at_s, f"{sample.node} {sample.words}"


def two_writable_s(samples: Iterable[Sample]) -> float:
    """For how long two nodes said that they take writes, whoever was named.

    A primary that hands over has paused its writes without saying so here.
    """
    recent: dict[str, Sample] = {}
    total_s = last_s = 0.0
    for sample in samples:
        writable = [s for s in recent.values() if s.writable and s.at_s > sample.at_s - FRESH_S]
        total_s += sample.at_s - last_s if len(writable) > 1 else 0.0
        last_s, recent[sample.node] = sample.at_s, sample
    return total_s
