"""What a drill recorded, as values: judges nothing, reads and writes nothing (`lines` does).

Times are whole microseconds of one monotonic clock, 0 where the load begins. There is no secret in
it: a ticket has a name of the drill's own, and a session token is only compared, by a short hash.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


class Kind(StrEnum):
    """What a client asked for."""

    CREATE = "create"
    REDEEM = "redeem"
    VERIFY = "verify"
    REVOKE = "revoke"
    STATUS = "status"


class Outcome(StrEnum):
    """What became of it in the store, as far as the client can know."""

    OK = "ok"  # the service answered the question; `answer` says how, a refusal too
    FAIL = "fail"  # certainly not applied
    UNKNOWN = "unknown"  # perhaps applied, now or at any time until the end


class Answer(StrEnum):
    """What the client was told at last.

    Refused, used and unknown tickets are one answer over HTTP (401), and an admission that is
    repeated looks like the first: which of them it was follows from the whole history.
    """

    CREATED = "created"
    ADMITTED = "admitted"  # a redeem, the first or the same attempt again
    LIVE = "live"  # a verify: the session is good
    REVOKED = "revoked"  # a revoke, whether or not there was something to end
    COUNTED = "counted"  # a status, with its counters
    REFUSED = "refused"  # 401 to a redeem or a verify
    LIMITED = "limited"  # 429, not applied
    UNAVAILABLE = "unavailable"  # 503, certainly not applied
    IN_DOUBT = "in-doubt"  # 503 outcome unknown
    NOT_SENT = "not-sent"  # no connection, so no request
    NO_ANSWER = "no-answer"  # sent, and the answer was lost, late or a gateway's own
    STRANGE = "strange"  # an answer that the API has not for this request: 400, 404, 409, 500


_OUTCOMES_OF = {
    **dict.fromkeys(
        (
            Answer.CREATED,
            Answer.ADMITTED,
            Answer.LIVE,
            Answer.REVOKED,
            Answer.COUNTED,
            Answer.REFUSED,
        ),
        (Outcome.OK,),
    ),
    # An earlier try of the same request may have been applied.
    **dict.fromkeys(
        (Answer.LIMITED, Answer.UNAVAILABLE, Answer.NOT_SENT), (Outcome.FAIL, Outcome.UNKNOWN)
    ),
    **dict.fromkeys((Answer.IN_DOUBT, Answer.NO_ANSWER, Answer.STRANGE), (Outcome.UNKNOWN,)),
}

# For who looks at every operation: to get a member from its class takes seven times as long as a
# name of the module (Python 3.11).
CREATE, REDEEM, VERIFY, STATUS = Kind.CREATE, Kind.REDEEM, Kind.VERIFY, Kind.STATUS
OK = Outcome.OK
CREATED, ADMITTED, LIVE = Answer.CREATED, Answer.ADMITTED, Answer.LIVE
REFUSED, COUNTED = Answer.REFUSED, Answer.COUNTED

_ANSWERS_OF = {
    (Kind.CREATE, Answer.CREATED),
    (Kind.REDEEM, Answer.ADMITTED),
    (Kind.REDEEM, Answer.REFUSED),
    (Kind.VERIFY, Answer.LIVE),
    (Kind.VERIFY, Answer.REFUSED),
    (Kind.REVOKE, Answer.REVOKED),
    (Kind.STATUS, Answer.COUNTED),
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One request with its repeats, from its first byte to the answer that ended it.

    All tries carry the same attempt (a redeem) or Idempotency-Key (a create). `ended_us` is None
    where the client was still waiting when the drill ended: unknown, and no answer.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    id: NonNegativeInt  # unique in the history
    client: str
    kind: Kind
    started_us: NonNegativeInt
    outcome: Outcome
    answer: Answer
    ended_us: NonNegativeInt | None = None
    ticket: str | None = None  # the drill's own name for it; None for a status only
    attempt: str | None = None  # of a redeem; of a verify: the attempt whose token it presents
    status: int | None = None  # of the last answer, where there was one
    retries: NonNegativeInt = 0  # requests sent again, beyond the first
    place: str | None = None  # the region or host that the client called
    token: str | None = None  # of an admission: the start of the SHA-256 of its session token
    total_created: NonNegativeInt | None = None  # of a status that was answered
    total_used: NonNegativeInt | None = None
    type: Literal["operation"] = "operation"

    @property
    def mistake(self) -> str | None:
        """What in it contradicts itself, in words."""
        kind, answer = self.kind, self.answer
        if (self.ticket is None) != (kind is STATUS):
            return f"a {kind} {'needs a' if self.ticket is None else 'has no'} ticket"
        if self.attempt is None and (kind is REDEEM or kind is VERIFY):
            return f"a {kind} needs an attempt"
        if self.ended_us is None and answer is not Answer.NO_ANSWER:
            return f"{answer} without an end"
        if self.outcome not in _OUTCOMES_OF[answer]:
            return f"{answer} cannot be {self.outcome}"
        if self.outcome is OK and (kind, answer) not in _ANSWERS_OF:
            return f"a {kind} cannot be answered with {answer}"
        if answer is COUNTED and None in (self.total_created, self.total_used):
            return f"{answer} needs total_created and total_used"
        return None


class EventKind(StrEnum):
    """What the drill itself did or saw."""

    PHASE = "phase"  # `text` is a `Phase`
    FAULT = "fault"  # injected: from now on something is broken
    HEAL = "heal"  # the drill has taken its fault away, or will do nothing more about it
    HEALTH = "health"  # `text` is empty when the installation is well, else what is wrong
    ROLE = "role"  # a change of role worth a line in the report
    NOTE = "note"
    UNHEALED = "unhealed"  # the drill could not take its fault away, and why
    STOPPED = "stopped"  # the drill ended before its time, and why


class Phase(StrEnum):
    """Where the drill is; each begins where the event is, in this order."""

    LOAD = "load"  # at 0
    DRAIN = "drain"  # no request begins any more; those under way may end
    LOOK = "look"  # each ticket is asked for once more: what became of it
    END = "end"


@dataclass(frozen=True, slots=True)
class Event:
    """What the drill did or saw at one moment."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    at_us: int  # negative before the load
    kind: EventKind
    text: str
    node: str | None = None
    type: Literal["event"] = "event"


