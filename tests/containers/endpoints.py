"""The published calls, over HTTP from outside."""

from __future__ import annotations

from typing import Any

from .running import Kit


def new_ticket(kit: Kit) -> str:
    status, told = kit.call("POST", "/auth/create-session", key=True)
    assert status == 200, told
    return str(told["session_id"])


def redeem(kit: Kit, ticket: str, attempt: str = "the-first-attempt-of-all") -> tuple[int, Any]:
    return kit.call("POST", "/auth/redeem", {"session_id": ticket, "attempt": attempt})


def check_endpoints(kit: Kit) -> None:
    """Create, validate once and no second time, count, and the store's health."""
    entry, port = ("proxy", 8443) if kit.tls else ("service", 8000)
    assert kit.testcontainers.get_service_port(entry, port) == kit.port
    ticket = new_ticket(kit)
    path = f"/auth/validate-session?session_id={ticket}"
    status, told = kit.call("GET", path)
    assert (status, told["valid"], told["storage"]) == (200, True, "redis")
    assert kit.call("GET", path)[0] == 401
    status, told = kit.call("GET", "/auth/session-status", key=True)
    assert (status, told["redis_healthy"]) == (200, True)
    assert told["total_created"] >= told["total_used"] >= 1
    status, told = kit.call("GET", "/auth/redis-health")
    assert (status, told["status"]) == (200, "healthy")
