"""Status, health, metrics and the contract. Nothing here names a host, a ticket or a tenant."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from functools import cache
from importlib import resources
from pathlib import Path

import falcon
import yaml

from guarita import metrics
from guarita.api.answers import timestamp
from guarita.api.problems import CONTENT_TYPE, problem_of
from guarita.api.request import Request
from guarita.api.tickets import Desk
from guarita.deadline import Deadline
from guarita.errors import StoreError
from guarita.sessions import Sessions

HEALTH_DEADLINE_S = 2.0


class SessionStatus:
    """`GET /auth/session-status`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Counts of all tickets and sessions."""
        self._desk.caller(req)
        sessions = self._desk.sessions
        status = sessions.status(deadline=req.deadline)
        resp.media = {
            "total_sessions": status.total_sessions,
            "active_sessions": status.active_sessions,
            "used_sessions": status.used_sessions,
            "total_created": status.total_created,
            "total_used": status.total_used,
            "max_sessions": sessions.policy.max_sessions,
            "storage": sessions.store.kind,
            "redis_healthy": True,  # it answered; otherwise this is a 503
        }


class RedisHealth:
    """`GET /auth/redis-health`: whether the store takes writes."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """`healthy` with 200, `unhealthy` with 503."""
        error = store_trouble(self._sessions, req.deadline)
        if error is not None:
            resp.status = falcon.HTTP_503
            resp.set_headers(problem_of(error).headers())
        resp.media = {
            "status": "unhealthy" if error else "healthy",
            "message": "The store cannot answer now" if error else "The store answers",
            "timestamp": timestamp(time.time() * 1000),
        }


class Live:
    """`GET /livez` and `/readyz`: whether this process serves, whatever the store does.

    A process that cannot reach its store is still ready: it holds requests until the failover is
    over. Taken out of the balancer it could not, and all of them would be taken out at once.
    """

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        resp.media = {"status": "ok"}


class DeepHealth:
    """`GET /healthz/deep`: whether the service can do its work now."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Asks the store, and tells who must have a write; an open installation names no nodes
        where it is in trouble, since it can not tell who asks."""
        has_key = self._has_key(req)
        shows = has_key or self._desk.tenants.is_open
        error = store_trouble(self._desk.sessions, req.deadline)
        body: dict[str, object] = {"status": "ok", "store": "ok"}
        resp.content_type = falcon.MEDIA_JSON
        if error is not None:
            problem = problem_of(error)
            resp.status = problem.status
            resp.set_headers(problem.headers())
            resp.content_type = CONTENT_TYPE
            body = json.loads(problem.body())
            shows = has_key
        resp.data = json.dumps(body | (self._writes() if shows else {})).encode()

    def _has_key(self, req: Request) -> bool:
        """Whether the caller showed an API key. Raises `Forbidden` when it is a wrong one."""
        if self._desk.tenants.is_open or not req.header("Authorization"):
            return False
        self._desk.caller(req)
        return True

    def _writes(self) -> dict[str, object]:
        states = self._desk.sessions.store.acknowledgements()
        return {
            "writes": [
                asdict(state) | {"required": dict(state.required), "left_out": dict(state.left_out)}
                for state in states
            ]
        }


class Metrics:
    """`GET /metrics`."""

    def __init__(self, multiprocess_dir: Path | None) -> None:
        self._multiprocess_dir = multiprocess_dir

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        resp.data = metrics.exposition(self._multiprocess_dir)
        resp.content_type = metrics.CONTENT_TYPE


class OpenApi:
    """`GET /openapi.json`."""

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        resp.data = json.dumps(contract(), ensure_ascii=False).encode()
        resp.content_type = falcon.MEDIA_JSON


@cache
def contract() -> dict[str, object]:
    """The API's contract, `openapi.yaml`."""
    text = (resources.files("guarita.api") / "openapi.yaml").read_text("utf-8")
    document: dict[str, object] = yaml.safe_load(text)
    return document


def store_trouble(sessions: Sessions, deadline: Deadline) -> StoreError | None:
    """Why the store cannot answer now, soon enough for a probe; None when it can."""
    soon = min(deadline, Deadline.after(HEALTH_DEADLINE_S), key=lambda one: one.at)
    try:
        sessions.store.ping(deadline=soon)
    except StoreError as exc:
        return exc
    return None
