"""Builds the store that the settings ask for: a topology is a way of building clients."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import redis
import structlog
from redis.exceptions import ReadOnlyError

from guarita.clients import Argument, client, exchange, pool
from guarita.config import SessionSettings, StoreSettings, Topology
from guarita.metrics import STORE_LOSSES
from guarita.stores.base import Store
from guarita.stores.cache import Cache
from guarita.stores.cluster import ClusterNodes
from guarita.stores.discovery import Demoted, Finder, FixedPrimary
from guarita.stores.durability import Address
from guarita.stores.guard import TALLIES, Guard, History, Rule, Writes
from guarita.stores.lane import Lane, Primary
from guarita.stores.listener import Listener
from guarita.stores.memory import MemoryStore
from guarita.stores.pipeline import Pipeline
from guarita.stores.prober import Prober
from guarita.stores.redis import CLUSTER_TAGS, KeyNames, RedisStore
from guarita.stores.scripts import ALL
from guarita.stores.sentinel import SentinelMajority

_log = structlog.get_logger("guarita.stores")


def new_cache(store: StoreSettings, sessions: SessionSettings) -> Cache:
    """What verify may remember: to be given to `open_store`, which has it hear of revocations."""
    if store.topology is Topology.MEMORY or not sessions.cache_age_s:
        return Cache()
    ears = len(_tags(store))
    return Cache(age_s=sessions.cache_age_s, most=sessions.cache_entries, ears=ears)


def open_store(
    store: StoreSettings,
    sessions: SessionSettings,
    *,
    cache: Cache | None = None,
    now: Callable[[], float] = time.time,
) -> Store:
    """The configured store. Returns at once: who calls it waits for the servers, not this.

    Starts a thread (a greenlet where gevent patched threads), so call it after any fork.
    """
    if store.topology is Topology.MEMORY:
        return MemoryStore(now)
    names = KeyNames(sessions.key_prefix, sessions.stats_key)
    cache = cache if cache is not None else Cache()

    def open_primary(address: Address, lane: Lane) -> Primary:
        return _open_primary(store, address, lane, names, cache)

    prober = Prober(_finder(store), open_primary)
    rule = Rule(
        store.durability,
        frozenset((node.host, node.port) for node in store.data_nodes),
        watched=store.topology is not Topology.STANDALONE,
        may_stand_alone=store.topology is Topology.CLUSTER,
    )
    lanes = [
        Lane(
            tag,
            max_waiting=store.max_waiting,
            guard=Guard(rule, names.counters(tag), on_doubt=prober.wake),
            on_trouble=prober.wake,
        )
        for tag in _tags(store)
    ]
    prober.start(lanes)
    return RedisStore(lanes, names, cache=cache, on_close=prober.close)


def _tags(store: StoreSettings) -> tuple[str, ...]:
    return CLUSTER_TAGS if store.topology is Topology.CLUSTER else ("",)


def _finder(store: StoreSettings) -> Finder:
    if store.topology is Topology.SENTINEL:
        sentinel = store.sentinel
        clients = {
            (node.host, node.port): client(
                (node.host, node.port), sentinel, sentinel.timeout_s, sentinel.timeout_s
            )
            for node in sentinel.nodes
        }
        patience_s = 3 * sentinel.timeout_s  # to connect, to sign in, to answer
        return SentinelMajority(clients, sentinel.primary_name, patience_s=patience_s)
    if store.topology is Topology.CLUSTER:
        nodes = [(node.host, node.port) for node in store.cluster.nodes]
        return ClusterNodes(
            lambda node: client(node, store.data, store.connect_timeout_s, store.io_timeout_s),
            nodes,
        )
    return FixedPrimary((store.standalone.host, store.standalone.port))


def _open_primary(
    store: StoreSettings, address: Address, lane: Lane, names: KeyNames, cache: Cache
) -> Primary:
    """Connects and writes: a node may answer and still take no writes (min-replicas, disk full)."""
    connections_to = pool(
        address,
        store.data,
        store.connect_timeout_s,
        store.io_timeout_s,
        db=store.data.db,
        redis_connect_func=_connect_to_primary,
    )
    connections: list[Any] = []
    try:
        connections += [_connected(connections_to, names.probe(lane.tag))]
        connections += [_connected(connections_to, names.probe(lane.tag))]
        _look_for_loss(connections[0], lane.guard, f"{address[0]}:{address[1]}")
    except BaseException:
        for each in connections:
            each.disconnect()
        raise
    durable = Writes(lane.guard, address)

    def on_end(reason: str) -> None:
        lane.gate.close(primary, f"the connection to {primary} ended: {reason}")

    writes, reads = (
        Pipeline(each, durable, most_waiting=store.max_waiting, on_end=on_end, name="guarita-io")
        for each in connections
    )
    listener = None
    if cache.is_on:
        listener = Listener(
            connections_to.make_connection,
            names.revocations(lane.tag),
            cache,
            primary=f"{address[0]}:{address[1]}",
        )
    primary = Primary(address, durable, writes, reads, listener)
    return primary


def _connected(connections: redis.ConnectionPool, probe_key: bytes) -> Any:
    """A connection that has written and has taught the server the scripts."""
    connection: Any = connections.make_connection()
    connection.connect()
    commands: list[tuple[Argument, ...]] = [("SCRIPT", "LOAD", each.text) for each in ALL]
    commands.append(("SET", probe_key, "1", "PX", 1000))
    try:
        exchange(connection, commands)
    except BaseException:
        connection.disconnect()
        raise
    return connection


def _look_for_loss(connection: Any, guard: Guard, primary: str) -> None:
    """Where this primary lacks what was acknowledged, no ticket from before is redeemed any more.

    It is written to the store itself, so that every process refuses them; in doubt none is
    admitted twice. Until the next acknowledgement the next primary is compared with the same: it
    may lack this mark as well.
    """
    questions: list[Argument] = ["HMGET", guard.counters, *TALLIES]
    replication, tallies, clock = exchange(
        connection, [("INFO", "replication"), tuple(questions), ("TIME",)]
    )
    lack = guard.loss_in(History.read(replication, tallies))
    if lack is None:
        return
    now_us = int(clock[0]) * 1_000_000 + int(clock[1])
    exchange(connection, [("HSET", guard.counters, "doubted_us", now_us)])
    STORE_LOSSES.inc()
    _log.error("acknowledged writes are lost", primary=primary, reason=lack)


def _connect_to_primary(connection: Any) -> None:
    """Refuses a replica on connect: it would answer reads, and writes only after a detour."""
    connection.on_connect()
    connection.send_command("ROLE", check_health=False)
    role, *more = connection.read_response()
    if role == b"slave":
        raise Demoted((more[0].decode(), int(more[1])))
    if role != b"master":
        raise ReadOnlyError(f"it is a {role.decode()}, not the primary")
