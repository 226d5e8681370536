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
            if sample.role is Role.PRIMARY:
                self.was_primary[sample.node] = sample.at_us
            self._note_change(sample)

    def _note_change(self, sample: Sample) -> None:
        """A line where a node says something else than before, its offset aside."""
        before = self._last.get(sample.node)
        self._last[sample.node] = sample
        if before is None or _words_at(before, sample) != sample:
            self._writer.write(
                Event(sample.at_us, EventKind.ROLE, words_of(sample), node=sample.node)
            )


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
