"""The configuration file of a Sentinel: what it has learned stays, all else is as configured.

A Sentinel keeps its state in this file. Its epochs and the data nodes are kept, and nobody of the
configuration is missing after a restart. A data node that was taken out of the configuration stays
as well: it may be required by a service that has not heard of that yet, and only who lists it can
report it down. `forget` takes it away once all is well. Other Sentinels are those configured, so
that no majority counts one that was taken away.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from guarita.config import Settings
from guarita.node.conf import common_lines, digests, quoted, tls_lines
from guarita.stores.durability import Address

# Periods of a Sentinel in ms that only SENTINEL DEBUG sets (Redis 7.0, Valkey 7.2 and newer).
# It notices that a node is down up to one ping period late, and opens its connection to a new
# primary up to one after the switch: at the usual 1000, a down-after of 1000 has passed by then,
# and a healthy primary is replaced at once. While the primary is down it promotes nobody whose
# last INFO is older than five of them (`sentinelSelectSlave`); INFO comes once a second, whatever
# is set, and up to 0.1 s late. So 200 finds nobody in one of thirty failovers, and the next attempt
# is made after twice the failover timeout. 300 leaves 0.4 s for a busy machine.
# At the usual 10000 it learns of a new replica, or of a primary that became one, too late.
#
# A Sentinel in TILT decides nothing, and takes a dead primary for down only when that is over. It
# promotes no replica that had lost its link ten down-afters before it took the primary for down,
# not later either (`max_master_down_time` there): at the usual 30000 none of a primary that died
# early in it, so that a failover waits for a Sentinel that was not in TILT to be elected.
_PERIODS_MS = {"ping-period": 300, "info-period": 1000}
_TILT_DOWN_AFTERS = 5
_TILT_MS = 30_000  # what it is by itself


def periods_ms(down_after_ms: int) -> dict[str, int]:
    """What SENTINEL DEBUG is told."""
    return {**_PERIODS_MS, "tilt-period": min(_TILT_MS, _TILT_DOWN_AFTERS * down_after_ms)}


@dataclass(frozen=True, slots=True)
class Memory:
    """What a Sentinel must not forget: whom it watches, and how far elections have come.

    `replicas` are those that it listed, whoever else is configured.
    """

    primary: Address
    config_epoch: int = 0
    leader_epoch: int = 0
    current_epoch: int = 0
    replicas: frozenset[Address] = frozenset()


def remembered(text: str, primary_name: str) -> Memory | None:
    """From the file as the Sentinel wrote it; None where it watches nobody of this name."""
    found: dict[str, int] = {}
    primary: Address | None = None
    replicas: set[Address] = set()
    for line in text.splitlines():
        match line.split():
            case ["sentinel", "monitor", name, host, port, _] if name == primary_name:
                primary = (host.strip('"'), int(port))
            case ["sentinel", "known-replica", name, host, port] if name == primary_name:
                replicas.add((host.strip('"'), int(port)))
            case ["sentinel", ("config-epoch" | "leader-epoch") as which, name, epoch]:
                if name == primary_name:
                    found[which] = int(epoch)
            case ["sentinel", "current-epoch", epoch]:
                found["current-epoch"] = int(epoch)
    if primary is None:
        return None
    return Memory(
        primary,
        found.get("config-epoch", 0),
        found.get("leader-epoch", 0),
        found.get("current-epoch", 0),
        frozenset(replicas),
    )


def sentinel_id(primary_name: str, sentinel: Address) -> str:
    """Of this Sentinel and this installation alone, also after it has lost its file."""
    return hashlib.sha256(f"{primary_name} {sentinel[0]}:{sentinel[1]}".encode()).hexdigest()[:40]


def sentinel_lines(settings: Settings, memory: Memory) -> str:
    """The whole file. Raises `ValueError` when a password file is gone."""
    return "".join(f"{line}\n" for line in _lines(settings, memory))


def _lines(settings: Settings, memory: Memory) -> Iterator[str]:
    node, name = settings.node, settings.store.sentinel.primary_name
    if node.announce is None:
        raise ValueError("node.announce is needed")
    me = (node.announce.host, node.announce.port)
    quorum = node.quorum or len(settings.store.sentinel.nodes) // 2 + 1
    tls = tls_lines(settings)
    yield from (f"port {0 if tls else me[1]}", *([f"tls-port {me[1]}"] if tls else []))
    yield from (f"bind {' '.join(node.interfaces)}", *common_lines(node.data_dir), *tls)
    yield "sentinel resolve-hostnames yes"
    yield "sentinel announce-hostnames yes"
    yield f"sentinel announce-ip {quoted(me[0])}"
    yield f"sentinel announce-port {me[1]}"
    yield f"sentinel myid {sentinel_id(name, me)}"
    yield f"sentinel current-epoch {memory.current_epoch}"
    yield f"sentinel monitor {name} {memory.primary[0]} {memory.primary[1]} {quorum}"
    yield f"sentinel down-after-milliseconds {name} {node.down_after_ms}"
    yield f"sentinel failover-timeout {name} {node.failover_timeout_ms}"
    yield f"sentinel parallel-syncs {name} {node.parallel_syncs}"
    yield f"sentinel config-epoch {name} {memory.config_epoch}"
    yield f"sentinel leader-epoch {name} {memory.leader_epoch}"
    yield from _access_lines(settings)
    peers = [(peer.host, peer.port) for peer in node.peers]
    for host, port in dict.fromkeys([*peers, *sorted(memory.replicas)]):
        if (host, port) != memory.primary:
            yield f"sentinel known-replica {name} {host} {port}"
    for other in settings.store.sentinel.nodes:
        address = (other.host, other.port)
        if address != me:
            known = f"{address[0]} {address[1]} {sentinel_id(name, address)}"
            yield f"sentinel known-sentinel {name} {known}"


def _access_lines(settings: Settings) -> Iterator[str]:
    """Who may ask it, and as whom it asks data nodes and the other Sentinels."""
    sentinel = settings.store.sentinel
    name = sentinel.primary_name
    user = settings.node.users.by_role().get("sentinel")
    if user is not None:
        yield f"sentinel auth-user {name} {user.username}"
    at_nodes = (user or settings.store.data).current_password()
    if at_nodes:
        yield f"sentinel auth-pass {name} {quoted(at_nodes)}"
    password = sentinel.current_password()
    if not password:
        return
    name_of_all = sentinel.username or "default"
    yield f"user {name_of_all} on {' '.join(digests(sentinel))} ~* &* +@all"
    if sentinel.username:
        yield "user default off resetpass"
        yield f"sentinel sentinel-user {sentinel.username}"
    yield f"sentinel sentinel-pass {quoted(password)}"
