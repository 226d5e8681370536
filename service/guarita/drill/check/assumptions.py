"""What must be true of a history before it can say anything; each sentence is one that is not.

`unsound`: the record contradicts itself, so nothing follows from it. `uncovered`: the drill did not
do or see enough, so finding nothing means nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from guarita.drill.check.spans import Spans
from guarita.drill.check.tickets import NEVER_US, SLACK_US
from guarita.drill.history import (
    ADMITTED,
    CREATE,
    CREATED,
    LIVE,
    OK,
    REFUSED,
    VERIFY,
    Answer,
    Event,
    EventKind,
    Header,
    History,
    Kind,
    Operation,
    Phase,
)

SOME = 5  # operations that an explanation names
ENOUGH = 0.5  # of the rate that was wanted

Tickets = Mapping[str, Sequence[Operation]]


def unsound(history: History, tickets: Tickets) -> list[str]:
    """Why the record cannot be trusted."""
    odd = {name: each for name, each in tickets.items() if not _is_in_order(each)}
    return [
        *_phases(history.events),
        *_named("operations whose number was given twice", _repeated_ids(history.operations)),
        *_named(
            "operations that ended before they began",
            (
                each.id
                for each in history.operations
                if each.ended_us is not None and each.ended_us < each.started_us
            ),
        ),
        *_named("tickets without exactly one create", _not_created_once(odd)),
        *_named("operations on a ticket before its create was acknowledged", _too_early(odd)),
        *_named("verifies with a token that nobody had been given", _made_up(odd)),
    ]


def uncovered(history: History, tickets: Tickets, spans: Spans) -> list[str]:
    """Why finding nothing would mean nothing. Only for a history that is sound."""
    unmet = [e.text for e in history.events if e.kind in (EventKind.STOPPED, EventKind.UNHEALED)]
    if spans.fault_us is None or spans.heal_us is None or spans.over_us is None:
        return [*unmet, "no fault was injected, or none was healed"]
    unmet.extend(_blind(history, spans.fault_us, spans.heal_us))
    writes = [each for each in history.operations if is_write(each)]
    if not any(_end(each) < spans.fault_us for each in writes):
        unmet.append("no write succeeded before the fault")
    begun = [each.started_us for each in history.operations]
    if not any(spans.fault_us <= at_us <= spans.over_us for at_us in begun):
        unmet.append("nothing was asked while the fault lasted")
    if not any(spans.heal_us <= each.started_us <= spans.drain_us for each in writes):
        unmet.append("no write succeeded after the fault")
    health = [e for e in history.events if e.kind is EventKind.HEALTH and e.at_us >= spans.heal_us]
    last = max(health, key=lambda event: event.at_us, default=None)
    if last is None:
        unmet.append("nobody looked whether the installation was well again")
    elif last.text:
        unmet.append(f"the installation was not well in the end: {last.text}")
    seconds = spans.drain_us / 1_000_000
    asked = sum(at_us <= spans.drain_us for at_us in begun)
    if asked < ENOUGH * history.header.rate * seconds:
        rate = f"{asked / seconds:.0f} requests a second of {history.header.rate:g}"
        unmet.append(f"the load did not keep its rate: {rate}")
    header = history.header
    unseen = (name for name, each in tickets.items() if not _was_seen(each, spans.heal_us, header))
    unmet.extend(_named("acknowledged tickets that nobody asked for after the fault", unseen))
    return unmet


def _blind(history: History, fault_us: int, heal_us: int) -> Iterator[str]:
    """What was not looked at, or not well before anything was done."""
    counted = [each for each in history.operations if each.answer is Answer.COUNTED]
    if not any(_end(each) <= fault_us for each in counted) or not any(
        each.started_us >= heal_us for each in counted
    ):
        yield "no status was answered before the fault and after it: the counters tell nothing"
    asked = {each.node for each in history.samples}
    nodes = (*history.header.nodes, *history.header.sentinels)
    yield from _named(
        "nodes that were never asked how they are", (e for e in nodes if e not in asked)
    )
    health = [e for e in history.events if e.kind is EventKind.HEALTH and e.at_us < fault_us]
    last = max(health, key=lambda event: event.at_us, default=None)
    if last is not None and last.text:
        yield f"the installation was not well before the fault: {last.text}"


def is_write(operation: Operation) -> bool:
    """Whether it is a write that succeeded."""
    return operation.answer is ADMITTED or operation.answer is CREATED


def _phases(events: Sequence[Event]) -> Iterator[str]:
    """One that was stopped went through them as far as it came."""
    at_us = {each.text: each.at_us for each in events if each.kind is EventKind.PHASE}
    stopped = any(each.kind is EventKind.STOPPED for each in events)
    wanted = [phase for phase in Phase if phase in at_us] if stopped else list(Phase)
    if set(at_us) != set(wanted) or Phase.LOAD not in at_us:
        missing = ", ".join(sorted(set(Phase) - set(at_us)))
        yield f"the drill did not go through its phases: {missing or 'more than there are'}"
    elif any(at_us[later] < at_us[earlier] for earlier, later in pairwise(wanted)):
        yield "the phases of the drill are not in order"


def _repeated_ids(operations: Sequence[Operation]) -> Iterator[int]:
    counts = {each.id for each in operations}
    if len(counts) < len(operations):
        yield from (id for id, count in Counter(o.id for o in operations).items() if count > 1)


def _is_in_order(operations: Sequence[Operation]) -> bool:
    """Whether they came as they must: created, then all else, and no token before it was given. So
    they do for nearly every ticket, and what is wrong is looked for in the others alone."""
    known_us: int | None = None
    given_us: dict[str | None, int] = {}
    for each in operations:
        if known_us is None:
            if each.answer is not CREATED:
                return False
            known_us = _end(each)
        elif each.started_us < known_us or each.kind is CREATE:
            return False
        elif each.answer is ADMITTED:
            given_us.setdefault(each.attempt, _end(each))
        elif each.kind is VERIFY and not _was_given(each, given_us):
            return False
    return True


def _was_given(verify: Operation, given_us: Mapping[str | None, int]) -> bool:
    return given_us.get(verify.attempt, NEVER_US) <= verify.started_us


def _not_created_once(tickets: Tickets) -> Iterator[str]:
    for name, operations in tickets.items():
        if sum(each.kind is Kind.CREATE for each in operations) != 1:
            yield name


def _too_early(tickets: Tickets) -> Iterator[int]:
    """A ticket's id is known from the answer to its create only."""
    for operations in tickets.values():
        known_us = min((_end(e) for e in operations if e.answer is Answer.CREATED), default=None)
        for each in operations:
            if each.kind is not Kind.CREATE and (known_us is None or each.started_us < known_us):
                yield each.id


