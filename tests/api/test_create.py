from __future__ import annotations

import re

import pytest

from api.service import (
    ACME_KEY,
    ACME_ORIGIN,
    TENANTS,
    ZETA_KEY,
    Service,
    bearer,
    open_service,
)

UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def test_create_answers_exactly_the_published_fields(service: Service) -> None:
    answer = service.http.simulate_post("/auth/create-session")
    id = answer.json["session_id"]
    assert answer.status_code == 200
    assert re.fullmatch(UUID4, id)
    assert answer.json == {
        "session_id": id,
        "expires_in_minutes": 30,
        "iframe_url": f"/client/iframe.html?session_id={id}",
        "storage": "memory",
    }


def test_minutes_that_are_not_whole_are_a_fraction() -> None:
    service = open_service(sessions={"ticket_ttl_s": 90})
    assert service.http.simulate_post("/auth/create-session").json["expires_in_minutes"] == 1.5


def test_subject_and_claims_come_back_at_the_redeem(service: Service) -> None:
    claims = {
        "plano": "ouro",
        "níveis": [1, 2.5, None, True, 2**64, -(2**63) - 1],
        "deep": {"a": "\u0000\n"},
    }
    id = service.create({"subject": "Ana Álvares", "claims": claims})
    redeemed = service.redeem(id).json
    assert redeemed["subject"] == "Ana Álvares"
    assert redeemed["claims"] == claims


@pytest.mark.parametrize("subject", ["می\u200cخواه", "Ana\u00a0Souza", "👩\u200d💻", "a\u00adb"])
def test_names_are_taken_as_people_write_them(service: Service, subject: str) -> None:
    assert service.redeem(service.create({"subject": subject})).json["subject"] == subject


@pytest.mark.parametrize("character", ["\0", "\n", "\x7f", "\x85", "\u2028", "\u2029"])
def test_control_characters_in_a_subject_are_malformed(service: Service, character: str) -> None:
    answer = service.http.simulate_post(
        "/auth/create-session", json={"subject": f"ana{character}eva"}
    )
    assert answer.status_code == 400
    assert service.total_created() == 0


@pytest.mark.parametrize("body", ["[]", "null", '"{}"', "1"])
def test_what_is_no_object_is_told_so_in_words(service: Service, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    answer = service.http.simulate_post("/auth/create-session", body=body, headers=headers)
    assert (answer.status_code, answer.json["detail"]) == (400, "the body must be a JSON object")


def test_nulls_in_the_body_are_as_good_as_nothing(service: Service) -> None:
    id = service.create({"subject": None, "origin": None, "claims": None})
    assert service.redeem(id).json["subject"] is None


def test_a_repeat_with_the_same_idempotency_key_gets_the_same_ticket(service: Service) -> None:
    send = {"json": {"subject": "ana"}, "headers": {"Idempotency-Key": "order 4711"}}
    first = service.http.simulate_post("/auth/create-session", **send)
    second = service.http.simulate_post("/auth/create-session", **send)
    assert first.json == second.json
    assert service.total_created() == 1


def test_equal_contents_are_equal_however_they_are_written(service: Service) -> None:
    def create(key: str, body: str) -> int:
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        answer = service.http.simulate_post("/auth/create-session", body=body, headers=headers)
        return answer.status_code

    assert create("order", '{"subject": "ana", "claims": {"a": {"x": 1, "y": 2}, "b": 3}}') == 200
    assert create("order", '{"claims":{"b":3,"a":{"y":2,"x":1}},"subject":"\\u0061na"}') == 200
    assert create("empty", "{}") == 200
    assert create("empty", '{"claims": {}}') == 200
    assert create("empty", "") == 200
    assert service.total_created() == 2


def test_the_same_idempotency_key_for_another_subject_is_a_conflict(service: Service) -> None:
    headers = {"Idempotency-Key": "order 4711"}
    service.http.simulate_post("/auth/create-session", json={"subject": "ana"}, headers=headers)
    answer = service.http.simulate_post(
        "/auth/create-session", json={"subject": "eva"}, headers=headers
    )
    assert answer.status_code == 409
    assert answer.json["type"] == "urn:guarita:problem:conflict"


@pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel", "tab\there"])
def test_an_idempotency_key_that_is_not_one_is_malformed(service: Service, key: str) -> None:
    answer = service.http.simulate_post("/auth/create-session", headers={"Idempotency-Key": key})
    assert answer.status_code == 400
    assert service.total_created() == 0


def test_the_limit_is_429_and_leaves_nothing_behind() -> None:
    service = open_service(sessions={"max_sessions": 2})
    service.create()
    service.create()
    answer = service.http.simulate_post("/auth/create-session")
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.json["retry_after_ms"] >= 1
    assert service.total_created() == 2


def test_the_limit_counts_tickets_that_live(service: Service) -> None:
    service = open_service(sessions={"max_sessions": 1})
    service.create()
    service.clock.now += 1802
    service.create()


def test_every_tenants_key_creates_and_the_old_one_works_during_a_change() -> None:
    acme = TENANTS[0] | {"key_sha256": ["0" * 64, TENANTS[0]["key_sha256"]]}
    service = open_service(security={"tenants": [acme, TENANTS[1]]})
    service.create(key=ACME_KEY)
    service.create(key=ZETA_KEY)


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {ACME_KEY}", ACME_KEY, "Bearer \xff"],
)
def test_without_a_valid_api_key_nothing_is_created(
    tenants: Service, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    for method, path in (
        ("POST", "/auth/create-session"),
        ("POST", "/auth/revoke"),
        ("GET", "/auth/session-status"),
    ):
        answer = tenants.http.simulate_request(method, path, headers=headers)
        assert answer.status_code == 403
        assert answer.json["type"] == "urn:guarita:problem:forbidden"
    assert tenants.total_created(ACME_KEY) == 0


def test_a_tenants_own_origin_is_accepted(tenants: Service) -> None:
    tenants.create({"origin": ACME_ORIGIN}, key=ACME_KEY)


@pytest.mark.parametrize(
    "origin",
    [
        "https://zeta.example",
        "http://acme.example",
        "https://evil-acme.example",
        "https://acme.example.evil.example",
        "https://acme.example:444",
    ],
)
def test_an_origin_that_is_not_on_the_tenants_list_is_forbidden(
    tenants: Service, origin: str
) -> None:
    answer = tenants.http.simulate_post(
        "/auth/create-session", json={"origin": origin}, headers=bearer(ACME_KEY)
    )
    assert answer.status_code == 403
    assert tenants.total_created(ACME_KEY) == 0


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "*",
        "https://*.acme.example",
        "https://acme.example/",
        "https://ACME.example",
        "https://acme.example; script-src *",
        "https://acme.example\nX: y",
        "https://user@acme.example",
        "https://acme.example:99999",
        "ftp://acme.example",
        "acme.example",
    ],
)
def test_what_is_no_origin_is_malformed(service: Service, origin: str) -> None:
    answer = service.http.simulate_post("/auth/create-session", json={"origin": origin})
    assert answer.status_code == 400
    assert service.total_created() == 0
