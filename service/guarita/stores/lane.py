"""The way to one primary: the only layer that holds and retries.

redis-py's own retries are off: with them a call hangs for seconds on a dead primary and then
fails on the old address. Everything sent through a lane is safe to repeat, so what was lost on
the way is sent again, to whoever is primary then, until the caller's deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from redis.exceptions import (
    AskError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from guarita.deadline import Deadline
from guarita.errors import StoreOutcomeUnknown, StoreUnavailable
from guarita.stores.base import Acknowledgement
from guarita.stores.durability import Address
from guarita.stores.gate import Gate
from guarita.stores.guard import Guard, Writes
from guarita.stores.listener import Listener
from guarita.stores.pipeline import Argument, Call, Full, Lost, NotSent, Pipeline
from guarita.stores.scripts import Script


class Primary:
    """A node that was found to be primary, with the pipelines to it. Compared by identity."""

    __slots__ = ("durable", "host", "listener", "port", "reads", "writes")

    def __init__(
        self,
        address: tuple[str, int],
        durable: Writes,
        writes: Pipeline,
        reads: Pipeline,
        listener: Listener | None = None,
    ) -> None:
        self.host, self.port = address
        self.durable = durable
        self.writes = writes
        self.reads = reads  # of their own, so that no read waits behind a WAIT
        self.listener = listener  # none without a cache

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port

    @property
    def in_doubt(self) -> bool:
        """Whether somebody waits for an acknowledgement that is missing: readings matter now."""
        return self.durable.in_doubt and self.writes.unacknowledged > 0

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def begin(self) -> None:
        """It is the lane's primary now: hear what is revoked on it."""
        if self.listener is not None:
            self.listener.start()

    def end(self, reason: str) -> None:
        """Give every caller in flight its error now, and close the connections."""
        if self.listener is not None:
            self.listener.end()
        self.writes.end(reason)
        self.reads.end(reason)


# Answers of a node that is not (or not yet, or no longer) the primary that takes writes.
_REFUSALS = (
    AskError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoPermissionError,  # while a password or an ACL is being changed
    ReadOnlyError,
    TryAgainError,
)
_REFUSAL_CODES = ("NOREPLICAS", "MISCONF")


def _in_words(nodes: Mapping[Address, str]) -> tuple[tuple[str, str], ...]:
    return tuple((f"{host}:{port}", why) for (host, port), why in sorted(nodes.items()))


class Lane:
    """Sends commands to one primary at a time. Safe for threads and greenlets."""

    def __init__(
        self, tag: str, *, max_waiting: int, guard: Guard, on_trouble: Callable[[], None]
    ) -> None:
        self.tag = tag
        self.guard = guard
        self.gate: Gate[Primary] = Gate(max_waiting=max_waiting, on_trouble=on_trouble)

    @property
    def acknowledgement(self) -> Acknowledgement:
        """How writes are acknowledged now; asks nobody."""
        primary, rule = self.gate.primary, self.guard.rule
        if primary is None:
            return Acknowledgement(
                rule.durability.value, "", (), (), self.gate.waiting, self.gate.reason
            )
        required, left_out = primary.durable.reasons
        return Acknowledgement(
            rule.durability.value,
            str(primary),
            _in_words(required),
            _in_words(left_out),
            self.gate.waiting,
            primary.durable.awaited,
        )

    def write(self, *words: Argument, script: Script | None = None, deadline: Deadline) -> Any:
        """A command or script that ends in a write, sent again where its answer is lost.

        Returns when everybody who must have the write has it.
        """
        return self._until_answered(
            lambda: Call(words, script=script, acknowledge=True, deadline=deadline), deadline
        )

    def read(self, *words: Argument, script: Script | None = None, deadline: Deadline) -> Any:
        """A command or script whose effect nobody relies on, sent again where it is lost."""
        return self._until_answered(lambda: Call(words, script=script, deadline=deadline), deadline)

    def _until_answered(self, make: Callable[[], Call], deadline: Deadline) -> Any:
        lost: Lost | None = None
        while True:
            try:
                primary = self.gate.enter(deadline)
                return self._ask(primary, make())
            except StoreUnavailable as exc:
                if lost is None:
                    raise
                raise StoreOutcomeUnknown(f"{lost}; since then: {exc}") from lost
            except Lost as exc:
                lost = exc
                if exc.late:
                    awaited = primary.durable.awaited
                    raise StoreOutcomeUnknown(f"{exc}; {awaited}" if awaited else str(exc)) from exc
                self.gate.close(primary, str(exc))
            except NotSent as exc:
                if not exc.late:
                    self.gate.close(primary, str(exc))

    def _ask(self, primary: Primary, call: Call) -> Any:
        pipeline = primary.writes if call.acknowledge else primary.reads
        try:
            return pipeline.ask(call)
        except Full as exc:
            raise StoreUnavailable(str(exc)) from exc
        except OutOfMemoryError as exc:  # reads go on
            raise StoreUnavailable(f"{primary} has no memory left: {exc}") from exc
        except _REFUSALS as exc:
            self._refused(primary, exc)
        except ResponseError as exc:
            if not str(exc).startswith(_REFUSAL_CODES):
                # A script that failed half-way: what it did so far stays (there is no rollback).
                raise StoreOutcomeUnknown(f"{primary} answered: {exc}") from exc
            self._refused(primary, exc)

    def _refused(self, primary: Primary, exc: Exception) -> None:
        reason = f"{primary} refused: {exc}"
        self.gate.close(primary, reason)
        raise NotSent(reason) from exc
