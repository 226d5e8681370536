"""Who must have a write before it is acknowledged: a pure decision, nothing is asked here.

The rule (`docs/exactly-once.md` shows what breaks without each part): a write is acknowledged
when every replica that a Sentinel could promote has it. What the primary calls online is not
that set: a primary that is being replaced sees its replicas leave, and would acknowledge alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from guarita.config import Durability

Address = tuple[str, int]

VOTERS = 2  # watchers that must report a node down before it may be left out
APART_S = 2.0  # for which it must not have answered them, while each found the primary well
FRESH_S = 3.0  # age at which the last reading says nothing any more


@dataclass(frozen=True, slots=True)
class Reading:
    """What one watcher (a Sentinel; on a Cluster, a node) said when it was asked."""

    watcher: str
    primary: Address
    primary_healthy: bool
    """Neither flagged down nor in a failover, and its last good ping at most 2 s old."""
    replicas: frozenset[Address] = frozenset()
    """Those it lists: it might have one of them promoted."""
    down: frozenset[Address] = frozenset()
    up: frozenset[Address] = frozenset()
    unheard: frozenset[Address] = frozenset()
    """Listed, and without any answer to it since: it can have none of them promoted."""
    failover: bool = False
    """Whether it replaces the primary just now."""
    chosen: Address | None = None
    """Whom it is about to promote, or has promoted and not seen as primary yet."""
    unanswered_s: Mapping[Address, float] = field(default_factory=dict)
    """Since it first asked a replica that has not answered since, while the primary did answer what
    was asked well after that; only of such replicas, and only where it tells it."""

    @property
    def nodes(self) -> frozenset[Address]:
        """Every data node that it names."""
        return self.replicas | {self.primary}


@dataclass(frozen=True, slots=True)
class Round:
    """All answers to one asking of every watcher, in seconds of the monotonic clock.

    What was said is true of some moment between the two times, however late it was read.
    """

    asked_s: float
    answered_s: float
    readings: tuple[Reading, ...]


@dataclass(frozen=True, slots=True)
class View:
    """All that the decision rests on."""

    written_to: Address
    attached: frozenset[Address]  # the primary's own list, read together with the WAIT
    known: frozenset[Address]  # every data node ever seen, or configured
    rounds: Sequence[Round] = ()  # oldest first
    attached_at_s: Mapping[Address, float] = field(default_factory=dict)  # last seen to attach
    watched: bool = True  # whether anybody watches: a standalone server has no replicas to ask for
    may_stand_alone: bool = False  # a Cluster goes on with the last node of a slot


@dataclass(frozen=True, slots=True)
class Decision:
    """Who must have the write, who is left out, and why in words.

    Whoever is attached is required, so that the count of WAIT tells who has it.
    """

    required: frozenset[Address]
    left_out: Mapping[Address, str] = field(default_factory=dict)
    alone_is_enough: bool = False


NOBODY = Decision(frozenset(), alone_is_enough=True)


def decide(
    durability: Durability, view: View, configured: frozenset[Address], now_s: float
) -> Decision:
    """Who must have a write to `view.written_to`.

    `configured` are the data nodes of the settings; where given, who is not among them, as one that
    was just added or taken away, is forgotten once he is gone.
    """
    if durability is Durability.FAST or not view.watched:
        return NOBODY
    candidates = _candidates(view, configured) - {view.written_to}
    if configured:
        others = candidates - configured - view.attached
        candidates -= {node for node in others if _is_gone(node, view, now_s)}
    if durability is Durability.STRICT:
        return Decision(candidates)
    left_out = {}
    for node in candidates - view.attached:
        if reason := _why_left_out(node, view, now_s):
            left_out[node] = reason
    required = candidates - left_out.keys()
    return Decision(
        required,
        left_out,
        alone_is_enough=not required and view.may_stand_alone,
    )


def why_required(
    durability: Durability, view: View, decision: Decision, now_s: float
) -> dict[Address, str]:
    """Words for each node that `decision`, made of the same view, requires."""
    return {
        node: "attached" if node in view.attached else _why_needed(durability, node, view, now_s)
        for node in decision.required
    }


def _why_needed(durability: Durability, node: Address, view: View, now_s: float) -> str:
    if durability is Durability.STRICT:
        return "detached, and strict does without nobody"
    if not view.rounds or now_s - view.rounds[-1].asked_s > FRESH_S:
        return f"detached, and no reading is younger than {FRESH_S:g} s"
    last = view.rounds[-1].readings
    objections = [each for each in last if not _may_vote(node, each, view.written_to)]
    if objections:
        return f"detached, but {_objection(objections[0], view.written_to)}"
    down = sum(node in each.down for each in last)
    if down < VOTERS:
        return f"detached, and reported down by {down} where {VOTERS} must"
    return f"detached, and not yet silent for {APART_S:g} s to {VOTERS} that report it down"


def _objection(reading: Reading, primary: Address) -> str:
    if reading.primary != primary:
        host, port = reading.primary
        return f"{reading.watcher} names {host}:{port} as primary"
    if not reading.primary_healthy:
        return f"{reading.watcher} does not find the primary well"
    return f"{reading.watcher} hears it"


def _candidates(view: View, configured: frozenset[Address]) -> frozenset[Address]:
    """Every node that anybody names: as primary, as replica, in the primary's list, or before."""
    named = set(view.known | view.attached | configured)
    for reading in view.rounds[-1].readings if view.rounds else ():
        named |= {reading.primary, *reading.replicas}
    return frozenset(named)


