"""A second installation in the network of a drill, which knows nothing of the first.

What was the address of a node of one may be that of a node of the other a moment later, as with
pods of one cluster (github.com/bitnami/charts/issues/8224).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import redis

from guarita.drill.targets.base import Shape
from guarita.drill.targets.network import Network
from guarita.drill.targets.nodes import PASSWORD, READY_S, DrillSentinel
from guarita.errors import TopologyError
from guarita.topology.local import Node
from guarita.topology.local.sentinel import PRIMARY_NAME

PREFIX = "b-"  # the name of an interface has 15 characters
_PASSWORD = "of another drill"  # noqa: S105 - of servers that end with it
_MARKS = [f"mark-{n}" for n in range(100)]


class Neighbour:
    """Has the same shape, a hundred keys, and its own names and, as a rule, passwords."""

    def __init__(
        self, first: DrillSentinel, directory: Path, shape: Shape, network: Network
    ) -> None:
        self._first = first
        password = PASSWORD if shape.one_password else _PASSWORD
        self._second = DrillSentinel(directory, shape, network, prefix=PREFIX, password=password)
        self._network = network

    def start(self) -> None:
        """Raises `TopologyError`."""
        self._second.up(timeout_s=READY_S)
        with self._second.client(self._second.primary()) as client:
            client.mset(dict.fromkeys(_MARKS, "kept"))
            if client.wait(len(self._second.nodes) - 1, 10_000) < len(self._second.nodes) - 1:
                raise TopologyError("the installation beside this one does not replicate")

    def kill_all(self) -> None:
        self._second.kill_all()

    def swap(self, who: Sequence[str]) -> None:
        """See `Target.swap_addresses`."""
        pairs = [(_named(self._first, word), _named(self._second, word)) for word in who]
        for one, other in pairs:
            self._first.kill(one)
            self._second.kill(other)
        for one, other in pairs:
            self._network.swap(one.name, PREFIX + other.name)
        # The first one still looks for its nodes where those of the other are by now.
        self._second.launch(timeout_s=READY_S)
        self._first.launch(timeout_s=READY_S)

    def mingled(self) -> Mapping[str, int]:
        """See `Target.mingled`."""
        try:
            self._second.wait_ready(READY_S)
            return {"not_asked": 0, **self._counts()}
        except (TopologyError, redis.RedisError, OSError):
            return {"not_asked": 1}

    def _counts(self) -> Mapping[str, int]:
        marks = {node: self._count(self._second, node) for node in self._second.nodes}
        strays = [self._count(self._first, node)[0] for node in self._first.nodes]
        return {
            "foreign_keys": sum(strays) + sum(total - own for own, total in marks.values()),
            "lost_keys": sum(len(_MARKS) - own for own, _ in marks.values()),
            "strangers": len(self._strangers(self._first)) + len(self._strangers(self._second)),
        }

    def _count(self, installation: DrillSentinel, node: Node) -> tuple[int, int]:
        """How many keys of the neighbour it has, and how many in all."""
        with installation.client(node, timeout_s=10) as client:
            return client.exists(*_MARKS), client.dbsize()

    def _strangers(self, installation: DrillSentinel) -> set[str]:
        """Whom its nodes and Sentinels name that is none of its own."""
        everybody = (*installation.nodes, *installation.sentinels)
        own = {host for each in everybody for host in (each.host, installation.announced(each)[0])}
        return {host for each in everybody for host in _named_by(installation, each)} - own


def _named(installation: DrillSentinel, word: str) -> Node:
    if word == "primary":
        return installation.primary()
    everybody = (*installation.nodes, *installation.sentinels)
    return next(each for each in everybody if each.name == word)


def _named_by(installation: DrillSentinel, node: Node) -> Iterator[str]:
    with installation.client(node) as client:
        if node.kind == "data":
            info: dict[str, Any] = client.info("replication")
            yield from (
                each["ip"] for key, each in info.items() if key[:5] == "slave" and key[5:].isdigit()
            )
            if "master_host" in info:
                yield info["master_host"]
            return
        yield client.sentinel_master(PRIMARY_NAME)["ip"]
        yield from (each["ip"] for each in client.sentinel_slaves(PRIMARY_NAME))
        yield from (each["ip"] for each in client.sentinel_sentinels(PRIMARY_NAME))
