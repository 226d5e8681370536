"""Builds the store that the settings ask for: a topology is a way of building clients."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import ReadOnlyError
from redis.retry import Retry

from guarita.config import Credentials, SessionSettings, StoreSettings, Topology
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
        clients = {
            (node.host, node.port): _client(
                (node.host, node.port), sentinel, sentinel.timeout_s, sentinel.timeout_s
            )
            for node in sentinel.nodes
        }
        patience_s = 3 * sentinel.timeout_s  # to connect, to sign in, to answer
        return SentinelMajority(clients, sentinel.primary_name, patience_s=patience_s)
    if store.topology is Topology.CLUSTER:
        nodes = [(node.host, node.port) for node in store.cluster.nodes]
        return ClusterSlots(
            lambda node: _client(node, store.data, store.connect_timeout_s, store.io_timeout_s),
            nodes,
        )
    return FixedPrimary((store.standalone.host, store.standalone.port))


def _open_primary(store: StoreSettings, address: Address, probe_key: bytes) -> Primary:
    """Connects and writes: a node may answer and still take no writes (min-replicas, disk full)."""
    pool = _pool(
        address,
        store.data,
        store.connect_timeout_s,
        store.io_timeout_s,
        db=store.data.db,
        redis_connect_func=_connect_to_primary,
    )
    redis.Redis(connection_pool=pool).set(probe_key, "1", px=1000)
    return Primary(*address, pool)


def _client(
    address: Address, credentials: Credentials, connect_timeout_s: float, io_timeout_s: float
) -> redis.Redis:
    return redis.Redis.from_pool(_pool(address, credentials, connect_timeout_s, io_timeout_s))


def _pool(
    address: Address,
    credentials: Credentials,
    connect_timeout_s: float,
    io_timeout_s: float,
    **more: Any,
) -> redis.ConnectionPool:
    """Connections without redis-py's own retries: ours is the one layer that repeats."""
    connection_class, tls = _connection_class(credentials)
    return redis.ConnectionPool(
        connection_class=connection_class,
        host=address[0],
        port=address[1],
        credential_provider=_SignIn(credentials) if _signs_in(credentials) else None,
        socket_connect_timeout=connect_timeout_s,
        socket_timeout=io_timeout_s,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        protocol=2,  # RESP3 costs a round trip on connect and brings nothing here
        driver_info=None,
        **tls,
        **more,
    )


class _SignIn(CredentialProvider):
    """Reads the password for each connection, so that it can be changed while all goes on."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        password = self._credentials.current_password() or ""
        username = self._credentials.username
        return (username, password) if username else (password,)


def _connection_class(credentials: Credentials) -> tuple[type[redis.Connection], dict[str, Any]]:
    tls = credentials.tls
    if not tls.enabled:
        return redis.Connection, {}
    return redis.SSLConnection, {
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": tls.verify_names,
        "ssl_ca_certs": _path(tls.ca_file),
        "ssl_certfile": _path(tls.cert_file),
        "ssl_keyfile": _path(tls.key_file),
    }


def _signs_in(credentials: Credentials) -> bool:
    return bool(credentials.username or credentials.password or credentials.password_file)


def _path(path: Path | None) -> str | None:
    return str(path) if path else None


def _connect_to_primary(connection: Any) -> None:
    """Refuses a replica on connect: it would answer reads, and writes only after a detour."""
    connection.on_connect()
    connection.send_command("ROLE", check_health=False)
    role = connection.read_response()[0]
    if role != b"master":
        raise ReadOnlyError(f"it is a {role.decode()}, not the primary")
