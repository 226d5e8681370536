"""What each node says of itself, every 200 ms, into the history."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from guarita.drill.clock import Clock
from guarita.drill.history import Event, EventKind, Role, Sample
from guarita.drill.lines import Writer
from guarita.drill.targets.base import Target

EVERY_S = 0.2


class Sampler:
    """A thread for each node, so that a frozen one holds up nobody else's samples."""

    def __init__(self, target: Target, clock: Clock, writer: Writer) -> None:
        self._clock = clock
        self._writer = writer
        self._over = threading.Event()
        self._last: dict[str, Sample] = {}
        self.was_primary: dict[str, int] = {}
        """When each node last said that it is primary."""
        self.was_loading: dict[str, int] = {}
        """When each node last said that it loads its data."""
        self.both_writable = BothWritable()
        self._threads = [
            threading.Thread(target=self._watch, args=(target.watcher(name),), daemon=True)
            for name in (*target.nodes, *target.sentinels)
        ]

    def start(self) -> None:
        for each in self._threads:
            each.start()

    def stop(self) -> None:
        self._over.set()
        for each in self._threads:
            each.join()

    def _watch(self, ask: Callable[[int], Sample]) -> None:
        while not self._over.wait(EVERY_S):
            sample = ask(self._clock.now_us)
            if sample.at_us < 0:
                continue
            self._writer.write(sample)
            self.both_writable.note(sample, self._clock.now_us)
            if sample.role is Role.PRIMARY:
                self.was_primary[sample.node] = sample.at_us
            if sample.role is Role.LOADING:
                self.was_loading[sample.node] = sample.at_us
            self._note_change(sample)

    def _note_change(self, sample: Sample) -> None:
        """A line where a node says something else than before, its offset aside."""
        before = self._last.get(sample.node)
        self._last[sample.node] = sample
        if before is None or _words_at(before, sample) != sample:
            self._writer.write(
                Event(sample.at_us, EventKind.ROLE, words_of(sample), node=sample.node)
            )


class BothWritable:
    """For how long two nodes certainly took writes at once: each said so before and after."""

    def __init__(self) -> None:
        self.longest_us = 0
        self._runs: dict[str, tuple[int, int]] = {}
        """By node, from its first yes to its last one without a no between them."""
        self._is_writable: set[str] = set()
        self._lock = threading.Lock()

    def forget(self) -> None:
        """From now on it counts anew."""
        self.longest_us = 0

    def note(self, sample: Sample, answered_us: int) -> None:
        """What a node said between `sample.at_us` and then."""
        node = sample.node
        with self._lock:
            if not sample.writable:
                self._is_writable.discard(node)
                return
            since_us = self._runs[node][0] if node in self._is_writable else answered_us
            self._is_writable.add(node)
            self._runs[node] = since_us, sample.at_us
            for other, (from_us, to_us) in self._runs.items():
                if other != node:
                    both_us = min(to_us, sample.at_us) - max(from_us, since_us)
                    self.longest_us = max(self.longest_us, both_us)


def _words_at(before: Sample, now: Sample) -> Sample:
    return replace(before, at_us=now.at_us, offset=now.offset, replid=now.replid)


def words_of(sample: Sample) -> str:
    """What a node says of itself, for a reader."""
    match sample.role:
        case Role.PRIMARY:
            return f"is primary, takes {'writes' if sample.writable else 'no writes'}"
        case Role.REPLICA:
            link = "up" if sample.linked else "down"
            return f"follows {sample.names or 'somebody else'}, link {link}"
        case Role.SENTINEL:
            return f"names {sample.names or 'nobody'}"
        case Role.LOADING:
            return "loads its data"
    return "does not answer"