class Role(StrEnum):
    """What one node said that it is."""

    PRIMARY = "primary"
    REPLICA = "replica"
    SENTINEL = "sentinel"
    LOADING = "loading"
    SILENT = "silent"  # did not answer


@dataclass(frozen=True, slots=True)
class Sample:
    """One node's word, asked every 200 ms."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    at_us: int
    node: str
    role: Role
    names: str | None = None  # whom a Sentinel names as primary, or a replica follows, as node name
    writable: bool = False  # a primary that takes writes: enough good replicas, not paused
    linked: bool = False  # a replica whose link is up
    offset: NonNegativeInt | None = None  # replication offset of a data node,
    replid: str | None = None  # which counts within this replication id
    type: Literal["sample"] = "sample"


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure of the scenario itself, and what it may be at most."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str  # with its unit: `rejoined_s`
    value: float
    at_most: float | None = None
    turn: PositiveInt | None = None  # the number of its turn, where there are several
    type: Literal["measured"] = "measured"


@dataclass(frozen=True, slots=True)
class Turn:
    """One scenario of a drill that plays many, one after another, and what it may cost."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    number: PositiveInt
    scenario: str
    from_us: NonNegativeInt  # when all was well before it,
    to_us: NonNegativeInt  # and after it
    title: str = ""
    pause_at_most_s: float | None = None
    failed_at_most: int | None = None
    type: Literal["turn"] = "turn"


@dataclass(frozen=True, slots=True)
class Header:
    """What was played, on what, and what it may cost."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    scenario: str  # "D2"
    title: str  # "kill -9 the primary and restart it"
    target: str  # "local"
    topology: str
    durability: str
    nodes: tuple[str, ...]  # data nodes, named as in samples
    sentinels: tuple[str, ...]
    seed: int
    rate: PositiveFloat  # requests a second that were wanted
    ticket_ttl_s: PositiveFloat
    session_ttl_s: PositiveFloat
    replay_window_s: float
    date: str  # UTC, as in RFC 3339
    machine: str
    versions: dict[str, str] = field(default_factory=dict)  # guarita, server, python
    verify_age_s: float = 2.0  # how old an answer to a verify may be (`sessions.cache_age_s`)
    revoke_on_replay: bool = False  # a rival who comes too late ends the session
    control: str | None = None  # a negative control, and which: it must come out invalid
    pause_at_most_s: float | None = None  # None: no bound
    failed_at_most: int | None = None
    alone: bool = True  # nobody else used the installation meanwhile
    command: str = ""  # plays it again
    format: Literal[1] = 1
    type: Literal["header"] = "header"


Record: TypeAlias = Annotated[
    Operation | Event | Sample | Measured | Turn, Field(discriminator="type")
]


@dataclass(frozen=True, slots=True)
class History:
    """A whole drill. Operations, events and samples are in no order."""

    header: Header
    operations: tuple[Operation, ...]
    events: tuple[Event, ...] = ()
    samples: tuple[Sample, ...] = ()
    measured: tuple[Measured, ...] = ()
    turns: tuple[Turn, ...] = ()
