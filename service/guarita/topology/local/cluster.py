"""Three primaries and three replicas of a Redis or Valkey Cluster."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import redis

from guarita import processes
from guarita.errors import TopologyError
from guarita.topology.local.installation import Installation
from guarita.topology.local.nodes import Node

SLOTS = 16384
PRIMARIES = 3


@dataclass(frozen=True, slots=True)
class Member:
    """A node as another one sees it (CLUSTER NODES)."""

    id: str
    port: int
    flags: frozenset[str]
    primary_id: str
    slots: tuple[tuple[int, int], ...]
    linked: bool

    @property
    def failed(self) -> bool:
        return not self.flags.isdisjoint({"fail", "fail?", "noaddr", "handshake"})

    @property
    def serves(self) -> bool:
        return "master" in self.flags and bool(self.slots) and not self.failed


class LocalCluster(Installation):
    """Six data nodes; node-1 to node-3 start as primaries, each followed by the third after it."""

    store = "cluster"
    data_nodes = 2 * PRIMARIES
    needs_bus = True

    def config_lines(self, node: Node) -> list[str]:
        return [
            *node.data_lines(self.password),
            "cluster-enabled yes",
            "cluster-config-file nodes.conf",
            "cluster-node-timeout 2000",
            f"cluster-announce-ip {node.host}",
            "cluster-replica-validity-factor 0",
        ]

    def form(self, *, timeout_s: float) -> None:
        """Give out the slots and the replicas, unless that was done before."""
        if len(self._view_of(self.nodes[0])) > 1:
            return
        primaries, replicas = self.nodes[:PRIMARIES], self.nodes[PRIMARIES:]
        for number, node in enumerate(primaries):
            first, last = number * SLOTS // PRIMARIES, (number + 1) * SLOTS // PRIMARIES - 1
            self._tell(node, "ADDSLOTSRANGE", first, last)
        for number, node in enumerate(self.nodes, start=1):
            self._tell(node, "SET-CONFIG-EPOCH", number)
        for node in self.nodes[1:]:
            self._tell(node, "MEET", self.nodes[0].host, self.nodes[0].port)
        if not processes.wait_until(self._all_met, timeout_s=timeout_s):
            raise TopologyError(f"The Cluster nodes did not meet within {timeout_s:g} s.")
        for replica, primary in zip(replicas, primaries, strict=True):
            self._tell(replica, "REPLICATE", self._tell(primary, "MYID"))

    # Who is primary

    def primaries(self) -> tuple[Node, ...]:
        """The primaries in order of their slots, as a majority of all nodes sees them.

        Raises `TopologyError`.
        """
        views: Counter[tuple[int, ...]] = Counter()
        for node in self.nodes:
            try:
                views[tuple(each.port for each in self._view_of(node) if each.serves)] += 1
            except redis.RedisError:
                continue
        for view, count in views.items():
            if view and count > len(self.nodes) // 2:
                return tuple(self.node_at(port) for port in view)
        raise TopologyError("No majority of the Cluster nodes agrees on who is primary.")

    def primary(self, slot: int = 0) -> Node:
        """The primary of a slot. Raises `TopologyError`."""
        with self.client(self.primaries()[0]) as client:
            for member in _members(client):
                if any(first <= slot <= last for first, last in member.slots):
                    return self.node_at(member.port)
        raise TopologyError(f"No primary has slot {slot}.")

    # Faults

    def kill_primary(self, slot: int = 0) -> Node:
        """kill -9 the primary of a slot; returns the node that was killed."""
        return self.kill(self.primary(slot))

    def pause_primary(self, slot: int = 0) -> Node:
        """SIGSTOP the primary of a slot; returns the node that was paused."""
        return self.pause(self.primary(slot))

    def failover(self, slot: int = 0, *, timeout_s: float = 20.0) -> Node:
        """Have a replica take over a slot's primary; returns the new primary."""
        old = self.primary(slot)
        view = self._view_of(old)
        old_id = next(each.id for each in view if each.port == old.port)
        heirs = [each for each in view if each.primary_id == old_id and not each.failed]
        if not heirs:
            raise TopologyError(f"{old} has no replica that could take over.")
        self._tell(self.node_at(heirs[0].port), "FAILOVER")
        return self.wait_new_primary(old, slot, timeout_s=timeout_s)

    def wait_new_primary(self, old: Node, slot: int = 0, *, timeout_s: float = 20.0) -> Node:
        """The slot's primary, once a majority of the nodes sees another one than `old`."""
        found: list[Node] = []

        def promoted() -> bool:
            try:
                found[:] = [self.primary(slot)]
            except (TopologyError, redis.RedisError):
                return False
            return found[0] != old

        if not processes.wait_until(promoted, timeout_s=timeout_s):
            raise TopologyError(f"No other primary than {old} within {timeout_s:g} s.")
        return found[0]

    # Readiness

    def problem(self) -> str | None:
        for node in self.nodes:
            with self.client(node) as client:
                info: dict[str, str] = client.execute_command("CLUSTER INFO")
                links = client.info("replication")
            if info["cluster_state"] != "ok":
                return f"{node} says that the Cluster is not ok"
            if links["role"] == "slave" and links["master_link_status"] != "up":
                return f"{node} is not linked to its primary"
            if not _is_whole(self._view_of(node)):
                return f"{node} does not see {PRIMARIES} primaries with a replica each"
        return None

    def _all_met(self) -> bool:
        return all(
            sum(each.linked for each in self._view_of(node)) == len(self.nodes)
            for node in self.nodes
        )

    def _view_of(self, node: Node) -> list[Member]:
        with self.client(node) as client:
            return _members(client)

    def _tell(self, node: Node, *command: str | int) -> Any:
        with self.client(node) as client:
            return client.execute_command("CLUSTER", *command)


def _members(client: redis.Redis) -> list[Member]:
    """The Cluster as one node sees it, in order of slots."""
    rows: dict[str, dict[str, Any]] = client.execute_command("CLUSTER NODES")  # type: ignore[no-untyped-call]
    members = [
        Member(
            id=row["node_id"],
            port=int(address.rpartition(":")[2]),
            flags=frozenset(row["flags"].split(",")),
            primary_id=row["master_id"],
            slots=tuple((int(each[0]), int(each[-1])) for each in row["slots"]),
            linked=row["connected"],
        )
        for address, row in rows.items()
    ]
    return sorted(members, key=lambda member: member.slots)


def _is_whole(view: list[Member]) -> bool:
    primaries = {each.id for each in view if each.serves}
    followed = {each.primary_id for each in view if not each.failed and each.linked}
    return len(primaries) == PRIMARIES and primaries <= followed and all(e.linked for e in view)
