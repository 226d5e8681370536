"""The primary and its replicas: who says what he is, and who follows whom."""

from __future__ import annotations

from collections.abc import Iterator

from guarita.config import Durability, Topology
from guarita.doctor.finding import Finding
from guarita.doctor.kinds import Kind
from guarita.doctor.seen import Node, Seen

# A replica reports every second; what it reports is then a second old at most.
_LAG_S = 2
_BEHIND_BYTES = 4 * 1024 * 1024


def two_primaries(seen: Seen) -> Iterator[Finding]:
    primaries = [node for node in seen.answering if node.is_primary]
    if seen.topology is not Topology.SENTINEL or len(primaries) < 2:
        return
    named = seen.named
    wrong = [node for node in primaries if not (named and seen.is_at(node, named))]
    for node in wrong:
        others = " and ".join(str(each.address) for each in primaries if each is not node)
        words = {"host": named.host, "port": str(named.port)} if named else {}
        yield Kind.TWO_PRIMARIES.at(
            node.address, f"It says that it is primary, and so does {others}.", **words
        )


def named_is_replica(seen: Seen) -> Iterator[Finding]:
    node = seen.primary
    if node and node.is_replica:
        link = node.info.get("master_link_status", "unknown")
        text = f"It is named as primary but is a replica of {node.follows}, with its link {link}."
        yield Kind.NAMED_IS_REPLICA.at(node.address, text)


def named_unreachable(seen: Seen) -> Iterator[Finding]:
    node = seen.primary
    if node and node.server.failure:
        text = f"It is named as primary but cannot be asked: {node.server.failure.text}."
        yield Kind.NAMED_UNREACHABLE.at(node.address, text)


def primary_not_writable(seen: Seen) -> Iterator[Finding]:
    node = seen.primary
    if node and node.is_primary:
        for reason in _obstacles(node):
            yield Kind.PRIMARY_NOT_WRITABLE.at(node.address, reason)


def _obstacles(node: Node) -> Iterator[str]:
    """Why a primary refuses writes, as far as it shows without writing."""
    wanted = node.number("min-replicas-to-write") or 0
    good = node.number("min_slaves_good_slaves")
    if good is not None and good < wanted:
        yield f"It refuses writes (NOREPLICAS): {good} of {wanted} replicas report in time."
    if node.info.get("aof_last_write_status") == "err":
        yield "It refuses writes (MISCONF): the AOF cannot be written."
    if snapshots_stop_writes(node) and node.info.get("rdb_last_bgsave_status") == "err":
        yield "It refuses writes (MISCONF): the last snapshot failed."
    used, limit = node.number("used_memory") or 0, node.number("maxmemory") or 0
    if limit and used >= limit and node.info.get("maxmemory_policy") == "noeviction":
        yield f"It refuses writes (OOM): {used} of {limit} bytes are used."


def snapshots_stop_writes(node: Node) -> bool:
    stops = node.config.get("stop-writes-on-bgsave-error") == "yes"
    return stops and bool(node.config.get("save"))


def alone(seen: Seen) -> Iterator[Finding]:
    node = seen.primary
    if seen.topology is not Topology.SENTINEL or not node or not node.is_primary:
        return
    if not any(each.state == "online" for each in node.followers):
        yield Kind.ALONE.at(node.address, "The primary has no replica that is attached.")


def wrong_primary(seen: Seen) -> Iterator[Finding]:
    """Replicas that follow somebody else than the named primary."""
    named = seen.named
    if named is None or seen.topology is not Topology.SENTINEL:
        return
    words = {"host": named.host, "port": str(named.port)}
    for node in seen.answering:
        followed = node.follows
        if not followed or seen.is_at(node, named) or seen.is_same(followed, named):
            continue
        other = seen.node_at(followed)
        if other is not None and seen.is_at(other, named):
            continue
        if other is None or not other.answers:
            kind, who = Kind.REPLICA_OF_DEAD, "which does not answer"
        elif other.is_replica:
            kind, who = Kind.REPLICA_OF_REPLICA, "which is a replica itself"
        else:
            kind, who = Kind.REPLICA_OF_OTHER, "which is not the primary that is named"
        yield kind.at(node.address, f"It follows {followed}, {who}.", **words)


def link(seen: Seen) -> Iterator[Finding]:
    for node in seen.answering:
        if not node.is_replica or node.is_loading:
            continue
        if node.is_syncing:
            yield Kind.SYNCING.at(node.address, f"It is copying the data of {node.follows}.")
        elif not node.link_is_up:
            since_s = node.info.get("master_link_down_since_seconds", "some")
            text = f"Its link to {node.follows} has been down for {since_s} s."
            yield Kind.LINK_DOWN.at(node.address, text)


def replica_behind(seen: Seen) -> Iterator[Finding]:
    primary = seen.primary
    for follower in primary.followers if primary else ():
        node = seen.node_at(follower.address)
        missing = 0
        if primary and node and node.answers and node.link_is_up:
            missing = primary.offset - node.offset
        if follower.state == "online" and follower.lag_s > _LAG_S:
            text = f"The primary has not heard from it for {follower.lag_s} s."
            yield Kind.REPLICA_BEHIND.at(follower.address, text)
        elif missing > _BEHIND_BYTES:
            text = f"It is {missing // 1024} KiB of writes behind the primary."
            yield Kind.REPLICA_BEHIND.at(follower.address, text)


def loading(seen: Seen) -> Iterator[Finding]:
    for node in seen.answering:
        if node.is_loading:
            yield Kind.LOADING.at(node.address, "It is loading its data (LOADING).")


def data_nodes_mismatch(seen: Seen) -> Iterator[Finding]:
    """The service compares `store.data_nodes` with what the servers say, letter by letter."""
    if seen.durability is Durability.FAST or not seen.views:
        return
    named = {view.primary for _, view in seen.views if view.primary}
    named |= {each.address for _, view in seen.views for each in view.replicas}
    if seen.primary:
        named |= {each.address for each in seen.primary.followers}
    for address in seen.data_nodes:
        if address in named:
            continue
        same = sorted(str(each) for each in named if _is_there(seen, address, each))
        hint = f"; they name {same[0]}, which is the same server" if same else ""
        text = f"store.data_nodes has {address}, which no Sentinel and no primary names{hint}."
        yield Kind.DATA_NODES_MISMATCH.at(address, text)


def _is_there(seen: Seen, address: object, other: object) -> bool:
    node = next((each for each in seen.nodes if address in (each.address, *each.aliases)), None)
    return node is not None and other in (node.address, *node.aliases)


ALL = (
    two_primaries,
    named_is_replica,
    named_unreachable,
    primary_not_writable,
    alone,
    wrong_primary,
    link,
    replica_behind,
    loading,
    data_nodes_mismatch,
)
