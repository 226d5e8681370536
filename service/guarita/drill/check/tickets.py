"""Whether one ticket can have had any life that explains every answer about it.

A ticket that was created has at most three moments: it was made (`made`), one attempt was admitted
(`admitted`), and it was revoked (`revoked`). What is answered depends on these alone, and each
answer bounds them:

- a yes (admitted, live) needs a moment that is late enough: not yet revoked, the replay window or
  the lifetime not yet over;
- a no (refused) needs one that is early enough: somebody else admitted already, revoked, or over.

So there is one best life for each attempt that may have been admitted: every moment as early as the
yeses allow. If that one does not explain the noes, none does. An answer counts where it suits it
best between question and answer, and what is unknown has happened at any time from its start on, or
never.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from guarita.drill.check.anomaly import Anomaly, AnomalyKind
from guarita.drill.history import (
    ADMITTED,
    CREATE,
    CREATED,
    LIVE,
    REDEEM,
    REFUSED,
    VERIFY,
    Answer,
    Header,
    Kind,
    Operation,
    Outcome,
)

NEVER_US = 1 << 62
# Lifetimes and the replay window are counted by clocks of the servers, not by that of the drill.
SLACK_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Terms:
    """How long things are good for, in microseconds."""

    ticket_us: int
    session_us: int
    replay_us: int
    verify_age_us: int
    revoke_on_replay: bool = False
    slack_us: int = SLACK_US

    @property
    def repeat_us(self) -> int:
        """How long the admitted attempt is told so again."""
        return min(self.replay_us, self.session_us)

    @classmethod
    def of(cls, header: Header) -> Terms:
        seconds = (
            header.ticket_ttl_s,
            header.session_ttl_s,
            header.replay_window_s,
            header.verify_age_s,
        )
        ticket_us, session_us, replay_us, verify_age_us = (round(s * 1_000_000) for s in seconds)
        return cls(ticket_us, session_us, replay_us, verify_age_us, header.revoke_on_replay)


@dataclass(slots=True)
class Told:
    """What was told about one ticket. Only what has an answer or may have been applied."""

    created: Operation | None = None  # acknowledged
    admitted: list[Operation] = field(default_factory=list)
    refused: list[Operation] = field(default_factory=list)
    perhaps: list[Operation] = field(default_factory=list)  # redeems that may have been admitted
    live: list[Operation] = field(default_factory=list)
    denied: list[Operation] = field(default_factory=list)  # verifies
    revokes: list[Operation] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Life:
    """The best life of a ticket if this attempt was admitted, or nobody."""

    made_us: int
    admitted_us: int
    revoked_us: int
    attempt: str | None


def told_of(operations: Sequence[Operation]) -> Told:
    """Sort what was told about one ticket."""
    told = Told()
    for each in operations:
        kind = each.kind
        if kind is Kind.REDEEM:
            _sort_redeem(told, each)
        elif kind is Kind.VERIFY:
            if each.outcome is Outcome.OK:
                (told.live if each.answer is Answer.LIVE else told.denied).append(each)
        elif kind is Kind.CREATE:
            if each.outcome is Outcome.OK:
                told.created = each
        elif each.outcome is not Outcome.FAIL:
            told.revokes.append(each)
    return told


def _sort_redeem(told: Told, redeem: Operation) -> None:
    if redeem.answer is Answer.ADMITTED:
        told.admitted.append(redeem)
        return
    if redeem.answer is Answer.REFUSED:
        told.refused.append(redeem)
        # After a repeat: the first try may have been admitted, long ago.
        if redeem.retries:
            told.perhaps.append(redeem)
    elif redeem.outcome is Outcome.UNKNOWN:
        told.perhaps.append(redeem)


def judge(ticket: str, operations: Sequence[Operation], terms: Terms) -> list[Anomaly]:
    """Every contradiction in what was told about this ticket; none if it was not acknowledged."""
    if _is_plain(operations, terms):
        return []
    told = told_of(operations)
    if told.created is None:
        return []
    return [
        Anomaly(kind, words, _end(culprits[-1]), ticket, culprits)
        for kind, words, culprits in _contradictions(told, told.created, terms)
    ]


_Found = tuple[AnomalyKind, str, tuple[Operation, ...]]


def _contradictions(told: Told, created: Operation, terms: Terms) -> Iterator[_Found]:
    if told.admitted:
        winner = told.admitted[0].attempt
        if any(each.attempt != winner for each in told.admitted):
            yield from _double(told)
            return
        yield from _results(told)
        yield from _against(told, created, _best_life(told, created, winner, terms), terms)
    elif told.refused:
        found: list[_Found] = []
        for attempt in (None, *{each.attempt for each in told.perhaps}):
            life = _best_life(told, created, attempt, terms)
            if not (against := list(_against(told, created, life, terms))):
                return
            found = found or against
        yield from found


def _is_plain(operations: Sequence[Operation], terms: Terms) -> bool:
    """Whether one admission, at the moment it was first asked for, explains all. It does for nearly
    every ticket, and is told much sooner than by looking for the best life."""
    admitted = [each for each in operations if each.answer is ADMITTED]
    if not admitted:
        return False
    winner = min(admitted, key=lambda each: each.started_us)
    return all(_suits(each, winner, terms) for each in operations)


def _suits(each: Operation, winner: Operation, terms: Terms) -> bool:
    """Whether this alone fits an admission of the winner when it asked; in doubt it does not."""
    kind, answer, admitted_us = each.kind, each.answer, winner.started_us
    if kind is REDEEM:
        if answer is ADMITTED:
            is_repeat = each.attempt == winner.attempt and each.token == winner.token
            return is_repeat and each.started_us <= admitted_us + terms.repeat_us
        return answer is not REFUSED or (
            each.attempt != winner.attempt and _end(each) >= admitted_us
        )
    if kind is VERIFY:
        if answer is LIVE:
            return each.started_us <= admitted_us + terms.session_us
        return answer is not REFUSED
    if kind is CREATE:
        is_acknowledged = answer is CREATED
        return is_acknowledged and admitted_us <= each.started_us + terms.ticket_us
    return kind is not Kind.REVOKE


def _double(told: Told) -> Iterator[_Found]:
    first: dict[str | None, Operation] = {}
    for each in sorted(told.admitted, key=_end):
        first.setdefault(each.attempt, each)
    words = f"{len(first)} attempts were admitted: {', '.join(map(str, first))}"
    yield AnomalyKind.DOUBLE, words, tuple(first.values())
    for each in told.denied:
        words = f"the session of {each.attempt} was refused"
        yield AnomalyKind.UNDONE, words, (first.get(each.attempt, each), each)


def _results(told: Told) -> Iterator[_Found]:
    """A repeat gets the same session token."""
    by_token = {each.token: each for each in told.admitted if each.token is not None}
    if len(by_token) > 1:
        words = f"{told.admitted[0].attempt} was given {len(by_token)} tokens"
        yield AnomalyKind.TWO_RESULTS, words, tuple(by_token.values())


def _best_life(told: Told, created: Operation, attempt: str | None, terms: Terms) -> Life:
    """Each moment as early as its operations and the yeses allow."""
    yeses = [(each.started_us, terms.repeat_us) for each in told.admitted]
    yeses += [(each.started_us - terms.verify_age_us, terms.session_us) for each in told.live]
    made_us, admitted_us = created.started_us, NEVER_US
    if attempt is not None:
        since_us = max((at_us - good_us - terms.slack_us for at_us, good_us in yeses), default=0)
        admitted_us = min(
            (
                max(each.started_us, since_us)
                for each in (*told.admitted, *told.perhaps)
                if each.attempt == attempt and _end(each) >= since_us
            ),
            default=NEVER_US,
        )
        made_us = max(made_us, admitted_us - terms.ticket_us - terms.slack_us)
    revokes = [each.started_us for each in told.revokes]
    if terms.revoke_on_replay:
        revokes += [
            max(each.started_us, admitted_us) for each in _replays(told, attempt, admitted_us)
        ]
    revoked_us = min(revokes, default=NEVER_US)
    return Life(made_us, admitted_us, max((revoked_us, *(at_us for at_us, _ in yeses))), attempt)


def _replays(told: Told, attempt: str | None, admitted_us: int) -> Iterator[Operation]:
    """Redeems of others that may have come when this attempt was admitted already."""
    for each in (*told.refused, *told.perhaps):
        if each.attempt != attempt and _end(each) >= admitted_us:
            yield each


def _against(told: Told, created: Operation, life: Life, terms: Terms) -> Iterator[_Found]:
    """What this life does not explain."""
    yield from _too_late(told, created, life)
    slack_us = terms.slack_us
    over_us = life.made_us + terms.ticket_us - slack_us
    closed_us = life.admitted_us + terms.repeat_us - slack_us
    for each in told.refused:
        end_us = _end(each)
        if each.attempt == life.attempt:
            if end_us < life.revoked_us and end_us < closed_us:
                yield _refusal(told, created, each)
        elif end_us < life.admitted_us and end_us < life.revoked_us and end_us < over_us:
            yield _refusal(told, created, each)
    ended_us = life.admitted_us + terms.session_us - slack_us
    for each in told.denied:
        if _end(each) < ended_us and _end(each) < life.revoked_us:
            first = min(told.admitted, key=_end)
            yield AnomalyKind.UNDONE, "admitted, and its session was refused", (first, each)


def _too_late(told: Told, created: Operation, life: Life) -> Iterator[_Found]:
    """A yes after which every operation that could explain it was over."""
    yeses = (*told.admitted, *told.live)
    if not yeses:
        return
    last = max(yeses, key=lambda each: each.started_us)
    for each in told.revokes:
        if each.outcome is Outcome.OK and life.revoked_us > _end(each):
            yield AnomalyKind.RAISED, f"{last.answer} after it was revoked", (each, last)
    first = min(told.admitted, key=_end)
    if life.admitted_us > _end(first):
        yield AnomalyKind.RAISED, f"{last.answer} after its time was over", (first, last)
    if life.made_us > _end(created):
        yield AnomalyKind.RAISED, "admitted after the ticket had expired", (created, first)


def _refusal(told: Told, created: Operation, refused: Operation) -> _Found:
    """Name a refusal that nothing explains by what else was told."""
    own = [each for each in told.admitted if each.attempt == refused.attempt]
    if own and min(map(_end, own)) <= refused.started_us:
        first = min(own, key=_end)
        return AnomalyKind.UNDONE, "admitted, and refused when it asked again", (first, refused)
    if told.admitted:
        first = min(told.admitted, key=_end)
        words = "refused before anybody can have been admitted"
        return AnomalyKind.BASELESS, words, (created, refused, first)
    words = "created, and refused though nobody can have been admitted"
    return AnomalyKind.LOST, words, (created, refused)


def _end(operation: Operation) -> int:
    """Until when it can have been applied: what is unknown, at any time."""
    if operation.ended_us is None or operation.outcome is Outcome.UNKNOWN:
        return NEVER_US
    return operation.ended_us