def _is_gone(node: Address, view: View, now_s: float) -> bool:
    """Whether no watcher has heard it or could have it promoted, for as long as a vote takes."""
    if not view.rounds or now_s - view.rounds[-1].asked_s > FRESH_S:
        return False
    return _since(node, view, lambda each: _nobody_hears(node, each)) is not None


def _nobody_hears(node: Address, round: Round) -> bool:
    """Enough answered, and none of them hears it, names it or has chosen it."""
    if len(round.readings) < VOTERS:
        return False
    return not any(
        node in (reading.primary, reading.chosen)
        or node in reading.up
        or node in reading.replicas - reading.down - reading.unheard
        for reading in round.readings
    )


def _why_left_out(node: Address, view: View, now_s: float) -> str | None:
    """Words, if the watchers agree that it is down, in two readings and all between them."""
    if not view.rounds or now_s - view.rounds[-1].asked_s > FRESH_S:
        return None
    if _agreed_replaced(node, view):
        return f"detached, was primary before, and {VOTERS} or more have not heard it since"
    asked_s = _asked_in_vain(node, view.rounds[-1])
    since_s = _since(node, view, lambda each: _agreed_down(node, each, view.written_to, asked_s))
    if since_s is None:
        return None
    silent_s = now_s - min([since_s, *asked_s.values()])
    return f"detached, reported down by {VOTERS} or more, silent for {silent_s:.1f} s"


def _since(node: Address, view: View, holds: Callable[[Round], bool]) -> float | None:
    """Since when this was so in every round up to the last one; None if not for `APART_S`."""
    last, since_s = view.rounds[-1], None
    for round in reversed(view.rounds):
        if round.asked_s <= view.attached_at_s.get(node, float("-inf")):
            break
        if since_s is not None and since_s - round.asked_s > FRESH_S:
            break  # a gap in the readings: nobody knows what happened in it
        if not holds(round):
            break
        since_s = round.answered_s
        if last.asked_s - since_s >= APART_S:
            return since_s
    return None


def _agreed_replaced(node: Address, view: View) -> bool:
    """Enough have replaced it by our node and not heard it since, and none speaks against it.

    They cannot have it promoted, nor could they before: until then it was the primary. So one
    reading is enough.
    """
    last = view.rounds[-1]
    if last.asked_s <= view.attached_at_s.get(node, float("-inf")):
        return False
    votes = 0
    for reading in last.readings:
        if _is_switching_to(view.written_to, reading):
            continue  # it still has the list from before: neither a vote nor an objection
        if not _may_vote(node, reading, view.written_to):
            return False
        votes += _has_replaced(node, reading.watcher, view)
    return votes >= VOTERS


def _has_replaced(node: Address, watcher: str, view: View) -> bool:
    """Whether this watcher named `node` right before ours, and has not heard it in any reading
    since. A node that was primary earlier still, or was heard once, may have been chosen."""
    later_s = None
    for round in reversed(view.rounds):
        for reading in round.readings:
            if reading.watcher != watcher:
                continue
            if later_s is not None and later_s - round.asked_s > FRESH_S:
                return False  # a gap in the readings: nobody knows whom it named in it
            if reading.primary != view.written_to:
                return reading.primary == node
            if not _is_switching_to(view.written_to, reading) and node not in reading.unheard:
                return False
            later_s = round.answered_s
    return False


def _is_switching_to(primary: Address, reading: Reading) -> bool:
    """Whether it had `primary` promoted, and has yet to end that failover."""
    return reading.failover and reading.primary == primary == reading.chosen


def _asked_in_vain(node: Address, last: Round) -> Mapping[str, float]:
    """Of each watcher that reports `node` down: since when, at the latest, it has no answer."""
    return {
        reading.watcher: last.answered_s - reading.unanswered_s[node]
        for reading in last.readings
        if node in reading.down and node in reading.unanswered_s
    }


def _agreed_down(
    node: Address, round: Round, primary: Address, asked_s: Mapping[str, float]
) -> bool:
    """Enough vote for it, and none that answers speaks against it.

    A watcher reports a node down some time after it asked in vain (`down-after`). Where it tells
    when that was (`asked_s`), this counts for what it said before; else it must have said so.
    """
    votes = 0
    for reading in round.readings:
        if (asked_in_vain_s := asked_s.get(reading.watcher)) is not None:
            hears = asked_in_vain_s >= round.asked_s
            is_down = node in reading.replicas
        else:
            hears, is_down = node in reading.up, node in reading.down
        if hears or not _sees_well(primary, reading):
            return False
        votes += is_down  # not listed is no vote: a Sentinel may have been reset
    return votes >= VOTERS


def _may_vote(node: Address, reading: Reading, primary: Address) -> bool:
    return _sees_well(primary, reading) and node not in reading.up


def _sees_well(primary: Address, reading: Reading) -> bool:
    return reading.primary == primary and reading.primary_healthy
