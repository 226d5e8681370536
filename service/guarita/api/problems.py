"""Every error answer: one JSON shape (RFC 9457), one status per cause."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus

import falcon

from guarita.errors import (
    Conflict,
    Forbidden,
    GuaritaError,
    LimitReached,
    Malformed,
    Rejected,
    StoreOutcomeUnknown,
    StoreUnavailable,
)

CONTENT_TYPE = "application/problem+json"
RETRY_STORE_MS = 1000
RETRY_LIMIT_MS = 5000


@dataclass(frozen=True, slots=True)
class Problem:
    """One cause of failure; `retry_after_ms` only where the same request may work later."""

    name: str
    status: int
    title: str
    detail: str
    retry_after_ms: int | None = None

    @property
    def type(self) -> str:
        return f"urn:guarita:problem:{self.name}"

    def body(self) -> bytes:
        """The problem as JSON."""
        members: dict[str, object] = {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.retry_after_ms is not None:
            members["retry_after_ms"] = self.retry_after_ms
        return json.dumps(members).encode()

    def headers(self) -> dict[str, str]:
        """Headers that go with the status."""
        headers = {}
        if self.status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="guarita"'
        if self.retry_after_ms is not None:
            headers["Retry-After"] = str(max(1, -(-self.retry_after_ms // 1000)))
        return headers


INTERNAL = Problem("internal", 500, "Internal error", "The service failed; its log has the reason.")


def problem_of(error: Exception) -> Problem:
    """The problem that an error is to the caller; whatever is not known is `INTERNAL`."""
    match error:
        case falcon.HTTPError():
            return _of_falcon(error)
        case Malformed():
            return Problem("malformed", 400, "Malformed request", str(error))
        case Rejected():
            # One answer whatever the reason: the caller learns nothing about the ticket.
            text = "This ticket or session is not acceptable; ask for a new ticket."
            return Problem("not-acceptable", 401, "Not acceptable", text)
        case Forbidden():
            return Problem("forbidden", 403, "Not allowed", str(error))
        case Conflict():
            return Problem("conflict", 409, "Conflict", str(error))
        case GuaritaError():
            return _of_trouble(error)
    return INTERNAL


def _of_trouble(error: GuaritaError) -> Problem:
    match error:
        case LimitReached():
            text = "As many tickets and sessions as allowed exist already."
            return Problem("limit-reached", 429, "Limit reached", text, RETRY_LIMIT_MS)
        case StoreUnavailable():
            text = "The store cannot answer now and nothing was changed; try again."
            title = "Store unavailable"
            return Problem("store-unavailable", 503, title, text, RETRY_STORE_MS)
        case StoreOutcomeUnknown():
            text = (
                "The store may have done it; try again with the same attempt or Idempotency-Key "
                "to learn the truth."
            )
            return Problem("outcome-unknown", 503, "Outcome unknown", text, RETRY_STORE_MS)
    return INTERNAL


_BY_STATUS = {
    400: ("malformed", "Malformed request", ""),
    404: ("not-found", "Not found", "There is nothing at this address."),
    405: (
        "method-not-allowed",
        "Method not allowed",
        "This address does not know this method; the Allow header lists those it knows.",
    ),
    413: ("too-large", "Content too large", ""),
}


def _of_falcon(error: falcon.HTTPError) -> Problem:
    status = error.status_code
    phrase = HTTPStatus(status).phrase
    name, title, detail = _BY_STATUS.get(status, (f"http-{status}", phrase, ""))
    return Problem(name, status, title, detail or error.description or title)
