"""Hears what any process revokes, from one primary, so that this one's cache forgets it.

The script that revokes publishes the name; `CLIENT TRACKING` would tell of every create and
redeem as well (`docs/architecture.md` has the figures).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import structlog
from redis.exceptions import RedisError

from guarita.stores.cache import Cache

QUIET_S = 1.0  # after which the primary is asked for a sign of life
RETRY_S = 1.0

_log = structlog.get_logger("guarita.stores")


class Listener:
    """One connection to one primary, made again until `end`. One thread (a greenlet under gevent).

    While it is down, the cache is empty and the store is asked.
    """

    def __init__(
        self, connect: Callable[[], Any], channel: bytes, cache: Cache, *, primary: str
    ) -> None:
        """`connect` makes a connection that is not connected yet."""
        self._connect = connect
        self._channel = channel
        self._cache = cache
        self._primary = primary
        self._ended = threading.Event()
        self._was_heard: bool | None = None

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def start(self) -> None:
        threading.Thread(target=self._run, name="guarita-revocations", daemon=True).start()

    def end(self) -> None:
        """Count no more, at once; the thread ends when it notices."""
        self._ended.set()
        self._cache.misses(self)

    def _run(self) -> None:
        while not self.ended:
            connection = self._connect()
            reason = "it was ended"
            try:
                self._listen(connection)
            except (RedisError, OSError, ValueError) as exc:
                reason = str(exc)
            finally:
                self._cache.misses(self)
                connection.disconnect()
            if not self.ended:
                self._log(heard=False, reason=reason)
                self._ended.wait(RETRY_S)

    def _listen(self, connection: Any) -> None:
        """Sharded, so that on a Cluster it is the primary of the tickets that tells, at once."""
        connection.connect()
        connection.send_command("SSUBSCRIBE", self._channel, check_health=False)
        connection.read_response()
        self._cache.hears(self)
        self._log(heard=True)
        while not self.ended:
            if not connection.can_read(QUIET_S):
                connection.send_command("PING", check_health=False)
            kind, *rest = connection.read_response()
            if kind == b"smessage":
                self._cache.drop(rest[1])
            elif kind == b"sunsubscribe":
                raise RedisError("the channel's slot is another node's now")

    def _log(self, *, heard: bool, reason: str = "") -> None:
        """The changes, not each attempt."""
        if heard and not self._was_heard:
            _log.info("revocations heard", primary=self._primary)
        elif not heard and self._was_heard is not False:
            _log.warning("revocations not heard", primary=self._primary, reason=reason)
        self._was_heard = heard
