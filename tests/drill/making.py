"""Histories for tests: a simulated installation that keeps its promise, drawn by hypothesis.

Every ticket has a life. What is asked is answered by the life at a moment between question and
answer, as a right installation would; answers get lost and services fail as they do in a failover.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from itertools import count, permutations
from random import Random

from hypothesis import strategies as st

from guarita.drill.history import (
    Answer,
    Event,
    EventKind,
    Header,
    History,
    Kind,
    Operation,
    Outcome,
    Phase,
    Role,
    Sample,
    Turn,
)

SECOND_US = 1_000_000
FAULT_US, HEAL_US, DRAIN_US, LOOK_US, END_US = (s * SECOND_US for s in (4, 7, 12, 14, 16))
NODES = ("n1", "n2", "n3")
SENTINELS = ("s1", "s2", "s3")

HEADER = Header(
    scenario="D2",
    title="kill -9 the primary and restart it with its data",
    target="local",
    topology="sentinel",
    durability="balanced",
    nodes=NODES,
    sentinels=SENTINELS,
    seed=7,
    rate=1.0,
    ticket_ttl_s=1800,
    session_ttl_s=1800,
    replay_window_s=60,
    date="2025-11-03T10:20:30Z",
    machine="x86_64, 2 processors",
    versions={"guarita": "0.1.0", "server": "valkey 8.1.1", "python": "3.11.2"},
    command="guarita drill run D2 --seed 7",
)

EVENTS = (
    Event(0, EventKind.PHASE, Phase.LOAD),
    Event(FAULT_US, EventKind.FAULT, "kill -9", "n1"),
    Event(HEAL_US, EventKind.HEAL, "started again", "n1"),
    Event(HEAL_US + SECOND_US, EventKind.HEALTH, ""),
    Event(DRAIN_US, EventKind.PHASE, Phase.DRAIN),
    Event(LOOK_US, EventKind.PHASE, Phase.LOOK),
    Event(END_US, EventKind.PHASE, Phase.END),
)


@cache
def samples(every_us: int = 200_000) -> tuple[Sample, ...]:
    """n1 is the primary until it is killed, then n2."""
    found = []
    for at_us in range(0, END_US, every_us):
        switched = at_us > FAULT_US + 1_500_000
        primary = "n2" if switched else "n1"
        found += [Sample(at_us, each, Role.SENTINEL, primary) for each in SENTINELS]
        for node in NODES:
            if node == "n1" and FAULT_US <= at_us < HEAL_US:
                found.append(Sample(at_us, node, Role.SILENT))
            elif node == primary:
                offset = at_us // 1000
                found.append(
                    Sample(at_us, node, Role.PRIMARY, None, True, offset=offset, replid=primary)
                )
            else:
                found.append(Sample(at_us, node, Role.REPLICA, primary, linked=True))
    return tuple(found)


# Made once: hypothesis looks through each strategy before it first draws from it.
_SEEDS = st.integers(0, 1 << 32)
_FATES = st.sampled_from(("ok", "fail", "lost", "ghost"))
_BEGINS = st.lists(  # the counters are read first
    st.integers(2000, DRAIN_US - SECOND_US), min_size=4, max_size=8
)
_DELAYS = st.integers(0, SECOND_US)
_YES_OR_NO = st.booleans()
_ATTEMPTS = st.sampled_from([*permutations("abc"), ()])


@dataclass(slots=True)
class _Installation:
    """Asked at moments in order; answers as the promise has it."""

    draw: st.DrawFn
    random: Random  # how long requests take: nothing that a smaller example needs
    operations: list[Operation] = field(default_factory=list)
    ids: count[int] = field(default_factory=count)
    winner: dict[str, str] = field(default_factory=dict)

    def ask(self, kind: Kind, ticket: str, started_us: int, attempt: str | None = None) -> int:
        """Ask, and say when it ended."""
        took_us = self.random.randint(500, 200_000)
        fault = FAULT_US <= started_us < HEAL_US
        if fault:
            took_us += self.random.randint(0, HEAL_US - started_us)
        fate = "ok"
        if fault and kind is not Kind.CREATE:
            fate = self.draw(_FATES)
        applied = fate in ("ok", "ghost")
        answer = self._apply(kind, ticket, attempt) if applied else Answer.UNAVAILABLE
        outcome = Outcome.OK if fate == "ok" else Outcome.FAIL
        if fate in ("lost", "ghost"):
            answer, outcome = Answer.NO_ANSWER, Outcome.UNKNOWN
        token = f"token of {ticket} {attempt}" if answer is Answer.ADMITTED else None
        self.operations.append(
            Operation(
                next(self.ids),
                f"{kind}-{next(self.ids) % 5}",
                kind,
                started_us,
                outcome,
                answer,
                started_us + took_us,
                ticket,
                attempt,
                token=token,
            )
        )
        return started_us + took_us

    def _apply(self, kind: Kind, ticket: str, attempt: str | None) -> Answer:
        if kind is Kind.CREATE:
            return Answer.CREATED
        if kind is Kind.VERIFY:
            return Answer.LIVE
        assert attempt is not None
        won = self.winner.setdefault(ticket, attempt) == attempt
        return Answer.ADMITTED if won else Answer.REFUSED


@st.composite
def histories(draw: st.DrawFn) -> History:
    """A history of an installation that kept its promise, with everything that a verdict needs."""
    made = _Installation(draw, Random(draw(_SEEDS)))
    begins = [2000, FAULT_US + 100, HEAL_US + 100, *draw(_BEGINS)]
    for number, begin_us in enumerate(begins):
        ticket = f"t{number}"
        at_us = made.ask(Kind.CREATE, ticket, begin_us)
        if number and draw(_YES_OR_NO) and at_us < FAULT_US:
            at_us = FAULT_US + draw(_DELAYS)
        at_once = draw(_YES_OR_NO)
        for attempt in draw(_ATTEMPTS):
            end_us = made.ask(Kind.REDEEM, ticket, at_us, attempt)
            at_us = at_us if at_once else end_us
    _look(made, len(begins))
    return History(HEADER, _spread(made.operations), EVENTS, samples())


def _look(made: _Installation, tickets: int) -> None:
    """Who was told of an admission asks again; a stranger asks for every ticket."""
    for number in range(tickets):
        ticket = f"t{number}"
        told = [o for o in made.operations if o.ticket == ticket and o.answer is Answer.ADMITTED]
        at_us = LOOK_US
        for each in told:
            at_us = made.ask(Kind.VERIFY, ticket, at_us, each.attempt)
            at_us = made.ask(Kind.REDEEM, ticket, at_us, each.attempt)
        made.ask(Kind.REDEEM, ticket, at_us, "stranger")


def _spread(operations: list[Operation]) -> tuple[Operation, ...]:
    """With the counters in between, asked where nothing is under way."""
    counted = list(operations)
    for at_us in (0, 2_000_000, HEAL_US, DRAIN_US, END_US - 2000):
        counted.append(_count(operations, at_us, 1_000_000 + at_us))
    return tuple(counted)


def _count(operations: list[Operation], at_us: int, id: int) -> Operation:
    ended = [o for o in operations if (o.ended_us or END_US) <= at_us]
    # An admission whose answer was lost is counted, once it has been begun.
    created = {o.ticket for o in ended if o.answer is Answer.CREATED}
    used = {o.ticket for o in ended if o.answer is Answer.ADMITTED}
    return Operation(
        id,
        "reader",
        Kind.STATUS,
        at_us,
        Outcome.OK,
        Answer.COUNTED,
        at_us + 1000,
        total_created=40 + len(created),
        total_used=30 + len(used),
    )


def changed(history: History, old: Operation, **changes: object) -> History:
    """The history with one operation told otherwise."""
    new = replace(old, **changes)  # type: ignore[arg-type]
    operations = tuple(new if each is old else each for each in history.operations)
    return replace(history, operations=operations)


EACH_US = 10 * SECOND_US


def write(id: int, at_us: int) -> Operation:
    return Operation(
        id, "host", Kind.CREATE, at_us, Outcome.OK, Answer.CREATED, at_us + 1000, f"t{id}"
    )


def look(id: int, ticket: str, at_us: int) -> Operation:
    return Operation(
        id,
        "look",
        Kind.REDEEM,
        at_us,
        Outcome.OK,
        Answer.ADMITTED,
        at_us + 1000,
        ticket,
        "look",
        token=ticket,
    )


def turn_at(number: int) -> Turn:
    from_us = number * EACH_US
    return Turn(number + 1, "D2", from_us, from_us + EACH_US, "killed", 3.5, 0)


def events_of(number: int) -> list[Event]:
    from_us = number * EACH_US
    return [
        Event(from_us, EventKind.HEALTH, ""),
        Event(from_us + SECOND_US, EventKind.FAULT, "kill -9", f"n{number + 1}"),
        Event(from_us + 3 * SECOND_US, EventKind.HEAL, "kill is over"),
        Event(from_us + 6 * SECOND_US, EventKind.HEALTH, ""),
    ]


def many(turns: int) -> History:
    """Many faults; a write every 100 ms, but for 2 s after each of them."""
    drain_us = turns * EACH_US + SECOND_US
    operations, at_us = [], 1000
    while at_us < drain_us:
        place_us = at_us % EACH_US
        if not SECOND_US < place_us < 3 * SECOND_US - 1000:
            operations.append(write(len(operations), at_us))
        at_us += 100_000
    begun = Operation(9000, "host", Kind.STATUS, 0, Outcome.UNKNOWN, Answer.NO_ANSWER, 5)
    asked = [
        replace(begun, id=9001 + n, started_us=n * EACH_US + 2 * SECOND_US, ended_us=None)
        for n in range(turns)
    ]
    tickets = [str(each.ticket) for each in operations]
    looked = [look(10_000 + n, name, drain_us + SECOND_US + n) for n, name in enumerate(tickets)]
    last_us = drain_us + 2 * SECOND_US
    first = Operation(
        9998, "status", Kind.STATUS, 0, Outcome.OK, Answer.COUNTED, 5, total_created=0, total_used=0
    )
    counted = replace(
        first,
        id=9999,
        started_us=last_us,
        ended_us=last_us + 5,
        total_created=len(tickets),
        total_used=len(tickets),
    )
    phases = [
        Event(at, EventKind.PHASE, phase)
        for at, phase in zip(
            (0, drain_us, drain_us + SECOND_US // 2, drain_us + 3 * SECOND_US), Phase, strict=True
        )
    ]
    events = [each for n in range(turns) for each in events_of(n)]
    played = tuple(turn_at(n) for n in range(turns))
    return History(
        replace(HEADER, rate=1.0),
        (*operations, *asked, first, counted, *looked),
        (*phases, *events),
        tuple(Sample(SECOND_US, each, Role.SILENT) for each in (*NODES, *SENTINELS)),
        turns=played,
    )
