"""A client of the service, for tests: asks again with the same key until it is told."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlencode, urlsplit

from guarita.errors import GuaritaError, StoreOutcomeUnknown

DEADLINE_S = 30.0
_TRY_S = 20.0  # longer than the service itself waits for its store
_PAUSE_S = 0.2
_AGAIN = (502, 503, 504)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came over HTTP; `body` is the JSON of it, None where there was none."""

    status: int
    body: Any


@dataclass(frozen=True, slots=True)
class Session:
    """What a redeemed ticket became."""

    token: str
    subject: str | None
    claims: dict[str, Any]


class Client:
    """Calls the service at `url`. What is safe to repeat is repeated, for `deadline_s` seconds;
    then `StoreOutcomeUnknown` is raised. An answer that says that the call was wrong raises
    `GuaritaError`."""

    def __init__(self, url: str, api_key: str, *, deadline_s: float = DEADLINE_S) -> None:
        self.url = url
        self._api_key = api_key
        self._deadline_s = deadline_s

    def create(
        self,
        *,
        subject: str | None = None,
        origin: str | None = None,
        claims: dict[str, Any] | None = None,
        key: str | None = None,
    ) -> str:
        """A new ticket; returns its id. The same `key` always gives the same ticket."""
        given = {"subject": subject, "origin": origin, "claims": claims}
        body = {name: value for name, value in given.items() if value is not None}
        headers = {"Idempotency-Key": key or secrets.token_urlsafe(16)}
        answer = self._insist("POST", "/auth/create-session", body, headers, host=True)
        return str(self._good(answer).body["session_id"])

    def redeem(self, ticket: str, attempt: str | None = None) -> Session | None:
        """Use a ticket, once; None where it is refused. The same `attempt` gets the same answer."""
        body = {"session_id": ticket, "attempt": attempt or secrets.token_urlsafe(16)}
        answer = self._insist("POST", "/auth/redeem", body)
        if answer.status == 401:
            return None
        told = self._good(answer).body
        return Session(told["session_token"], told.get("subject"), told.get("claims") or {})

    def validate(self, ticket: str, attempt: str | None = None) -> bool:
        """Use a ticket, once, as simple hosts do; whether it was good."""
        path = f"/auth/validate-session?{urlencode({'session_id': ticket})}"
        headers = {"Idempotency-Key": attempt or secrets.token_urlsafe(16)}
        answer = self._insist("GET", path, headers=headers)
        return answer.status != 401 and bool(self._good(answer).body["valid"])

    def verify(self, token: str) -> bool:
        """Whether a session is good now."""
        headers = {"Authorization": f"Bearer {token}"}
        answer = self._insist("GET", "/auth/verify", headers=headers)
        return answer.status != 401 and bool(self._good(answer))

    def revoke(self, *, ticket: str | None = None, subject: str | None = None) -> None:
        """End a ticket and its session, or all those of a subject."""
        body = {"session_id": ticket} if ticket is not None else {"subject": subject}
        self._good(self._insist("POST", "/auth/revoke", body, host=True))

    def status(self) -> dict[str, Any]:
        """How many tickets and sessions there are."""
        answer = self._insist("GET", "/auth/session-status", host=True)
        return dict(self._good(answer).body)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        host: bool = False,
        timeout_s: float = _TRY_S,
    ) -> Answer:
        """One request, as it is; `host`: with the API key. Raises `OSError` or `HTTPException`
        where there is no answer."""
        named = dict(headers or {})
        if host:
            named["Authorization"] = f"Bearer {self._api_key}"
        content = None if body is None else json.dumps(body)
        if content is not None:
            named["Content-Type"] = "application/json"
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=timeout_s)
        try:
            connection.request(method, path, content, named)
            answer = connection.getresponse()
            return Answer(answer.status, _json(answer.read()))
        finally:
            connection.close()

    def _insist(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        host: bool = False,
    ) -> Answer:
        give_up_s = time.monotonic() + self._deadline_s
        while True:
            try:
                answer = self.call(method, path, body, headers, host=host)
                told = f"{answer.status} {answer.body}"
            except (OSError, HTTPException) as exc:
                answer, told = None, str(exc) or type(exc).__name__
            if answer is not None and answer.status not in _AGAIN:
                return answer
            if time.monotonic() > give_up_s:
                raise StoreOutcomeUnknown(
                    f"{method} {path.partition('?')[0]}: not told within "
                    f"{self._deadline_s:g} s ({told})"
                )
            time.sleep(_PAUSE_S)

    def _good(self, answer: Answer) -> Answer:
        if answer.status not in (200, 204):
            raise GuaritaError(f"the service answered {answer.status}: {answer.body}")
        return answer


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None
