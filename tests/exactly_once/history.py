"""What happened to each ticket, and what of it must not have happened: a pure check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

NOBODY = -1
SOMEBODY_ELSE = -2


class Outcome(StrEnum):
    """How a create or a redeem ended for its caller."""

    ACKNOWLEDGED = "acknowledged"  # created; admitted, or told so again
    USED = "used"  # refused: another attempt was admitted
    MISSING = "missing"  # refused: there is no such ticket
    DOUBTED = "doubted"  # refused: acknowledged writes were lost
    OTHER = "other"  # an answer that no caller here may get
    FAILED = "failed"  # every try was certainly not applied
    UNKNOWN = "unknown"  # perhaps applied


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller was told in the end, and when it asked; monotonic seconds."""

    outcome: Outcome
    started_s: float
    ended_s: float


@dataclass(frozen=True, slots=True)
class Truth:
    """A ticket after everything was healed."""

    exists: bool
    used_by: int = NOBODY
    again: Outcome | None = None  # the admitted attempt, repeated
    stranger: Outcome | None = None  # one more attempt, where one was admitted


@dataclass(frozen=True, slots=True)
class Ticket:
    """One ticket: its create, its rivals' redeems, and the truth in the end."""

    number: int
    created: Answer
    rivals: tuple[Answer, ...]
    truth: Truth


class Kind(StrEnum):
    """What must never happen."""

    DOUBLE = "admitted twice"
    LOST = "acknowledged ticket lost"
    REOPENED = "admission lost"
    MISTOLD = "told otherwise than it is"
    BASELESS = "refused without a rival"
    DOUBTED = "doubted"
    STRANGE = "strange answer"


@dataclass(frozen=True, slots=True)
class Anomaly:
    kind: Kind
    words: str
    ticket: Ticket


def check(tickets: Iterable[Ticket]) -> list[Anomaly]:
    """Everything in the history that a store with one admission a ticket cannot have answered."""
    return [
        Anomaly(kind, words, ticket)
        for ticket in tickets
        for find in (_admissions, _creation, _refusals, _truth, _strangeness)
        for kind, words in find(ticket)
    ]


def _told(ticket: Ticket, outcome: Outcome) -> list[int]:
    return [rival for rival, answer in enumerate(ticket.rivals) if answer.outcome is outcome]


def _admissions(ticket: Ticket) -> Iterator[tuple[Kind, str]]:
    admitted = _told(ticket, Outcome.ACKNOWLEDGED)
    if len(admitted) > 1:
        yield Kind.DOUBLE, f"rivals {admitted} were admitted"


def _creation(ticket: Ticket) -> Iterator[tuple[Kind, str]]:
    """A rival asks only after the create has ended."""
    created = ticket.created.outcome
    if created is Outcome.ACKNOWLEDGED:
        if missing := _told(ticket, Outcome.MISSING):
            yield Kind.LOST, f"created, but rivals {missing} were told that it does not exist"
        if not ticket.truth.exists:
            yield Kind.LOST, "created, but it does not exist in the end"
    elif created is Outcome.FAILED and ticket.truth.exists:
        yield Kind.MISTOLD, "its create was certainly not applied, but it exists"


def _refusals(ticket: Ticket) -> Iterator[tuple[Kind, str]]:
    """Who is refused as late needs somebody who may have been earlier."""
    for rival in _told(ticket, Outcome.USED):
        ended_s = ticket.rivals[rival].ended_s
        others = [
            other
            for other, answer in enumerate(ticket.rivals)
            if other != rival
            and answer.outcome in (Outcome.ACKNOWLEDGED, Outcome.UNKNOWN)
            and answer.started_s < ended_s
        ]
        if not others:
            yield Kind.BASELESS, f"rival {rival} was refused, and nobody else can have been in"


def _truth(ticket: Ticket) -> Iterator[tuple[Kind, str]]:
    truth = ticket.truth
    admitted = _told(ticket, Outcome.ACKNOWLEDGED)
    if not truth.exists:
        return
    if admitted and truth.used_by not in admitted:
        yield Kind.REOPENED, f"rival {admitted[0]} was admitted, the record has {truth.used_by}"
    elif _told(ticket, Outcome.USED) and truth.used_by == NOBODY:
        yield Kind.REOPENED, "a rival was refused as late, the record has nobody"
    elif truth.used_by == SOMEBODY_ELSE:
        yield Kind.MISTOLD, "the record has an attempt that nobody made"
    elif truth.used_by != NOBODY:
        yield from _holder(truth, ticket.rivals[truth.used_by].outcome)


def _holder(truth: Truth, told: Outcome) -> Iterator[tuple[Kind, str]]:
    """Who has the ticket by its record was told so, or nothing; and is told so again."""
    if told not in (Outcome.ACKNOWLEDGED, Outcome.UNKNOWN):
        yield Kind.MISTOLD, f"rival {truth.used_by} is in the record and was told {told}"
    if truth.again not in (None, Outcome.ACKNOWLEDGED):
        yield Kind.MISTOLD, f"the admitted attempt was told {truth.again} in the end"
    if truth.stranger not in (None, Outcome.USED):
        yield Kind.DOUBLE, f"one more attempt was told {truth.stranger} in the end"


def _strangeness(ticket: Ticket) -> Iterator[tuple[Kind, str]]:
    for name, answers in (("create", [ticket.created]), ("redeem", ticket.rivals)):
        for answer in answers:
            if answer.outcome is Outcome.DOUBTED:
                yield Kind.DOUBTED, f"a {name} was refused because acknowledged writes were lost"
            if answer.outcome is Outcome.OTHER:
                yield Kind.STRANGE, f"a {name} was answered as no {name} here can be"


def longest_silence_s(tickets: Iterable[Ticket]) -> float:
    """The longest time in which nobody was acknowledged anything, seconds."""
    ends = sorted(
        answer.ended_s
        for ticket in tickets
        for answer in (ticket.created, *ticket.rivals)
        if answer.outcome is Outcome.ACKNOWLEDGED
    )
    return max((later - earlier for earlier, later in pairwise(ends)), default=0.0)
