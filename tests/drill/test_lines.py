"""A history that was written is read back as it was, and every wrong line is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from guarita.drill.history import (
    Answer,
    Event,
    EventKind,
    History,
    Kind,
    Measured,
    Operation,
    Outcome,
)
from guarita.drill.lines import Writer, parse, read
from guarita.errors import HistoryError

from .making import HEADER, histories


def written(path: Path, history: History) -> Path:
    with Writer(path, history.header) as writer:
        for group in (history.operations, history.events, history.samples, history.measured):
            for record in group:
                writer.write(record)
    return path


@given(histories())
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_written_is_read_back(tmp_path: Path, history: History) -> None:
    assert read(written(tmp_path / "history.jsonl", history)) == history


def test_all_kinds_of_lines_are_kept(tmp_path: Path) -> None:
    open_end = Operation(1, "c", Kind.REDEEM, 5, Outcome.UNKNOWN, Answer.NO_ANSWER, None, "t", "a")
    history = History(HEADER, (open_end,), measured=(Measured("rejoined_s", 0.5, 1.0),))
    assert read(written(tmp_path / "history.jsonl", history)) == history


APPENDING = """
import sys
from pathlib import Path
from guarita.drill.history import Event, EventKind
from guarita.drill.lines import Writer
with Writer(Path(sys.argv[1])) as writer:
    for at_us in range(2000):
        writer.write(Event(at_us, EventKind.NOTE, sys.argv[2]))
"""


def operation(id: int = 0) -> Operation:
    return Operation(id, "c", Kind.CREATE, id, Outcome.OK, Answer.CREATED, id + 1, f"t{id}")


def test_processes_may_append_to_one_file(tmp_path: Path) -> None:
    path = written(tmp_path / "history.jsonl", History(HEADER, ()))
    command = [sys.executable, "-c", APPENDING, str(path)]
    processes = [subprocess.Popen([*command, name]) for name in "abc"]
    assert [each.wait() for each in processes] == [0, 0, 0]
    assert len({(each.text, each.at_us) for each in read(path).events}) == 6000


def lines_of(history: History, tmp_path: Path) -> list[bytes]:
    return written(tmp_path / "history.jsonl", history).read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b'"kind":"create"', b'"kind":"make"', "kind"),
        (b'"started_us":0', b'"started_us":-1', "started_us"),
        (b'"started_us":0', b'"started_us":"soon"', "started_us"),
        (b'"id":0,', b"", "id: Field required"),
        (b'"id":0', b'"id":0,"more":1', "more"),
        (b'"type":"operation"', b'"type":"opinion"', "opinion"),
        (b'"ticket":"t0",', b"", "a create needs a ticket"),
        (b'"answer":"created"', b'"answer":"live"', "a create cannot be answered with live"),
        (b'"outcome":"ok"', b'"outcome":"fail"', "created cannot be fail"),
        (b'"ended_us":1,', b"", "created without an end"),
        (b'"kind":"create"', b'"kind":"redeem"', "a redeem needs an attempt"),
        (b'"type":"operation"}', b"", "not JSON, or cut off"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, old: bytes, new: bytes, words: str) -> None:
    header, line = lines_of(History(HEADER, (operation(),)), tmp_path)
    assert old in line
    with pytest.raises(HistoryError) as caught:
        parse([header, line, line.replace(old, new), line])
    (told,) = caught.value.lines
    assert told.startswith("line 3: ")
    assert words in told


def test_every_wrong_line_is_named(tmp_path: Path) -> None:
    header, line = lines_of(History(HEADER, (operation(),)), tmp_path)
    with pytest.raises(HistoryError) as caught:
        parse([header, b"{}\n", line, b"nonsense\n"])
    assert [each.split(":")[0] for each in caught.value.lines] == ["line 2", "line 4"]


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"", "not JSON"),
        (b'{"scenario": "D2"}', "topology: Field required"),
        (b'"format":2', "format"),
    ],
)
def test_without_its_header_nothing_is_read(tmp_path: Path, head: bytes, words: str) -> None:
    header, line = lines_of(History(HEADER, (operation(),)), tmp_path)
    wrong = header.replace(b'"format":1', head) if b"format" in head else head
    with pytest.raises(HistoryError) as caught:
        parse([wrong, line])
    assert caught.value.lines[0].startswith("line 1, the header: ")
    assert words in caught.value.lines[0]


def test_an_empty_file_is_no_history() -> None:
    with pytest.raises(HistoryError, match="line 1, the header"):
        parse([])


def test_a_count_needs_its_counters() -> None:
    status = Operation(0, "c", Kind.STATUS, 0, Outcome.OK, Answer.COUNTED, 1)
    assert status.mistake == "counted needs total_created and total_used"


def test_a_status_is_of_no_ticket() -> None:
    """It would be looked at neither as the one nor as the other."""
    status = Operation(
        0, "c", Kind.STATUS, 0, Outcome.OK, Answer.COUNTED, 1, "t0", total_created=1, total_used=1
    )
    assert status.mistake == "a status has no ticket"


def test_an_event_may_lie_before_the_load(tmp_path: Path) -> None:
    history = History(HEADER, (), (Event(-5, EventKind.NOTE, "starts"),))
    assert read(written(tmp_path / "history.jsonl", history)) == history
