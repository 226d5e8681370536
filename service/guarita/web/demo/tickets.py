"""How a host's backend asks the service for a ticket: with one key, again and again if need be."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 2.0


class TicketRefused(Exception):
    """The service will not give a ticket for this request; asking again does not help."""


class ServiceUnavailable(Exception):
    """No ticket inside the deadline; the same key may be used to ask again."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """Where the ticket's page is, and what it took to get it."""

    frame_url: str
    tries: int
    took_ms: int


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: dict[str, object]


@dataclass(frozen=True, slots=True)
class TicketDesk:
    """Asks `service_url` (scheme, host, port) in the name of the site at `origin`."""

    service_url: str
    origin: str
    api_key: str | None = None
    deadline_s: float = 12.0

    def ask(self, subject: str, idempotency_key: str) -> Ticket:
        """A ticket for `subject`; one ticket per key, however often it is asked for.

        Retries what may pass (no answer, 429, 5xx) inside the deadline. Raises `TicketRefused`
        and `ServiceUnavailable`.
        """
        started = time.monotonic()
        tries, pause_s, trouble = 0, FIRST_PAUSE_S, ""
        while (left_s := started + self.deadline_s - time.monotonic()) > 0:
            tries += 1
            try:
                answer = self._post(subject, idempotency_key, timeout_s=left_s)
            except (OSError, HTTPException, ValueError) as exc:
                trouble, wait_s = f"no answer ({type(exc).__name__})", pause_s
            else:
                if answer.status == 200:
                    took_ms = round((time.monotonic() - started) * 1000)
                    return Ticket(self._frame_url(answer), tries, took_ms)
                trouble = f"{answer.status} {answer.body.get('title', '')}".strip()
                if answer.status < 500 and answer.status != 429:
                    raise TicketRefused(f"{trouble}: {answer.body.get('detail', '')}")
                wait_s = max(pause_s, _retry_after_s(answer))
            if wait_s >= started + self.deadline_s - time.monotonic():
                break
            time.sleep(wait_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        raise ServiceUnavailable(f"{trouble} after {tries} tries")

    def _post(self, subject: str, idempotency_key: str, *, timeout_s: float) -> _Answer:
        url = urlsplit(self.service_url)
        connection_class = HTTPSConnection if url.scheme == "https" else HTTPConnection
        headers = {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        connection = connection_class(url.netloc, timeout=timeout_s)
        try:
            body = json.dumps({"subject": subject, "origin": self.origin})
            connection.request("POST", "/auth/create-session", body, headers)
            response = connection.getresponse()
            return _Answer(response.status, _json_object(response.read()))
        finally:
            connection.close()

    def _frame_url(self, answer: _Answer) -> str:
        path = answer.body.get("iframe_url")
        if not isinstance(path, str) or not path.startswith("/client/"):
            raise TicketRefused("the answer has no iframe_url: is this a Guarita service?")
        return self.service_url + path


def _json_object(content: bytes) -> dict[str, object]:
    """The body of an answer; a proxy's HTML page counts as an empty one."""
    try:
        value = json.loads(content)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _retry_after_s(answer: _Answer) -> float:
    after_ms = answer.body.get("retry_after_ms")
    return after_ms / 1000 if isinstance(after_ms, int | float) else 0.0
