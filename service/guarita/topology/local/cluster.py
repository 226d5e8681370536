"""Three primaries and three replicas of a Redis or Valkey Cluster."""

from __future__ import annotations

from collections import Counter
from typing import Any

import redis

from guarita import processes
from guarita.errors import TopologyError
from guarita.topology.cluster import Member, form, members_of
from guarita.topology.local.installation import Installation
from guarita.topology.local.nodes import Node

PRIMARIES = 3


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
        members = self._view_of(self.nodes[0])
        if len(members) == len(self.nodes) and all(e.slots or e.primary_id for e in members):
            return
        nodes = {node.address: node for node in self.nodes}
        form(tuple(nodes), lambda each: self.client(nodes[each]), replicas=1, timeout_s=timeout_s)

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
            for member in members_of(client):
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

    def _view_of(self, node: Node) -> list[Member]:
        with self.client(node) as client:
            return members_of(client)

    def _tell(self, node: Node, *command: str | int) -> Any:
        with self.client(node) as client:
            return client.execute_command("CLUSTER", *command)


def _is_whole(view: list[Member]) -> bool:
    primaries = {each.id for each in view if each.serves}
    followed = {each.primary_id for each in view if not each.failed and each.linked}
    return len(primaries) == PRIMARIES and primaries <= followed and all(e.linked for e in view)