def _made_up(tickets: Tickets) -> Iterator[int]:
    for operations in tickets.values():
        given: dict[str | None, int] = {}
        verifies = [each for each in operations if each.kind is Kind.VERIFY]
        if not verifies:
            continue
        for each in operations:
            if each.answer is Answer.ADMITTED:
                given[each.attempt] = min(_end(each), given.get(each.attempt, _end(each)))
        for each in verifies:
            if each.started_us < given.get(each.attempt, each.started_us + 1):
                yield each.id


def _was_seen(operations: Sequence[Operation], since_us: int, header: Header) -> bool:
    """Whether a yes or no about it was asked for since then; a create that failed needs none.

    A no that its expiry explains says nothing.
    """
    for each in reversed(operations):
        if each.started_us >= since_us and each.answer in (ADMITTED, LIVE):
            return True
    answered = [each for each in operations if each.outcome is OK]
    created = [each.started_us for each in answered if each.kind is CREATE]
    admitted = [each.started_us for each in answered if each.answer is ADMITTED]
    if not created:
        return True
    ttl_s = header.session_ttl_s if admitted else header.ticket_ttl_s
    gone_us = min(admitted or created) + ttl_s * 1_000_000 - SLACK_US
    return any(
        each.kind not in (CREATE, Kind.REVOKE)
        and since_us <= each.started_us
        and (each.answer is not REFUSED or each.started_us < gone_us)
        for each in answered
    )


def _named(words: str, found: Iterable[object]) -> Iterator[str]:
    each = [str(one) for one in found]
    if each:
        more = f" and {len(each) - SOME} more" if len(each) > SOME else ""
        yield f"{len(each)} {words}: {', '.join(each[:SOME])}{more}"


def _end(operation: Operation) -> int:
    return operation.started_us if operation.ended_us is None else operation.ended_us
