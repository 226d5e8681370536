"""Who is listed but does not belong here: dead peers, and peers of another installation."""

from __future__ import annotations

from collections.abc import Iterator

from guarita.config import Address, Topology
from guarita.doctor.finding import Finding
from guarita.doctor.kinds import Kind
from guarita.doctor.seen import Listed, Seen

# As much of a Sentinel's id as it puts into the names of its connections.
_ID_SHOWN = 8


def stray_sentinels(seen: Seen) -> Iterator[Finding]:
    """Sentinels that a Sentinel lists and `store.sentinel.nodes` does not."""
    for sentinel, view in seen.views:
        for other in view.others:
            if _is_configured(seen, other):
                continue
            kind, state = (
                (Kind.DEAD_SENTINEL_COUNTED, "which is down")
                if other.is_down
                else (Kind.FOREIGN_SENTINEL, "which answers it")
            )
            text = f"It lists a Sentinel {other.address}, {state} and is not configured."
            yield kind.at(sentinel.address, text, name=seen.primary_name)


def _is_configured(seen: Seen, other: Listed) -> bool:
    ids = {view.id for _, view in seen.views}
    return other.id in ids or any(
        seen.is_same(sentinel.address, other.address) for sentinel in seen.sentinels
    )


def stray_nodes(seen: Seen) -> Iterator[Finding]:
    """Data nodes that a Sentinel knows and `store.data_nodes` does not, where that is set."""
    if not seen.data_nodes:
        return
    for sentinel, view in seen.views:
        for replica in view.replicas:
            if _is_data_node(seen, replica.address):
                continue
            kind, state = (
                (Kind.DEAD_REPLICA_LISTED, "which is down")
                if replica.is_down
                else (Kind.FOREIGN_NODE, "which answers it")
            )
            text = f"It lists a replica {replica.address}, {state} and is not configured."
            yield kind.at(sentinel.address, text, name=seen.primary_name)
        if view.primary and not _is_data_node(seen, view.primary):
            text = f"It names {view.primary} as primary, which is not configured."
            yield Kind.FOREIGN_NODE.at(sentinel.address, text, name=seen.primary_name)


def _is_data_node(seen: Seen, address: Address) -> bool:
    node = seen.node_at(address)
    places = (address, node.address, *node.aliases) if node else (address,)
    return any(seen.is_same(place, each) for place in places for each in seen.data_nodes)


def foreign_watcher(seen: Seen) -> Iterator[Finding]:
    """Sentinels that watch a data node and that no Sentinel of ours knows."""
    if seen.topology is not Topology.SENTINEL:
        return
    if len(seen.views) < len(seen.sentinels) or not all(view.id for _, view in seen.views):
        return  # the id of one that does not answer is not known
    known = {view.id[:_ID_SHOWN] for _, view in seen.views}
    known |= {other.id[:_ID_SHOWN] for _, view in seen.views for other in view.others}
    for node in seen.answering:
        for id in sorted(node.watchers - known):
            text = f"A Sentinel that is not configured watches it; its id begins with {id}."
            yield Kind.FOREIGN_WATCHER.at(node.address, text)


def name_shared(seen: Seen) -> Iterator[Finding]:
    for sentinel, view in seen.views:
        for name in view.also_named:
            text = f"It watches {view.primary} a second time, as {name}."
            yield Kind.NAME_SHARED.at(sentinel.address, text)


ALL = (stray_sentinels, stray_nodes, foreign_watcher, name_shared)
