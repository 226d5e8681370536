"""States of an installation, built from a well one by changing what a test is about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from guarita.config import Address, Durability, Topology
from guarita.doctor.seen import Listed, Node, Seen, Sentinel, Server, View

NOW_S = 1_800_000_000.0
DATA = tuple(Address(f"10.0.0.{n}", 6379) for n in (1, 2, 3))
SENTINELS = tuple(Address(f"10.0.1.{n}", 26379) for n in (1, 2, 3))
STRANGER = Address("10.9.9.9", 6379)

_CONFIG = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "stop-writes-on-bgsave-error": "yes",
    "min-replicas-to-write": "1",
    "min-replicas-max-lag": "2",
    "replica-priority": "100",
    "repl-timeout": "10",
    "repl-ping-replica-period": "1",
}


def id_of(address: Address) -> str:
    return f"{address.host[-1]}abcdef0" + "0" * 32


def server(address: Address, **changes: Any) -> Server:
    info = {"redis_version": "7.0.15", "run_id": f"run-{address}"}
    return replace(Server(address, info=info, ahead_s=0.0, unsure_s=0.001), **changes)


def view_of(address: Address) -> View:
    return View(
        id=id_of(address),
        primary=DATA[0],
        quorum=2,
        down_after_ms=3000,
        failover_timeout_ms=10_000,
        parallel_syncs=2,
        replicas=tuple(Listed(each, frozenset({"slave"})) for each in DATA[1:]),
        others=tuple(
            Listed(each, frozenset({"sentinel"}), id_of(each))
            for each in SENTINELS
            if each != address
        ),
    )


def node(address: Address) -> Node:
    info = dict(server(address).info)
    if address == DATA[0]:
        info |= {"role": "master", "master_repl_offset": "1000", "connected_slaves": "2"}
        info["min_slaves_good_slaves"] = "2"
        for n, each in enumerate(DATA[1:]):
            info[f"slave{n}"] = f"ip={each.host},port=6379,state=online,offset=1000,lag=0"
    else:
        info |= {"role": "slave", "master_host": DATA[0].host, "master_port": "6379"}
        info |= {"master_link_status": "up", "slave_repl_offset": "1000"}
    watchers = frozenset(id_of(each)[:8] for each in SENTINELS)
    return Node(server(address, info=info), config=dict(_CONFIG), watchers=watchers)


def well() -> Seen:
    return Seen(
        topology=Topology.SENTINEL,
        durability=Durability.BALANCED,
        deadline_s=10.0,
        primary_name="guarita",
        sentinels=tuple(
            Sentinel(server(each, info={"redis_mode": "sentinel"}), view_of(each))
            for each in SENTINELS
        ),
        nodes=tuple(map(node, DATA)),
        data_nodes=DATA,
        now_s=NOW_S,
    )


Change = Callable[[Seen], Seen]


def with_view(*places: int, **changes: Any) -> Change:
    """Sentinels (by number, from 0; none: all) say something else."""

    def change(seen: Seen) -> Seen:
        sentinels = list(seen.sentinels)
        for place in places or range(len(sentinels)):
            view = sentinels[place].view
            assert view
            sentinels[place] = replace(sentinels[place], view=replace(view, **changes))
        return replace(seen, sentinels=tuple(sentinels))

    return change


def with_node(place: int, *, info: dict[str, str] | None = None, **changes: Any) -> Change:
    """A data node says something else; `config` is added to what it has."""

    def change(seen: Seen) -> Seen:
        nodes = list(seen.nodes)
        old = nodes[place]
        if "config" in changes:
            config = {**old.config, **changes["config"]}
            old = replace(old, config=config)
        rest = {name: value for name, value in changes.items() if name != "config"}
        told = replace(old.server, info={**old.info, **(info or {})})
        nodes[place] = replace(old, server=told, **rest)
        return replace(seen, nodes=tuple(nodes))

    return change


def with_server(kind: str, place: int, **changes: Any) -> Change:
    """A server of `sentinels` or `nodes`: what data nodes and Sentinels have in common."""

    def change(seen: Seen) -> Seen:
        all = list(getattr(seen, kind))
        all[place] = replace(all[place], server=replace(all[place].server, **changes))
        if changes.get("failure") and kind == "sentinels":
            all[place] = replace(all[place], view=None)
        return replace(seen, **{kind: tuple(all)})

    return change


def having(**changes: Any) -> Change:
    return lambda seen: replace(seen, **changes)


def after(*changes: Change) -> Seen:
    """The well state with these changes, one after the other."""
    seen = well()
    for change in changes:
        seen = change(seen)
    return seen
