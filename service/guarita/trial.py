"""A ticket that is made, redeemed once, and refused to anybody else: does an installation work?"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from typing import Any

from guarita.deadline import Deadline
from guarita.errors import GuaritaError, Rejected
from guarita.sessions import Sessions
from guarita.stores.base import Grant


def through_service(connect: Callable[[], HTTPConnection], key: str | None) -> str | None:
    """Over HTTP, each call on a connection of its own. Why it does not work; None where it does."""
    try:
        status, told = _call(connect, "/auth/create-session", {}, key)
        if status != 200:
            return f"create was answered with {status}: {_detail(told)}"
        ticket = told["session_id"]
        status, told = _redeem(connect, ticket)
        if status != 200:
            return f"redeem was answered with {status}: {_detail(told)}"
        status, told = _redeem(connect, ticket)
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as exc:
        return f"the service does not answer as it must: {exc}"
    return None if status == 401 else f"a second redeem was answered with {status}, not with 401"


def through_store(sessions: Sessions, deadline_s: float) -> str | None:
    """The same without the service."""
    try:
        ticket = sessions.create(Grant(), deadline=Deadline.after(deadline_s))
        sessions.redeem(ticket, None, deadline=Deadline.after(deadline_s))
        sessions.redeem(ticket, None, deadline=Deadline.after(deadline_s))
    except Rejected as exc:
        return None if exc.reason == "used" else f"redeem was refused: {exc.reason}"
    except GuaritaError as exc:
        return f"the store does not do it: {exc}"
    return "a second redeem was admitted"


def _redeem(connect: Callable[[], HTTPConnection], ticket: str) -> tuple[int, Any]:
    body = {"session_id": ticket, "attempt": secrets.token_urlsafe(16)}
    return _call(connect, "/auth/redeem", body, None)


def _call(
    connect: Callable[[], HTTPConnection], path: str, body: Any, key: str | None
) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    connection = connect()
    try:
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")
    finally:
        connection.close()


def _detail(told: Any) -> str:
    return str(told.get("detail", "")) if isinstance(told, dict) else ""
