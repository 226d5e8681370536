"""How long a history of many operations takes to read and to check, and how much memory.

`python -m tests.drill.speed [OPERATIONS]` prints it, in seconds of processor time, for a history as
a drill records it: three rivals for a ticket, a guest who verifies, and the last look.
"""

from __future__ import annotations

import itertools
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from guarita.drill.check import check
from guarita.drill.history import Answer, History, Kind, Operation, Outcome
from guarita.drill.lines import Writer, no_collection, read

VALID = Path(__file__).parent / "histories" / "valid.jsonl"
LEFT_ALONE = 4  # one of so many tickets is, until the last look
REVOKED = 100
RIVALS = ("a", "b", "c")


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "history.jsonl")
        write(path, read(VALID), count)
        with no_collection():
            began_s = time.process_time()
            history = read(path)
            read_s = time.process_time()
            judgement = check(history)
            checked_s = time.process_time()
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{len(history.operations):,} operations, {judgement.verdict}: {checked_s - began_s:.1f} s "
        f"of processor time, {read_s - began_s:.1f} to read and {checked_s - read_s:.1f} to check; "
        f"{memory_mb:.0f} MB"
    )


def write(path: Path, history: History, count: int) -> None:
    """With the events and samples of this history, and at least so many operations."""
    with Writer(path, replace(history.header, rate=1.0)) as writer:
        for record in (*history.events, *history.samples):
            writer.write(record)
        phases = {each.text: each.at_us for each in history.events}
        written = 0
        for ticket in itertools.count():
            for each in operations(ticket, written, phases["drain"], phases["look"]):
                writer.write(each)
                written += 1
            if written >= count:
                break
        for at_us, tickets in ((0, 0), (phases["end"] - 1, ticket + 1)):
            writer.write(
                Operation(
                    *(written, "status", Kind.STATUS, at_us, Outcome.OK, Answer.COUNTED, at_us),
                    total_created=tickets,
                    total_used=tickets,
                )
            )
            written += 1


def operations(number: int, first_id: int, drain_us: int, look_us: int) -> Iterator[Operation]:
    """All that is asked about one ticket."""
    ids = itertools.count(first_id)
    at_us = number * 1009 % (drain_us - 1_000_000)
    name = f"t{number:06}"

    def asked(kind: Kind, answer: Answer, at_us: int, attempt: str | None = None) -> Operation:
        token = f"{number:016x}" if answer is Answer.ADMITTED else None
        client = f"page-{attempt}" if attempt else "host-3"
        return Operation(
            *(next(ids), client, kind, at_us, Outcome.OK, answer, at_us + 4000, name, attempt),
            status=401 if answer is Answer.REFUSED else 200,
            place=f"service-{number % 2 + 1}",
            token=token,
        )

    yield asked(Kind.CREATE, Answer.CREATED, at_us)
    winner, *losers = (f"{name}-{rival}" for rival in RIVALS)
    stranger = f"{name}-look"
    if number % LEFT_ALONE == 0:
        yield asked(Kind.REDEEM, Answer.ADMITTED, look_us, stranger)
        return
    yield asked(Kind.REDEEM, Answer.ADMITTED, at_us + 100_000, winner)
    for each in losers:
        yield asked(Kind.REDEEM, Answer.REFUSED, at_us + 200_000, each)
    yield asked(Kind.VERIFY, Answer.LIVE, at_us + 300_000, winner)
    if number % REVOKED == 1:
        yield asked(Kind.REVOKE, Answer.REVOKED, at_us + 400_000)
        yield asked(Kind.VERIFY, Answer.REFUSED, look_us, winner)
        yield asked(Kind.REDEEM, Answer.REFUSED, look_us, winner)
    else:
        yield asked(Kind.VERIFY, Answer.LIVE, look_us, winner)
        yield asked(Kind.REDEEM, Answer.ADMITTED, look_us, winner)
    yield asked(Kind.REDEEM, Answer.REFUSED, look_us, stranger)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
