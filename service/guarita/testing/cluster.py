"""Three primaries with a replica each, and the service."""

from __future__ import annotations

from collections import Counter

import redis

from guarita.errors import TopologyError
from guarita.testing import engine
from guarita.testing.installation import Installation
from guarita.topology.cluster import Member, members_of

PRIMARIES = 3


class ClusterInstallation(Installation):
    """The smallest Cluster that survives a dead primary. `primary` is that of slot 0, unless
    another slot is asked for."""

    topology = "cluster"
    data_nodes = 2 * PRIMARIES

    # Who is primary

    def primaries(self) -> tuple[str, ...]:
        """In order of their slots, as a majority of the nodes sees it."""
        views: Counter[tuple[str, ...]] = Counter()
        for name in self.nodes:
            try:
                views[tuple(self._name(each) for each in self._seen_by(name) if each.serves)] += 1
            except (redis.RedisError, OSError):
                continue
        for view, count in views.items():
            if view and count > len(self.nodes) // 2:
                return view
        raise TopologyError("no majority of the Cluster's nodes agrees on who is primary")

    def primary(self, slot: int = 0) -> str:
        for member in self._seen_by(self.primaries()[0]):
            if any(first <= slot <= last for first, last in member.slots):
                return self._name(member)
        raise TopologyError(f"no primary has slot {slot}")

    def replicas(self) -> tuple[str, ...]:
        """The data nodes that are not primary."""
        primaries = self.primaries()
        return tuple(name for name in self.nodes if name not in primaries)

    def switchover(self) -> str:
        """The primary's replica takes over; returns its name."""
        old = self.primary()
        view = self._seen_by(old)
        old_id = next(each.id for each in view if self._name(each) == old)
        heirs = [self._name(e) for e in view if e.primary_id == old_id and not e.failed]
        if not heirs:
            raise TopologyError(f"{old} has no replica that could take over")
        with self.connect(heirs[0]) as client:
            client.execute_command("CLUSTER", "FAILOVER")
        return self.wait_new_primary(old)

    # Start, and how it is

    def form(self) -> None:
        engine.docker("exec", self.container(self.services[0]), "guarita", "cluster", "form")

    def problem(self) -> str | None:
        for name in self.nodes:
            with self.connect(name) as client:
                info: dict[str, str] = client.execute_command("CLUSTER INFO")
                links = client.info("replication")
            if info["cluster_state"] != "ok":
                return f"{name} says that the Cluster is not ok"
            if links["role"] == "slave" and links["master_link_status"] != "up":
                return f"{name} is not linked to its primary"
            if not _is_whole(self._seen_by(name)):
                return f"{name} does not see {PRIMARIES} primaries with a replica each"
        return None

    def _seen_by(self, name: str) -> list[Member]:
        """The Cluster as one node sees it, in order of slots."""
        with self.connect(name) as client:
            return members_of(client)

    def _name(self, member: Member) -> str:
        return self.named(member.host) or member.host


def _is_whole(view: list[Member]) -> bool:
    primaries = {each.id for each in view if each.serves}
    followed = {each.primary_id for each in view if not each.failed and each.linked}
    return len(primaries) == PRIMARIES and primaries <= followed and all(e.linked for e in view)
