"""A run in pieces: takes the cells of the earlier ones from their `performance.json`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.contestants import Contestant
from bench.course import Cell, Sample
from bench.results import Entry, Results

_SAME = ("commit", "machine", "system", "store", "Python")


class UnlikeError(Exception):
    """The earlier piece was measured otherwise; the text says what differs."""


def join(results: Results, file: Path, contestants: Sequence[Contestant]) -> Results:
    """`results` and what the file has of other cells. Raises `UnlikeError`."""
    earlier = json.loads(file.read_text())
    before = {**earlier["facts"], "seconds": earlier["seconds"], "rounds": earlier["rounds"]}
    now = {**results.facts, "seconds": results.seconds, "rounds": results.rounds}
    for name in (*_SAME, "seconds", "rounds"):
        if before.get(name) != now[name]:
            raise UnlikeError(f"{file}: {name} was {before.get(name)}, and is {now[name]} now")
    found = {each["name"]: each for each in earlier["contestants"]}
    measured = {each.contestant.name: each for each in results.entries}
    entries = [
        _entry(each, found.get(each.name), measured.get(each.name))
        for each in contestants
        if each.name in found or each.name in measured
    ]
    cells = [cell for each in entries for cell in each.samples]
    command = f"{earlier['facts']['command']}, {results.facts['command']}"
    return replace(
        results,
        entries=tuple(entries),
        connections=tuple(sorted({cell.connections for cell in cells if not cell.live})),
        live=tuple(sorted({cell.live for cell in cells if cell.live})),
        alone={**earlier["alone"], **results.alone},
        facts={**results.facts, "command": command},
        missing=tuple(dict.fromkeys([*earlier["missing"], *results.missing])),
    )


def _entry(contestant: Contestant, found: dict[str, Any] | None, measured: Entry | None) -> Entry:
    samples = dict(measured.samples) if measured else {}
    weight = measured.bytes_per_ticket if measured else None
    if found:
        weight = weight or found["bytes_per_ticket"]
        for each in found["cells"]:
            cell = Cell(each["row"], each["connections"], each["live"])
            samples.setdefault(cell, [Sample(**sample) for sample in each["samples"]])
    return Entry(contestant, samples, weight)
