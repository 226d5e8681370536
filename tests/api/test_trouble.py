"""A store that cannot answer is always 503, and says nothing about the ticket."""

from __future__ import annotations

import io
from typing import Any

import pytest

from guarita.errors import StoreError, StoreOutcomeUnknown, StoreUnavailable
from guarita.sessions import Sessions

from api.service import (
    ACME_KEY,
    ATTEMPT,
    TENANTS,
    UNKNOWN_ID,
    FailingStore,
    Service,
    bearer,
    open_service,
)

TOKEN = "A" * 64
CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/auth/create-session", {}),
    ("GET", f"/auth/validate-session?session_id={UNKNOWN_ID}", {}),
    ("POST", "/auth/redeem", {"json": {"session_id": UNKNOWN_ID, "attempt": ATTEMPT}}),
    ("GET", "/auth/verify", {"headers": bearer(TOKEN)}),
    ("GET", "/auth/verify", {"cookies": {"__Host-guarita": TOKEN}}),
    ("POST", "/auth/revoke", {"json": {"session_id": UNKNOWN_ID}}),
    ("POST", "/auth/revoke", {"json": {"subject": "ana"}}),
    ("GET", "/auth/session-status", {}),
    ("GET", "/healthz/deep", {}),
    ("GET", "/demo/content", {"headers": bearer(TOKEN)}),
]
ERRORS = [
    (StoreUnavailable("10.1.2.3:6379 refused"), "store-unavailable"),
    (StoreOutcomeUnknown("10.1.2.3:6379 fell silent"), "outcome-unknown"),
]


def failing(error: StoreError) -> Service:
    return open_service(FailingStore(error), demo={"enabled": True})


@pytest.mark.parametrize(("error", "name"), ERRORS)
@pytest.mark.parametrize(("method", "target", "send"), CALLS)
def test_a_store_that_fails_is_503_with_a_time_to_come_back(
    method: str, target: str, send: dict[str, Any], error: StoreError, name: str
) -> None:
    path, _, query = target.partition("?")
    answer = failing(error).http.simulate_request(method, path, query_string=query, **send)
    assert answer.status_code == 503
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["type"] == f"urn:guarita:problem:{name}"
    assert answer.json["retry_after_ms"] >= 1
    assert int(answer.headers["Retry-After"]) >= 1
    assert "Set-Cookie" not in answer.headers
    assert "10.1.2.3" not in answer.text


@pytest.mark.parametrize(("error", "_name"), ERRORS)
def test_redis_health_is_unhealthy_and_names_no_host(error: StoreError, _name: str) -> None:
    answer = failing(error).http.simulate_get("/auth/redis-health")
    assert answer.status_code == 503
    assert answer.json["status"] == "unhealthy"
    assert set(answer.json) == {"status", "message", "timestamp"}
    assert int(answer.headers["Retry-After"]) >= 1
    assert "10.1.2.3" not in answer.text


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/openapi.json"])
def test_what_does_not_need_the_store_goes_on(path: str) -> None:
    assert failing(StoreUnavailable("gone")).http.simulate_get(path).status_code == 200


def test_the_page_loads_without_the_store() -> None:
    answer = failing(StoreUnavailable("gone")).http.simulate_get(
        "/client/iframe.html", params={"session_id": UNKNOWN_ID}
    )
    assert answer.status_code == 200
    assert "http://localhost:*" in answer.headers["Content-Security-Policy"]


def test_a_failure_of_our_own_is_500_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("planted-value")

    monkeypatch.setattr(Sessions, "status", fail)
    answer = open_service().http.simulate_get("/auth/session-status")
    assert answer.status_code == 500
    assert answer.json["type"] == "urn:guarita:problem:internal"
    assert "planted-value" not in answer.text
    assert answer.headers["X-Request-Id"]


def test_addresses_and_methods_that_do_not_exist_have_the_same_shape(service: Service) -> None:
    nowhere = service.http.simulate_get("/nowhere")
    assert (nowhere.status_code, nowhere.json["type"]) == (404, "urn:guarita:problem:not-found")
    method = service.http.simulate_delete("/auth/redeem")
    assert method.status_code == 405
    assert method.json["type"] == "urn:guarita:problem:method-not-allowed"
    assert "POST" in method.headers["Allow"]
    for answer in (nowhere, method):
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert set(answer.json) == {"type", "title", "status", "detail"}


@pytest.mark.parametrize("length", ["-1", "x", "1e3"])
def test_a_content_length_that_is_none_is_malformed(service: Service, length: str) -> None:
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/auth/create-session",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": length,
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(b"{}"),
        "wsgi.errors": io.StringIO(),
    }
    seen: list[str] = []
    body = b"".join(service.app(environ, lambda status, _headers: seen.append(status)))
    assert seen == ["400 Bad Request"]
    assert b"urn:guarita:problem:malformed" in body


def test_deep_health_tells_why_requests_wait_to_who_may_know() -> None:
    error = StoreUnavailable("down")
    assert "writes" not in failing(error).http.simulate_get("/healthz/deep").json
    closed = open_service(FailingStore(error), security={"tenants": TENANTS}).http
    assert "writes" not in closed.simulate_get("/healthz/deep").json
    told = closed.simulate_get("/healthz/deep", headers=bearer(ACME_KEY))
    assert told.status_code == 503
    assert told.json["writes"][0]["trouble"] == "no primary answers"
    assert closed.simulate_get("/healthz/deep", headers=bearer("wrong")).status_code == 403
