"""Holds requests while their primary is gone and lets them on, spread out, when there is one.

One gate stands before each primary that keys are sent to (one with Sentinel). It knows nothing
of Redis: `Primary` is opaque here.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from guarita.deadline import Deadline
from guarita.errors import StoreUnavailable

P = TypeVar("P")

# After a failover, callers are let on at this rate, but nobody is kept longer than the spread
# below for it.
RELEASE_PER_S = 4000.0
LONGEST_SPREAD_S = 1.0


class Gate(Generic[P]):
    """Open with a primary, or closed with a reason. Safe for threads and greenlets."""

    def __init__(self, *, max_waiting: int, on_trouble: Callable[[], None]) -> None:
        self._max_waiting = max_waiting
        self._on_trouble = on_trouble
        self._changed = threading.Condition()
        self._primary: P | None = None
        self._reason = "the store was not reached yet"
        self._waiting = 0
        self._spread_s = 0.0

    @property
    def primary(self) -> P | None:
        """The primary that is let through to now, or None while closed."""
        return self._primary

    @property
    def waiting(self) -> int:
        return self._waiting

    @property
    def reason(self) -> str:
        """Why it is closed, or was last."""
        return self._reason

    def enter(self, deadline: Deadline) -> P:
        """The primary; waits for one until the deadline.

        Raises `StoreUnavailable` past the deadline, or at once where too many wait already.
        """
        primary = self._primary
        if primary is None:
            return self._wait(deadline)
        if deadline.passed:
            raise StoreUnavailable("the deadline has passed")
        return primary

    def close(self, primary: P, reason: str) -> None:
        """Hold requests, if `primary` is still the one they are sent to."""
        with self._changed:
            if self._primary is not primary:
                return
            self._primary = None
            self._reason = reason
        self._on_trouble()

    def explain(self, reason: str) -> None:
        """Say why it is still closed."""
        self._reason = reason

    def open(self, primary: P) -> None:
        """Let requests on to `primary`; those that waited are spread out."""
        with self._changed:
            self._spread_s = min(LONGEST_SPREAD_S, self._waiting / RELEASE_PER_S)
            self._primary = primary
            self._changed.notify_all()

    def _wait(self, deadline: Deadline) -> P:
        with self._changed:
            if self._primary is None and self._waiting >= self._max_waiting:
                raise StoreUnavailable(f"{self._waiting} requests wait already: {self._reason}")
            self._waiting += 1  # also while it is spread out: the gate may close again meanwhile
        try:
            return self._await_turn(deadline)
        finally:
            with self._changed:
                self._waiting -= 1

    def _await_turn(self, deadline: Deadline) -> P:
        while True:
            with self._changed:
                while self._primary is None:
                    if deadline.passed:
                        raise StoreUnavailable(self._reason)
                    self._changed.wait(deadline.remaining_s)
                spread_s = min(self._spread_s, deadline.remaining_s / 2)
            time.sleep(random.uniform(0, spread_s))  # noqa: S311 - spreads load, keeps no secret
            primary = self._primary
            if primary is not None:
                return primary
