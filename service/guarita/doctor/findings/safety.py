"""Settings of Sentinels and data nodes outside the range in which a failover goes well."""

from __future__ import annotations

from collections.abc import Iterator

from guarita.config import Durability, Topology
from guarita.doctor.finding import Finding
from guarita.doctor.kinds import Kind
from guarita.doctor.seen import Node, Seen, View

# Measured: below this, a primary that comes back as a replica while it is still named is not
# healed by Sentinel alone; at 5000 and above it is, after 30 to 40 s.
_HEALS_MS = 3000
_FAILOVER_TIMEOUT_MS = 60_000
# From the death of a primary: down-after and about this until another one is promoted, and twice
# down-after and about this until `balanced` acknowledges without the dead one.
_PROMOTION_MS = 1200
_WRITES_AGAIN_MS = 4000


def down_after(seen: Seen) -> Iterator[Finding]:
    longest_ms = (int(seen.deadline_s * 1000) - _WRITES_AGAIN_MS) // 2
    for sentinel, view in seen.views:
        text = f"down-after-milliseconds is {view.down_after_ms}."
        words = {"name": seen.primary_name, "wanted": str(max(longest_ms, 1000))}
        if view.down_after_ms < _HEALS_MS and not seen.has_agents:
            yield Kind.DOWN_AFTER_SHORT.at(sentinel.address, text, **words)
        if view.down_after_ms > max(longest_ms, 1000):
            yield Kind.DOWN_AFTER_LONG.at(sentinel.address, text, **words)


def failover_timeout_long(seen: Seen) -> Iterator[Finding]:
    for sentinel, view in seen.views:
        if view.failover_timeout_ms > _FAILOVER_TIMEOUT_MS:
            text = f"failover-timeout is {view.failover_timeout_ms} ms."
            yield Kind.FAILOVER_TIMEOUT_LONG.at(sentinel.address, text, name=seen.primary_name)


def parallel_syncs(seen: Seen) -> Iterator[Finding]:
    for sentinel, view in seen.views:
        text = f"parallel-syncs is {view.parallel_syncs}."
        words = {"name": seen.primary_name, "wanted": str(len(view.replicas))}
        if view.parallel_syncs < 1:
            yield Kind.PARALLEL_SYNCS_NONE.at(sentinel.address, text, **words)
        elif view.parallel_syncs < _to_repoint(view):
            yield Kind.PARALLEL_SYNCS_FEW.at(sentinel.address, text, **words)


def _to_repoint(view: View) -> int:
    """After a failover: all replicas but the promoted one, and the old primary."""
    return len(view.replicas)


def priorities(seen: Seen) -> Iterator[Finding]:
    if seen.topology is not Topology.SENTINEL:
        return
    replicas = [node for node in seen.answering if node.is_replica and node.priority is not None]
    if replicas and not any(node.priority for node in replicas):
        for node in replicas:
            yield Kind.NOBODY_PROMOTABLE.at(node.address, "Its replica-priority is 0.")
        return
    told = [node for node in seen.answering if node.priority is not None]
    if seen.has_agents:  # 0 is how an agent holds back a node that has not caught up yet
        told = [node for node in told if node.priority]
        for node in replicas:
            if not node.priority:
                yield Kind.HELD_BACK.at(node.address, "Its replica-priority is 0.")
    if len({node.priority for node in told}) > 1:
        said = ", ".join(f"{node.address} {node.priority}" for node in told)
        yield Kind.PRIORITIES_UNEQUAL.at("", f"replica-priority differs: {said}.")


def fence(seen: Seen) -> Iterator[Finding]:
    """A primary must stop before another one is promoted."""
    if not seen.views:
        return
    promoted_ms = min(view.down_after_ms for _, view in seen.views) + _PROMOTION_MS
    for node in seen.answering:
        replicas = node.number("min-replicas-to-write")
        lag_s = node.number("min-replicas-max-lag")
        if replicas == 0 or lag_s == 0:
            text = f"min-replicas-to-write is {replicas}, min-replicas-max-lag {lag_s}."
            yield Kind.UNFENCED.at(node.address, text)
        elif replicas and lag_s and lag_s * 1000 > promoted_ms:
            text = (
                f"min-replicas-max-lag is {lag_s} s, and a failover may be over after "
                f"{promoted_ms / 1000:g} s."
            )
            wanted = str(max(2, promoted_ms // 1000))
            yield Kind.FENCED_LATE.at(node.address, text, wanted=wanted)


def frozen_replica_kept(seen: Seen) -> Iterator[Finding]:
    if seen.has_agents or seen.durability is Durability.FAST or not _replicates(seen):
        return
    for node in seen.answering:
        timeout_s = node.number("repl-timeout")
        if timeout_s and timeout_s > seen.deadline_s:
            text = f"repl-timeout is {timeout_s} s."
            wanted = str(max(2, int(seen.deadline_s) // 2))
            yield Kind.FROZEN_REPLICA_KEPT.at(node.address, text, wanted=wanted)


def _replicates(seen: Seen) -> bool:
    def has_replicas(node: Node) -> bool:
        return node.is_replica or bool(node.followers)

    return seen.topology is not Topology.STANDALONE and any(map(has_replicas, seen.answering))


ALL = (
    down_after,
    failover_timeout_long,
    parallel_syncs,
    priorities,
    fence,
    frozen_replica_kept,
)
