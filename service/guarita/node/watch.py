"""The thread that keeps asking all Sentinels, so that a decision never waits for one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from guarita.node.words import Words
from guarita.stores.sentinel import SentinelMajority

STEADY_S = 1.0
HURRIED_S = 0.1
HURRY_S = 2.0  # for how long after the last word that it matters
FRESH_S = 2.5

_log = structlog.get_logger("guarita.node")


class Watch:
    """What the Sentinels said last."""

    def __init__(
        self, sentinels: SentinelMajority, count: int, on_change: Callable[[], None]
    ) -> None:
        self._sentinels = sentinels
        self._count = count
        self._on_change = on_change
        self._words = Words(count)
        self._hurried_until_s = 0.0
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="guarita-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._sentinels.watch(self.hurry)

    def close(self) -> None:
        self._closed.set()
        self._wake.set()
        self._sentinels.close()

    def hurry(self) -> None:
        """Ask now, and often for a while."""
        self._hurried_until_s = time.monotonic() + HURRY_S
        self._wake.set()

    def now(self) -> Words:
        """Nobody has said anything where the last answers are too old to act on."""
        words = self._words
        return words if time.monotonic() - words.asked_s <= FRESH_S else Words(self._count)

    def asked_now(self, *, timeout_s: float) -> Words:
        """Answers to questions asked from now on; nobody's, where none come in time."""
        now_s = time.monotonic()
        while (words := self._words).asked_s < now_s:
            if time.monotonic() >= now_s + timeout_s or self._closed.is_set():
                return Words(self._count)
            self.hurry()
            self._closed.wait(0.01)
        return words

    def _run(self) -> None:
        while not self._closed.is_set():
            self._wake.clear()
            try:
                self._ask()
            except Exception:  # noqa: BLE001 - without it the node would never hear again
                if not self._closed.is_set():
                    _log.exception("asking the Sentinels failed")
            hurried = time.monotonic() < self._hurried_until_s
            if hurried:
                self._closed.wait(HURRIED_S)
            else:
                self._wake.wait(STEADY_S)

    def _ask(self) -> None:
        before = self._words
        _, round, _ = self._sentinels.ask(urgent=False)
        if round is None:
            return
        self._words = Words(self._count, round.readings, round.asked_s)
        if (before.named, before.failover) != (self._words.named, self._words.failover):
            self._on_change()
