"""The Sentinels: whether they could replace the primary, and agree on who it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from guarita.config import Topology
from guarita.doctor.finding import Finding
from guarita.doctor.kinds import Kind
from guarita.doctor.seen import Listed, Seen, View

_DOWN = {"s_down", "o_down"}


def no_majority(seen: Seen) -> Iterator[Finding]:
    if seen.topology is Topology.SENTINEL and seen.named is None:
        votes = Counter(str(view.primary) for _, view in seen.views)
        said = ", ".join(f"{count} for {who}" for who, count in votes.items()) or "none is there"
        text = f"{seen.majority} of {len(seen.sentinels)} Sentinels must name one primary: {said}."
        yield Kind.NO_MAJORITY.at("", text)


def sentinels_disagree(seen: Seen) -> Iterator[Finding]:
    named = seen.named
    for sentinel, view in seen.views:
        others = {str(other.primary) for _, other in seen.views} - {str(view.primary)}
        if others and view.primary != named:
            text = f"It names {view.primary} as primary, others {' and '.join(sorted(others))}."
            yield Kind.SENTINELS_DISAGREE.at(sentinel.address, text, name=seen.primary_name)


def primary_name_unknown(seen: Seen) -> Iterator[Finding]:
    for sentinel in seen.sentinels:
        if sentinel.view and sentinel.view.primary is None:
            text = f"It knows no primary called {seen.primary_name}."
            yield Kind.PRIMARY_NAME_UNKNOWN.at(sentinel.address, text, name=seen.primary_name)


def tilt(seen: Seen) -> Iterator[Finding]:
    for sentinel in seen.sentinels:
        if sentinel.view and sentinel.view.tilt:
            yield Kind.TILT.at(sentinel.address, "It is in TILT mode.")


def no_quorum(seen: Seen) -> Iterator[Finding]:
    for sentinel, view in seen.views:
        if view.quorum_trouble:
            text = f"CKQUORUM: {view.quorum_trouble.rstrip('.')}."
            yield Kind.NO_QUORUM.at(sentinel.address, text, name=seen.primary_name)


def failover_under_way(seen: Seen) -> Iterator[Finding]:
    for sentinel, view in seen.views:
        if "failover_in_progress" in view.flags:
            yield Kind.FAILOVER_UNDER_WAY.at(sentinel.address, "It is failing over.")


def primary_seen_down(seen: Seen) -> Iterator[Finding]:
    for sentinel, view in seen.views:
        node = seen.node_at(view.primary) if view.primary else None
        if node and node.answers and not view.flags.isdisjoint(_DOWN):
            text = f"It takes the primary {view.primary} for down."
            yield Kind.PRIMARY_SEEN_DOWN.at(sentinel.address, text, name=seen.primary_name)


def seen_down(seen: Seen) -> Iterator[Finding]:
    """Replicas and Sentinels that one Sentinel does not reach, while they answer here."""
    for sentinel, view in seen.views:
        alive = [each.address for each in view.replicas if each.is_down and _answers(seen, each)]
        alive += [
            each.address for each in view.others if each.is_down and _is_awake(seen, view, each)
        ]
        for address in alive:
            text = f"It takes {address} for down, which answers here."
            yield Kind.SEEN_DOWN.at(sentinel.address, text, name=seen.primary_name)


def _answers(seen: Seen, listed: Listed) -> bool:
    node = seen.node_at(listed.address)
    return node is not None and node.answers


def _is_awake(seen: Seen, view: View, listed: Listed) -> bool:
    return any(
        other.id == listed.id or seen.is_same(sentinel.address, listed.address)
        for sentinel, other in seen.views
        if other is not view
    )


def lists_nobody(seen: Seen) -> Iterator[Finding]:
    for sentinel, view in seen.views:
        if not view.replicas and "replicas" not in sentinel.server.denied:
            text = "It lists no replica."
            yield Kind.LISTS_NOBODY.at(sentinel.address, text, name=seen.primary_name)


def replica_not_listed(seen: Seen) -> Iterator[Finding]:
    primary = seen.primary
    attached = (
        [each.address for each in primary.followers if each.state == "online"] if primary else []
    )
    for sentinel, view in seen.views:
        if not view.replicas or view.primary != seen.named:
            continue
        for address in attached:
            if not any(seen.is_same(address, each.address) for each in view.replicas):
                text = f"It does not list {address}, a replica of the primary."
                yield Kind.REPLICA_NOT_LISTED.at(sentinel.address, text)


def sentinel_not_listed(seen: Seen) -> Iterator[Finding]:
    for sentinel, view in seen.views:
        if "sentinels" in sentinel.server.denied:
            continue
        ids = {each.id for each in view.others}
        for other, said in seen.views:
            addresses = (each.address for each in view.others)
            known = said.id in ids or any(seen.is_same(other.address, each) for each in addresses)
            if other is not sentinel and not known:
                text = f"It does not list the Sentinel {other.address}."
                yield Kind.SENTINEL_NOT_LISTED.at(sentinel.address, text)


def sentinels_few(seen: Seen) -> Iterator[Finding]:
    if 0 < len(seen.sentinels) < 3:
        yield Kind.SENTINELS_FEW.at("", f"There are {len(seen.sentinels)} Sentinels.")


def sentinels_even(seen: Seen) -> Iterator[Finding]:
    if seen.sentinels and len(seen.sentinels) % 2 == 0:
        yield Kind.SENTINELS_EVEN.at("", f"There are {len(seen.sentinels)} Sentinels.")


def quorum_unsafe(seen: Seen) -> Iterator[Finding]:
    for sentinel, view in seen.views:
        if view.quorum != seen.majority:
            text = f"Its quorum is {view.quorum} of {len(seen.sentinels)} Sentinels."
            words = {"name": seen.primary_name, "majority": str(seen.majority)}
            yield Kind.QUORUM_UNSAFE.at(sentinel.address, text, **words)


def sentinel_settings_differ(seen: Seen) -> Iterator[Finding]:
    settings = {
        "quorum": [view.quorum for _, view in seen.views],
        "down-after-milliseconds": [view.down_after_ms for _, view in seen.views],
        "failover-timeout": [view.failover_timeout_ms for _, view in seen.views],
        "parallel-syncs": [view.parallel_syncs for _, view in seen.views],
    }
    for setting, values in settings.items():
        if len(set(values)) > 1:
            said = ", ".join(
                f"{who.address} {value}" for (who, _), value in zip(seen.views, values, strict=True)
            )
            words = {"name": seen.primary_name, "setting": setting}
            yield Kind.SENTINEL_SETTINGS_DIFFER.at("", f"{setting} differs: {said}.", **words)


ALL = (
    no_majority,
    sentinels_disagree,
    primary_name_unknown,
    tilt,
    no_quorum,
    failover_under_way,
    primary_seen_down,
    seen_down,
    lists_nobody,
    replica_not_listed,
    sentinel_not_listed,
    sentinels_few,
    sentinels_even,
    quorum_unsafe,
    sentinel_settings_differ,
)
