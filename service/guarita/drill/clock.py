"""The one clock of a drill: whole microseconds, 0 where the load begins."""

from __future__ import annotations

import time

STEP_S = 0.2


def rest(seconds: float) -> None:
    """Sleep, in steps: a signal that comes in the moment in which Python goes to sleep is heard
    when that sleep ends."""
    end_s = time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        time.sleep(min(left_s, STEP_S))


class Clock:
    """Negative before `start`."""

    def __init__(self) -> None:
        self._zero_ns = time.monotonic_ns()

    def start(self) -> None:
        """From now on it counts from 0."""
        self._zero_ns = time.monotonic_ns()

    @property
    def now_us(self) -> int:
        return (time.monotonic_ns() - self._zero_ns) // 1000
