"""A history as a file of JSON lines: one record a line, the header first.

The lines after it are in no order, for an operation is written when it has ended.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from pydantic import TypeAdapter, ValidationError

from guarita.drill.history import (
    Event,
    Header,
    History,
    Measured,
    Operation,
    Record,
    Sample,
    Turn,
)
from guarita.errors import HistoryError

_HEADER = TypeAdapter(Header)
_RECORD: TypeAdapter[Record] = TypeAdapter(Record)
_RECORDS = TypeAdapter(list[Record])
_OPERATIONS = TypeAdapter(list[Operation])
# As `Writer` writes nearly all lines; who writes them otherwise is read as well, only later.
_OPERATION_ENDS = (b'"type":"operation"}\n', b'"type":"operation"}')
BLOCK = 1000  # lines that are read in one go

Numbered = tuple[int, bytes]
Wrong = list[tuple[int, str]]
"""By line, what is wrong with it."""


class Writer:
    """Streams a history to a file. Threads may share one; processes may append to one file."""

    def __init__(self, path: Path, header: Header | None = None) -> None:
        """With a header the file begins anew, without one lines are appended to it."""
        self._file: BinaryIO = path.open("wb" if header else "ab", buffering=0)
        self._lock = threading.Lock()
        self._lines: list[bytes] = []
        if header:
            self._file.write(_HEADER.dump_json(header, exclude_none=True) + b"\n")

    def write(self, record: Record) -> None:
        """Add a line; it is in the file after the next `flush`, or some hundred lines later."""
        line = _RECORD.dump_json(record, exclude_none=True)
        with self._lock:
            self._lines.append(line)
            if len(self._lines) >= 200:
                self._put()

    def flush(self) -> None:
        with self._lock:
            self._put()

    def close(self) -> None:
        self.flush()
        self._file.close()

    def _put(self) -> None:
        """Whole lines in one call: the system keeps apart what processes append."""
        if self._lines:
            block = b"\n".join(self._lines) + b"\n"
            self._lines.clear()
            while block:
                block = block[self._file.write(block) :]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read(path: Path) -> History:
    """Read a history back. Raises `HistoryError`, which names every line that is wrong."""
    with path.open("rb") as file:
        return parse(file)


def parse(lines: Iterable[bytes]) -> History:
    """The history in these lines. Raises `HistoryError`, which names every line that is wrong."""
    numbered = enumerate(lines, 1)
    wrong: Wrong = []
    header = _header(next(numbered, (1, b""))[1], wrong)
    with no_collection():
        kept = _records(numbered, wrong)
    if header is None or wrong:
        raise HistoryError([f"line {number}{words}" for number, words in sorted(wrong)])
    return History(header, *(tuple(each) for each in kept.values()))  # type: ignore[arg-type]


@contextmanager
def no_collection() -> Iterator[None]:
    """The collector would look at every record over and over; none of them is garbage."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _header(line: bytes, wrong: Wrong) -> Header | None:
    try:
        return _HEADER.validate_json(line)
    except ValidationError as error:
        wrong.append((1, f", the header: {_words(error)}"))
        return None


def _records(numbered: Iterator[Numbered], wrong: Wrong) -> dict[type[Record], list[Record]]:
    kept: dict[type[Record], list[Record]] = {
        Operation: [],
        Event: [],
        Sample: [],
        Measured: [],
        Turn: [],
    }
    while block := list(islice(numbered, BLOCK)):
        others = [each for each in block if not each[1].endswith(_OPERATION_ENDS)]
        if len(others) < len(block):
            operations = [each for each in block if each[1].endswith(_OPERATION_ENDS)]
            kept[Operation] += _validated(operations, _OPERATIONS, wrong)
        for record in _validated(others, _RECORDS, wrong):
            kept[type(record)].append(record)
    return kept


def _validated(block: Sequence[Numbered], kind: TypeAdapter[Any], wrong: Wrong) -> list[Record]:
    """All lines in one go, which is quicker; one by one where something is wrong with any."""
    try:
        records: list[Record] = kind.validate_json(
            b"[" + b",".join([line for _, line in block]) + b"]"
        )
    except ValidationError:
        records = []
    # A line with a comma of its own could hold two.
    if len(records) == len(block) and not any(map(_mistake, records)):
        return records
    return [each for number, line in block if (each := _record(number, line, wrong))]


def _record(number: int, line: bytes, wrong: Wrong) -> Record | None:
    try:
        record = _RECORD.validate_json(line)
    except ValidationError as error:
        wrong.append((number, f": {_words(error)}"))
        return None
    if mistake := _mistake(record):
        wrong.append((number, f": {mistake}"))
    return record


def _mistake(record: Record) -> str | None:
    return record.mistake if isinstance(record, Operation) else None


def _words(error: ValidationError) -> str:
    if error.errors()[0]["type"] == "json_invalid":
        return "not JSON, or cut off"
    found = [(".".join(map(str, each["loc"])), each["msg"]) for each in error.errors()]
    return "; ".join(f"{where}: {message}" if where else message for where, message in found)
