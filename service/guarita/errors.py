"""Every error of Guarita, under one root. Nothing here knows HTTP or Redis.

GuaritaError
├── ConfigError            a setting is wrong or missing; the process ends with status 2
├── Malformed              the caller's value has the wrong shape                   -> 400
├── Rejected               ticket or session not acceptable, whatever the reason    -> 401
├── Forbidden              origin or API key not allowed                            -> 403
├── Conflict               the same key or attempt stands for something else        -> 409
├── LimitReached           max_sessions reached                                     -> 429
├── HistoryError           a drill's history cannot be read; nothing can be said about it
├── TopologyError          an installation cannot do what was asked; status 3
│   └── ServerMissing          no data node server is installed here
└── StoreError             says nothing about the ticket                            -> 503
    ├── StoreUnavailable       certainly not applied
    └── StoreOutcomeUnknown    perhaps applied; repeat with the same id or attempt
"""

from __future__ import annotations

from enum import StrEnum


class GuaritaError(Exception):
    """Root of all errors raised on purpose."""


class ConfigError(GuaritaError):
    """One or more settings are wrong; `problems` holds one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Malformed(GuaritaError):
    """The caller's value has the wrong shape; the text may be shown to the caller."""


class Reason(StrEnum):
    """Why a ticket or session was rejected: for the audit log, never for the caller."""

    UNKNOWN = "unknown"  # never issued here, or expired and forgotten
    USED = "used"  # redeemed before, by another attempt or after the replay window
    EXPIRED = "expired"
    REVOKED = "revoked"
    DOUBTED = "doubted"  # from before a loss of acknowledged writes
    BAD_TOKEN = "bad_token"  # not a session token of this installation
    MISSING = "missing"  # no credential was sent


class Rejected(GuaritaError):
    """Ticket or session not acceptable. Callers are told only that; logs get the rest."""

    def __init__(self, reason: Reason, *, tenant: str = "", origin: str = "") -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.tenant = tenant
        self.origin = origin


class Forbidden(GuaritaError):
    """The origin or the API key is not allowed to do this."""


class Conflict(GuaritaError):
    """An Idempotency-Key was sent again with other contents."""


class LimitReached(GuaritaError):
    """`sessions.max_sessions` live tickets and sessions exist already."""


class HistoryError(GuaritaError):
    """Lines of a drill's history are wrong; `lines` names each of them and says why."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class TopologyError(GuaritaError):
    """An installation cannot do what was asked; the text says why and what to do."""


class ServerMissing(TopologyError):
    """No `valkey-server` or `redis-server` that is new enough was found."""


class StoreError(GuaritaError):
    """The store could not answer. Never means that a ticket is invalid."""


class StoreUnavailable(StoreError):
    """The operation was certainly not applied."""


class StoreOutcomeUnknown(StoreError):
    """The operation may have been applied; the same id or attempt may be sent again."""
