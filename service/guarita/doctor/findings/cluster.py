"""A Redis or Valkey Cluster, as its nodes see each other; and the store that nobody can ask."""

from __future__ import annotations

from collections.abc import Iterator

from guarita.config import Durability, Topology
from guarita.doctor.finding import Finding
from guarita.doctor.kinds import Kind
from guarita.doctor.seen import Member, Seen

_FAILED = {"fail", "fail?", "noaddr"}


def cluster_down(seen: Seen) -> Iterator[Finding]:
    for node in seen.answering:
        if node.cluster.get("cluster_state", "ok") != "ok":
            slots = node.cluster.get("cluster_slots_ok", "?")
            text = f"It says that the Cluster is down, with {slots} of 16384 slots served."
            yield Kind.CLUSTER_DOWN.at(node.address, text)


def cluster_node_failed(seen: Seen) -> Iterator[Finding]:
    told: set[str] = set()
    for node in seen.answering:
        for member in node.members:
            if _has_failed(member) and member.id not in told:
                told.add(member.id)
                text = f"{node.address} takes it for failed."
                yield Kind.CLUSTER_NODE_FAILED.at(member.address, text)


def cluster_without_replica(seen: Seen) -> Iterator[Finding]:
    """As the first node that answers sees it."""
    members = next((node.members for node in seen.answering if node.members), ())
    followed = {member.follows for member in members if not _has_failed(member)}
    for member in members:
        if member.has_slots and not _has_failed(member) and member.id not in followed:
            text = "It has slots and no replica."
            yield Kind.CLUSTER_WITHOUT_REPLICA.at(member.address, text)


def cluster_replica_address(seen: Seen) -> Iterator[Finding]:
    """Where replicas connect from another address than their own, as through a translation."""
    if seen.durability is Durability.FAST:
        return
    for node in seen.answering:
        known = {member.address for member in node.members}
        for follower in node.followers:
            if known and follower.state == "online" and follower.address not in known:
                text = f"{node.address} lists it; no node of the Cluster has that address."
                yield Kind.CLUSTER_REPLICA_ADDRESS.at(follower.address, text)


def _has_failed(member: Member) -> bool:
    return not member.flags.isdisjoint(_FAILED)


def nothing_to_ask(seen: Seen) -> Iterator[Finding]:
    if seen.topology is Topology.MEMORY:
        yield Kind.NOTHING_TO_ASK.at("", "There is no server to ask.")


ALL = (
    cluster_down,
    cluster_node_failed,
    cluster_without_replica,
    cluster_replica_address,
    nothing_to_ask,
)
