"""Builds the store that the settings ask for: a topology is a way of building clients."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import ReadOnlyError
from redis.retry import Retry

from guarita.config import DataSettings, SessionSettings, StoreSettings, TlsSettings, Topology
from guarita.stores.base import Store
from guarita.stores.discovery import Address, ClusterSlots, Finder, FixedPrimary, SentinelMajority
from guarita.stores.lane import Lane, Primary
from guarita.stores.memory import MemoryStore
from guarita.stores.prober import Prober
from guarita.stores.redis import CLUSTER_TAGS, KeyNames, RedisStore


def open_store(
    store: StoreSettings, sessions: SessionSettings, *, now: Callable[[], float] = time.time
) -> Store:
    """The configured store. Returns at once: who calls it waits for the servers, not this.

    Starts a thread (a greenlet where gevent patched threads), so call it after any fork.
    """
    if store.topology is Topology.MEMORY:
        return MemoryStore(now)
    names = KeyNames(sessions.key_prefix, sessions.stats_key)
    tags = CLUSTER_TAGS if store.topology is Topology.CLUSTER else ("",)

    def open_primary(address: Address, tag: str) -> Primary:
        return _open_primary(store, address, names.probe(tag))

    prober = Prober(_finder(store), open_primary)
    lanes = [
        Lane(
            tag,
            max_waiting=store.max_waiting,
            max_connections=store.max_connections,
            io_timeout_s=store.io_timeout_s,
            on_trouble=prober.wake,
        )
        for tag in tags
    ]
    prober.start(lanes)
    return RedisStore(lanes, names, on_close=prober.close)


def _finder(store: StoreSettings) -> Finder:
    if store.topology is Topology.SENTINEL:
        sentinel = store.sentinel
        options = _options(
            sentinel.username, sentinel.current_password(), sentinel.tls, sentinel.timeout_s
        )
        clients = {
            (node.host, node.port): redis.Redis(host=node.host, port=node.port, **options)
            for node in sentinel.nodes
        }
        return SentinelMajority(clients, sentinel.primary_name, patience_s=2 * sentinel.timeout_s)
    if store.topology is Topology.CLUSTER:
        nodes = [(node.host, node.port) for node in store.cluster.nodes]
        return ClusterSlots(lambda node: redis.Redis(*node, **_data_options(store)), nodes)
    return FixedPrimary((store.standalone.host, store.standalone.port))


def _open_primary(store: StoreSettings, address: Address, probe_key: bytes) -> Primary:
    """Connects and writes: a node may answer and still take no writes (min-replicas, disk full)."""
    connection_class = redis.SSLConnection if store.data.tls.enabled else redis.Connection
    pool = redis.ConnectionPool(
        connection_class=connection_class,
        host=address[0],
        port=address[1],
        redis_connect_func=_connect_to_primary,
        **_pool_options(store),
    )
    with redis.Redis(connection_pool=pool) as client:
        client.set(probe_key, "1", px=1000)
    return Primary(*address, pool)


def _connect_to_primary(connection: Any) -> None:
    """Refuses a replica on connect: it would answer reads, and writes only after a detour."""
    connection.on_connect()
    connection.send_command("ROLE", check_health=False)
    role = connection.read_response()[0]
    if role != b"master":
        raise ReadOnlyError(f"it is a {role.decode()}, not the primary")
