"""The store as the benchmark sees it: filled, emptied, and asked what it had to do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import redis

from bench.processes import cpu_s
from guarita.topology.local import LocalSentinel, LocalStandalone

_COPY = """
for i = 1, #ARGV do redis.call('COPY', KEYS[1], ARGV[i], 'REPLACE') end
"""
QUIET_S = 0.1
_CHUNK = 5000
# What the installation does by itself.
_HOUSEKEEPING = frozenset(
    ("ping", "info", "publish", "replconf", "config|resetstat", "hello", "subscribe")
)


class Primary:
    """The primary of a local installation that belongs to the benchmark alone."""

    def __init__(self, installation: LocalSentinel) -> None:
        node = installation.primary()
        self._replicas = len(installation.replicas())
        self._client = redis.Redis(host=node.host, port=node.port)
        self._pid = int(self._client.info("server")["process_id"])

    @property
    def version(self) -> str:
        info = self._client.info("server")
        name = "Valkey" if "valkey_version" in info else "Redis"
        return f"{name} {info.get('valkey_version', info['redis_version'])}"

    def empty(self) -> None:
        """Also of what servers still write for requests that nobody waits for any more."""
        while True:
            self._client.flushall()
            self._settle()
            time.sleep(QUIET_S)
            if self._client.dbsize() == 0:
                return

    def record(self, prefix: bytes) -> bytes:
        """The key of the one record that begins with `prefix`."""
        (key,) = self._client.scan_iter(match=prefix + b"*", count=1000)
        return bytes(key)

    def copy(self, key: bytes, keys: Sequence[bytes]) -> None:
        """Copy a record, expiry and all; returns when the replicas have the copies too."""
        _copy(self._client, key, keys)
        self._settle()

    def start_counting(self) -> None:
        self._client.config_resetstat()
        self._cpu_s = cpu_s(self._pid)

    def counted(self) -> tuple[dict[str, int], float]:
        """Commands since `start_counting`, those inside scripts included, and seconds of CPU."""
        spent_s = cpu_s(self._pid) - self._cpu_s
        stats = self._client.info("commandstats")
        calls = {name.removeprefix("cmdstat_"): int(each["calls"]) for name, each in stats.items()}
        return {name: n for name, n in calls.items() if name not in _HOUSEKEEPING}, spent_s

    def dump(self, key: bytes) -> bytes:
        return bytes(self._client.dump(key) or b"")

    def close(self) -> None:
        self._client.close()

    def _settle(self) -> None:
        self._client.set("settled", 1, px=1)
        self._client.wait(self._replicas, 60_000)


def bytes_per_record(directory: Path, dump: bytes, keys: Sequence[bytes]) -> float:
    """What one more record adds to `used_memory`, expiry and key included, over `keys`."""
    with LocalStandalone(directory) as installation:
        node = installation.primary()
        with redis.Redis(host=node.host, port=node.port) as client:
            client.config_set("appendonly", "no")
            client.restore("model", 1_800_000, dump)
            before = _used_memory(client)
            _copy(client, b"model", keys)
            return (_used_memory(client) - before) / len(keys)


def _copy(client: redis.Redis, key: bytes, keys: Sequence[bytes]) -> None:
    for first in range(0, len(keys), _CHUNK):
        client.eval(_COPY, 1, key, *keys[first : first + _CHUNK])


def _used_memory(client: redis.Redis) -> int:
    client.memory_purge()
    return int(client.info("memory")["used_memory"])
