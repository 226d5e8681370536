"""What a run has shown, and what follows from it: ratios, and where Guarita is behind."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.contestants import ROWS, Contestant, Guarita, Row, Server
from bench.course import Alone, Cell, Sample

BASE = "express"  # whose processor time is 1
BASE_CONNECTIONS = 32
# Of the store alone.
CALLERS = 32
RATE_PER_S = 1000
FLOOR = "a bare SET"


@dataclass(frozen=True, slots=True)
class Entry:
    """One contestant's figures."""

    contestant: Contestant
    samples: dict[Cell, list[Sample]]
    bytes_per_ticket: float | None

    def median(self, row: Row, connections: int, live: int = 0) -> Sample | None:
        samples = self.samples.get(Cell(row, connections, live))
        return median(samples) if samples else None


@dataclass(frozen=True, slots=True)
class Loss:
    """A figure in which somebody is `better`, as pairs of figure and label, the best first."""

    contestant: Contestant
    row: Row
    what: str
    figure: float
    better: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that was measured, and how. `facts` are names and versions, in order."""

    entries: tuple[Entry, ...]
    connections: tuple[int, ...]
    live: tuple[int, ...]
    seconds: int
    rounds: int
    facts: dict[str, str]
    alone: dict[str, Alone]
    """The store without HTTP, by what is behind it, in words."""
    missing: tuple[str, ...] = ()
    """Who could not be measured here, and why, in words."""

    def entry(self, name: str) -> Entry | None:
        return next((each for each in self.entries if each.contestant.name == name), None)

    def cpu_ratio(self, entry: Entry, row: Row) -> float | None:
        """Processor time per request, with express-session's on the same row as 1."""
        base = self.entry(BASE)
        ours = entry.median(row, BASE_CONNECTIONS)
        theirs = base.median(row, BASE_CONNECTIONS) if base else None
        return ours.cpu_us / theirs.cpu_us if ours and theirs and theirs.cpu_us else None

    def rate_ratio(self, row: Row, server: Server) -> float | None:
        """Requests a second with `balanced`, with those of `fast` as 1, under this server."""
        balanced, fast = (self._rate(row, server, each) for each in ("balanced", "fast"))
        return balanced / fast if balanced and fast else None

    def _rate(self, row: Row, server: Server, durability: str) -> float | None:
        for entry in self.entries:
            match entry.contestant:
                case Guarita(server=found, durability=chosen, remembers=False) if (
                    found == server and chosen == durability
                ):
                    sample = entry.median(row, BASE_CONNECTIONS)
                    return sample.per_s if sample else None
        return None

    def lost(self) -> Iterator[Loss]:
        """Where a peer, the floor left out, is better than Guarita."""
        for ours in (each for each in self.entries if each.contestant.is_ours):
            for row in ROWS:
                if loss := self._behind_in_cpu(ours, row):
                    yield loss
                for connections in self.connections:
                    if loss := self._behind_in_rate(ours, row, connections):
                        yield loss

    def _behind_in_cpu(self, ours: Entry, row: Row) -> Loss | None:
        what = f"CPU us/request, {BASE_CONNECTIONS} connections"
        mine, theirs = self._medians(ours, row, BASE_CONNECTIONS)
        if mine is None:
            return None
        better = sorted((each.cpu_us, label) for each, label in theirs if each.cpu_us < mine.cpu_us)
        return Loss(ours.contestant, row, what, mine.cpu_us, tuple(better)) if better else None

    def _behind_in_rate(self, ours: Entry, row: Row, connections: int) -> Loss | None:
        what = f"requests/s, {connections} connections"
        mine, theirs = self._medians(ours, row, connections)
        if mine is None:
            return None
        better = sorted((each.per_s, label) for each, label in theirs if each.per_s > mine.per_s)
        return Loss(ours.contestant, row, what, mine.per_s, tuple(better[::-1])) if better else None

    def _medians(
        self, ours: Entry, row: Row, connections: int
    ) -> tuple[Sample | None, list[tuple[Sample, str]]]:
        """Our figures, and those of each rival with its label."""
        theirs = [
            (sample, each.contestant.label)
            for each in self._rivals()
            if (sample := each.median(row, connections))
        ]
        return ours.median(row, connections), theirs

    def _rivals(self) -> list[Entry]:
        kinds = ((each, each.contestant) for each in self.entries)
        return [each for each, kind in kinds if not kind.is_ours and not kind.is_floor]

    def as_json(self) -> dict[str, Any]:
        """All samples, for other programs."""
        return {
            "facts": self.facts,
            "seconds": self.seconds,
            "rounds": self.rounds,
            "missing": self.missing,
            "alone": self.alone,
            "contestants": [
                {
                    "name": each.contestant.name,
                    "label": each.contestant.label,
                    "bytes_per_ticket": each.bytes_per_ticket,
                    "cells": [
                        {**asdict(cell), "samples": [asdict(sample) for sample in samples]}
                        for cell, samples in each.samples.items()
                    ],
                }
                for each in self.entries
            ],
        }


def median(samples: Sequence[Sample]) -> Sample:
    """The median of every figure, each by itself."""

    def of(figure: Callable[[Sample], float]) -> float:
        return statistics.median(figure(each) for each in samples)

    names = sorted({name for each in samples for name in each.commands})
    return Sample(
        per_s=of(lambda each: each.per_s),
        cpu_us=of(lambda each: each.cpu_us),
        p50_ms=of(lambda each: each.p50_ms),
        p99_ms=of(lambda each: each.p99_ms),
        store_cpu_us=of(lambda each: each.store_cpu_us),
        commands={
            name: statistics.median(each.commands.get(name, 0.0) for each in samples)
            for name in names
        },
    )
