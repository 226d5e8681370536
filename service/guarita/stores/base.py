"""What a store is: the protocol, its values and outcomes. No Redis here, no HTTP."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from guarita.deadline import Deadline
from guarita.errors import Malformed

# Not all that cannot be printed: names are written with joiners and no-break spaces too.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Grant:
    """What the creator ties to a ticket. Empty strings where nothing was given."""

    tenant: str = ""
    origin: str = ""
    subject: str = ""
    claims: str = ""  # JSON object as text

    def __post_init__(self) -> None:
        """Raises `Malformed` on control characters, which would also run into log lines."""
        if not _CONTROL.search(f"{self.tenant}{self.origin}{self.subject}{self.claims}"):
            return
        for name in ("tenant", "origin", "subject", "claims"):
            if _CONTROL.search(getattr(self, name)):
                raise Malformed(f"{name} must not contain control characters")


@dataclass(frozen=True, slots=True)
class Record:
    """One ticket and the session it becomes. Times are milliseconds since the epoch (UTC)."""

    id: UUID
    created_at_ms: int
    ticket_expires_at_ms: int
    grant: Grant
    iframe_opened: bool = False
    used: bool = False
    revoked: bool = False
    used_at_ms: int = 0
    session_expires_at_ms: int = 0
    attempt_sha256: bytes = b""
    token_sha256: bytes = b""


class Created(StrEnum):
    """How a create ended."""

    NEW = "new"
    REPEATED = "repeated"  # the same id with the same grant: nothing changed
    CONFLICT = "conflict"  # the same id with another grant: nothing changed
    FULL = "full"  # max_sessions reached: nothing changed


class Redeemed(StrEnum):
    """How a redeem ended. Only ADMITTED changed the ticket."""

    ADMITTED = "admitted"
    REPLAYED = "replayed"  # same attempt inside the replay window: same result
    USED = "used"  # another attempt, or the same one too late
    EXPIRED = "expired"
    REVOKED = "revoked"
    DOUBTED = "doubted"  # from before a loss of acknowledged writes: it may have been used in them
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Redeem:
    """One redeem as the store sees it: secrets only as SHA-256."""

    id: UUID
    attempt_sha256: bytes
    token_sha256: bytes
    session_ttl_s: int
    replay_window_s: int
    revoke_on_replay: bool = False


@dataclass(frozen=True, slots=True)
class RedeemResult:
    """`record` is None only for UNKNOWN."""

    outcome: Redeemed
    record: Record | None


@dataclass(frozen=True, slots=True)
class Status:
    """Counts of live records (neither expired nor revoked) and of all there ever were.

    What `revoke_subject` ended still counts until its expiry: it is not looked up one by one.
    """

    total_sessions: int  # tickets and sessions alive
    used_sessions: int  # of these, redeemed
    total_created: int
    total_used: int

    @property
    def active_sessions(self) -> int:
        """Tickets that can still be redeemed."""
        return self.total_sessions - self.used_sessions


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Who must have a write before it is acknowledged, and why, for people and metrics."""

    durability: str
    primary: str  # host:port; empty while none is known
    required: tuple[tuple[str, str], ...]  # node and reason
    left_out: tuple[tuple[str, str], ...]  # node and reason
    waiting: int  # requests that wait for a primary
    trouble: str  # why they wait, or why the last writes are not acknowledged; empty if all is well


class Store(Protocol):
    """Where tickets live. Every operation is atomic, safe to repeat, and ends by its deadline.

    Each raises `StoreUnavailable` when it was certainly not applied and `StoreOutcomeUnknown`
    when it may have been; an answer, whatever it says, is always from the store itself.
    """

    kind: str  # "redis" or "memory", as the HTTP API names it

    def create(
        self, id: UUID, grant: Grant, *, ttl_s: int, max_sessions: int, deadline: Deadline
    ) -> Created:
        """Store a ticket, unless `id` exists or `max_sessions` (0: no limit) are alive.

        It lives at least `ttl_s` seconds and less than one more: expiries are whole seconds,
        so that expired tickets can be counted without looking at them.
        """

    def open(self, id: UUID, *, deadline: Deadline) -> Record | None:
        """Note that the iframe page was opened; the record, or None if there is none."""

    def redeem(self, redeem: Redeem, *, deadline: Deadline) -> RedeemResult:
        """Turn a ticket into a session, once."""

    def read(self, id: UUID, *, deadline: Deadline) -> Record | None:
        """The record as it is now (with revocations of its subject), or None."""

    def revoke(self, id: UUID, *, tenant: str | None, deadline: Deadline) -> bool:
        """End a ticket or session; False if unknown or (with `tenant`) another tenant's."""

    def revoke_subject(self, tenant: str, subject: str, *, ttl_s: int, deadline: Deadline) -> None:
        """End every ticket and session that this subject of this tenant has now.

        `ttl_s` must be at least as long as any record of the subject can live.
        """

    def status(self, *, deadline: Deadline) -> Status:
        """Counts, at a cost that does not depend on the number of tickets."""

    def ping(self, *, deadline: Deadline) -> None:
        """Return if the store can be written to now; raise `StoreError` otherwise."""

    def acknowledgements(self) -> tuple[Acknowledgement, ...]:
        """How writes are acknowledged now, for each primary; asks nobody."""

    def close(self) -> None:
        """Give back connections and threads; safe to call twice."""
