"""The way to one primary: sends commands, and is the only layer that holds and retries.

redis-py's own retries are off: with them a call hangs for seconds on a dead primary and then
fails on the old address. Everything sent through a lane is safe to repeat, so what was lost on
the way is sent again, to whoever is primary then, until the caller's deadline.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import (
    TimeoutError as NoAnswer,
)

from guarita.deadline import Deadline
from guarita.errors import StoreOutcomeUnknown, StoreUnavailable
from guarita.stores.gate import Gate
from guarita.stores.scripts import Script

Argument = bytes | str | int


@dataclass(frozen=True, slots=True, eq=False)
class Primary:
    """A node that was found to be primary, with connections to it. Compared by identity."""

    host: str
    port: int
    pool: redis.ConnectionPool

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class _NotApplied(Exception):
    """The command certainly had no effect, and may have one elsewhere or later."""


class _PerhapsApplied(Exception):
    """The command was sent and its answer lost.

    `impatient` where the caller's deadline came first: that says nothing about the primary.
    """

    def __init__(self, text: str, *, impatient: bool) -> None:
        super().__init__(text)
        self.impatient = impatient


# Answers of a node that is not (or not yet, or no longer) the primary that takes writes.
_REFUSALS = (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoPermissionError,  # while a password or an ACL is being changed
    ReadOnlyError,
    TryAgainError,
)
_REFUSAL_CODES = ("NOREPLICAS", "MISCONF", "OOM", "NOAUTH")


class Lane:
    """Sends commands to one primary at a time. Safe for threads and greenlets."""

    def __init__(
        self,
        tag: str,
        *,
        max_waiting: int,
        max_connections: int,
        io_timeout_s: float,
        on_trouble: Callable[[], None],
    ) -> None:
        self.tag = tag
        self.gate: Gate[Primary] = Gate(max_waiting=max_waiting, on_trouble=on_trouble)
        self._places = threading.BoundedSemaphore(max_connections)
        self._io_timeout_s = io_timeout_s

    def run(
        self, script: Script, keys: Sequence[bytes], args: Sequence[Argument], deadline: Deadline
    ) -> Any:
        """Run a script on the primary, and again where its answer is lost."""
        tail = (len(keys), *keys, *args)
        return self._until_answered(
            lambda connection: _call_script(connection, script, tail), deadline
        )

    def command(self, *words: Argument, deadline: Deadline) -> Any:
        """Send one command that is safe to repeat."""
        return self._until_answered(lambda connection: connection(*words), deadline)

    def _until_answered(self, ask: Callable[[_Connection], Any], deadline: Deadline) -> Any:
        sent: _PerhapsApplied | None = None
        while True:
            try:
                primary = self.gate.enter(deadline)
                return self._ask(primary, ask, deadline)
            except StoreUnavailable as exc:
                if sent is None:
                    raise
                raise StoreOutcomeUnknown(f"an answer was lost: {exc}") from sent
            except _NotApplied as exc:
                self.gate.close(primary, str(exc))
            except _PerhapsApplied as exc:
                if exc.impatient:
                    raise StoreOutcomeUnknown(f"no time is left: {exc}") from exc
                sent = exc
                self.gate.close(primary, str(exc))

    def _ask(self, primary: Primary, ask: Callable[[_Connection], Any], deadline: Deadline) -> Any:
        if not self._places.acquire(timeout=deadline.remaining_s):
            raise StoreUnavailable("every connection to the store was in use until the deadline")
        try:
            with _connection(primary, self._io_timeout_s, deadline) as connection:
                return ask(connection)
        finally:
            self._places.release()


@dataclass(frozen=True, slots=True)
class _Connection:
    """One connection of the pool, for as long as one answer may take."""

    primary: Primary
    raw: Any
    timeout_s: float
    deadline: Deadline

    def __call__(self, *words: Argument) -> Any:
        patience_s = min(self.timeout_s, self.deadline.remaining_s)
        try:
            self.raw.send_command(*words, check_health=False)
            return self.raw.read_response(timeout=patience_s)
        except NoScriptError:
            raise
        except _REFUSALS as exc:
            raise _NotApplied(f"{self.primary} refused: {exc}") from exc
        except ResponseError as exc:
            if str(exc).startswith(_REFUSAL_CODES):
                raise _NotApplied(f"{self.primary} refused: {exc}") from exc
            # A script that failed half-way: what it did so far stays (Redis has no rollback).
            raise StoreOutcomeUnknown(f"{self.primary} answered: {exc}") from exc
        except (RedisError, OSError) as exc:
            raise _PerhapsApplied(
                f"the answer of {self.primary} was lost: {exc}",
                impatient=isinstance(exc, NoAnswer) and patience_s < self.timeout_s,
            ) from exc


@contextmanager
def _connection(primary: Primary, timeout_s: float, deadline: Deadline) -> Iterator[_Connection]:
    """A connection that is closed unless its last answer was read whole."""
    try:
        raw: Any = primary.pool.get_connection()
    except (RedisError, OSError) as exc:
        raise _NotApplied(f"no connection to {primary}: {exc}") from exc
    try:
        yield _Connection(primary, raw, timeout_s, deadline)
    except BaseException:
        raw.disconnect()
        raise
    finally:
        primary.pool.release(raw)


def _call_script(connection: _Connection, script: Script, tail: tuple[Argument, ...]) -> Any:
    try:
        return connection("EVALSHA", script.sha1, *tail)
    except NoScriptError:
        # Scripts are not replicated: a new primary has not seen this one (Redis, EVAL intro).
        return connection("EVAL", script.text, *tail)
