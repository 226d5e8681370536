"""What stands around every answer: headers, request id, the caller's address."""

from __future__ import annotations

import re

import pytest
import structlog

from api.service import Service, open_service

SAFE = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/auth/create-session"),
        ("GET", "/auth/validate-session"),
        ("GET", "/auth/verify"),
        ("GET", "/auth/session-status"),
        ("GET", "/auth/redis-health"),
        ("GET", "/client/guarita.js"),
        ("GET", "/livez"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/nowhere"),
        ("DELETE", "/auth/redeem"),
        ("OPTIONS", "/auth/redeem"),
    ],
)
def test_every_answer_but_the_page_refuses_frames_caches_and_other_origins(
    service: Service, method: str, path: str
) -> None:
    headers = {"Origin": "https://other.example", "Access-Control-Request-Method": "POST"}
    answer = service.http.simulate_request(method, path, headers=headers)
    for name, value in SAFE.items():
        assert answer.headers[name] == value
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_a_good_request_id_comes_back_and_a_bad_one_is_replaced(service: Service) -> None:
    def request_id(sent: str) -> str:
        answer = service.http.simulate_get("/livez", headers={"X-Request-Id": sent})
        return str(answer.headers["X-Request-Id"])

    assert request_id("Abc-1.2_3") == "Abc-1.2_3"
    for bad in ("", "a b", "x" * 129, "a;b", "é"):
        assert re.fullmatch(r"[0-9a-f]{32}", request_id(bad))
    assert request_id("") != request_id("")


def test_hsts_is_sent_behind_https_only() -> None:
    def hsts(server: dict[str, object], scheme: str = "http", **headers: str) -> bool:
        service = open_service(server=server)
        answer = service.http.simulate_get("/livez", protocol=scheme, headers=headers)
        return "Strict-Transport-Security" in answer.headers

    trusting = {"trusted_proxies": ["127.0.0.0/8"]}
    assert not hsts({})
    assert hsts({}, "https")
    assert hsts({"public_url": "https://auth.example"})
    assert not hsts({"public_url": "http://auth.example"})
    assert not hsts({}, **{"X-Forwarded-Proto": "https"})
    assert hsts(trusting, **{"X-Forwarded-Proto": "https"})
    assert not hsts(trusting, **{"X-Forwarded-Proto": "http"})


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        (None, "127.0.0.1"),
        ("203.0.113.9", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9, 10.0.0.7", "203.0.113.9"),
        ("10.0.0.8, 10.0.0.7", "10.0.0.8"),
        ("203.0.113.9, nonsense, 10.0.0.7", "10.0.0.7"),
        ("nonsense", "127.0.0.1"),
        ("", "127.0.0.1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_the_address_is_the_last_one_that_a_trusted_proxy_saw(
    forwarded: str | None, address: str
) -> None:
    server = {"trusted_proxies": ["127.0.0.1", "10.0.0.0/8"]}
    assert _logged_address(open_service(server=server), forwarded) == address


def test_nobody_else_is_believed(service: Service) -> None:
    assert _logged_address(service, "203.0.113.9") == "127.0.0.1"


def _logged_address(service: Service, forwarded: str | None) -> str:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    with structlog.testing.capture_logs() as lines:
        service.http.simulate_get("/livez", headers=headers)
    return str(lines[-1]["address"])
