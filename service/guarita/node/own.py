"""What the agent's own server says of itself, and the thread that keeps asking it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import AuthenticationError, RedisError, ResponseError

from guarita.clients import exchange
from guarita.node.peers import Role
from guarita.stores.durability import Address
from guarita.stores.guard import TALLIES, History

INTERVAL_S = 0.1
FRESH_S = 0.5
_REPLICA = re.compile(rb"slave\d+:ip=([^,]*),port=(\d+),state=([^,]+),offset=(\d+),lag=(-?\d+)")


@dataclass(frozen=True, slots=True)
class Attached:
    """A replica in a primary's list."""

    node: Address
    online: bool
    offset: int
    lag_s: int
    """Whole seconds of the server's clock since its last acknowledgement."""


@dataclass(frozen=True, slots=True)
class Own:
    """The server at one moment."""

    role: Role
    follows: Address | None
    link_up: bool
    syncing: bool
    offset: int
    history: History | None  # None while it loads
    replicas: tuple[Attached, ...] = ()
    asked_s: float = 0.0
    seen_s: float = 0.0
    """When it was asked and when it answered, in seconds of the monotonic clock."""
    clock_s: float = 0.0
    """When `lag_s` of its replicas was counted, by its own clock."""


def look(connection: Any, counters: bytes) -> Own:
    """Asks the server; raises `RedisError` or `OSError`, and the connection is of no use then."""
    asked_s = time.monotonic()
    (info,) = exchange(connection, [("INFO", "replication", "persistence", "server")])
    loading = b"\r\nloading:1" in info
    tallies = None if loading else exchange(connection, [("HMGET", counters, *TALLIES)])[0]
    return read(info, tallies, asked_s)


def read(info: bytes, tallies: Sequence[bytes | None] | None, asked_s: float) -> Own:
    """From INFO replication (and server), and HMGET of `TALLIES` where it is not loading."""
    fields = dict(line.split(b":", 1) for line in info.splitlines() if b":" in line)
    is_primary = fields[b"role"] == b"master"
    follows = None
    if not is_primary:
        follows = (fields[b"master_host"].decode(), int(fields[b"master_port"]))
    return Own(
        Role.PRIMARY if is_primary else Role.REPLICA,
        follows,
        fields.get(b"master_link_status") == b"up",
        fields.get(b"master_sync_in_progress") == b"1",
        int(fields[b"master_repl_offset"]),
        History.read(info, tallies) if tallies is not None else None,
        tuple(
            Attached((ip.decode(), int(port)), state == b"online", int(offset), int(lag))
            for ip, port, state, offset, lag in _REPLICA.findall(info)
        ),
        asked_s,
        time.monotonic(),
        int(fields.get(b"server_time_usec", 0)) / 1_000_000,
    )


class Observer:
    """Keeps asking the server over a connection of its own, without a time limit.

    So a server that was frozen is heard of in the moment in which it goes on.
    """

    def __init__(self, connect: Callable[[], Any], counters: bytes, on_look: Callable[[], None]):
        self._connect = connect
        self._counters = counters
        self._on_look = on_look
        self._last: Own | None = None
        self.has_loaded = False
        """Whether the server ever answered with its data loaded."""
        self.refusal = ""
        """In words, why the server that is up does not answer us; empty where it does."""
        self._over = threading.Event()
        self._connection: Any = None
        self._thread = threading.Thread(target=self._run, name="guarita-observer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._over.set()

    @property
    def answered(self) -> bool:
        """Whether the server ever did."""
        return self._last is not None

    def now(self, *, fresh_s: float = FRESH_S) -> Own | None:
        """The last answer; None where it is too old to act on: it is frozen, or not up yet."""
        last = self._last
        return last if last and time.monotonic() - last.seen_s <= fresh_s else None

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self._watch(self._connect())
            except (AuthenticationError, ResponseError, ValueError) as exc:  # or a file is gone
                self.refusal = f"the server does not take what its agent says: {exc}"
                self._over.wait(INTERVAL_S)
            except (RedisError, OSError, KeyError):  # also: an answer cut short
                self._over.wait(INTERVAL_S)

    def _watch(self, connection: Any) -> None:
        try:
            while not self._over.is_set():
                self._last = look(connection, self._counters)
                self.refusal = ""
                self.has_loaded = self.has_loaded or self._last.history is not None
                self._on_look()
                self._over.wait(INTERVAL_S)
        finally:
            connection.disconnect()
