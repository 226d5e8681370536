from __future__ import annotations

import re
import threading

import pytest

from api.service import (
    ACME_KEY,
    ATTEMPT,
    UNKNOWN_ID,
    ZETA_KEY,
    Service,
    bearer,
    open_service,
)

REFUSED = {
    "type": "urn:guarita:problem:not-acceptable",
    "title": "Not acceptable",
    "status": 401,
    "detail": "This ticket or session is not acceptable; ask for a new ticket.",
}


def test_validate_answers_exactly_the_published_fields_and_uses_the_ticket(
    service: Service,
) -> None:
    id = service.create()
    answer = service.http.simulate_get("/auth/validate-session", params={"session_id": id})
    assert answer.status_code == 200
    assert answer.json == {
        "valid": True,
        "message": "Session is valid and is now marked as used",
        "session_id": id,
        "storage": "memory",
    }
    again = service.http.simulate_get("/auth/validate-session", params={"session_id": id})
    assert again.status_code == 401
    assert again.json == REFUSED


def test_validate_with_the_same_idempotency_key_succeeds_again(service: Service) -> None:
    id = service.create()

    def validate(key: str) -> int:
        return service.http.simulate_get(
            "/auth/validate-session",
            params={"session_id": id},
            headers={"Idempotency-Key": key},
        ).status_code

    assert [validate("a"), validate("a"), validate("b"), validate("a")] == [200, 200, 401, 200]


def test_head_uses_nothing(service: Service) -> None:
    id = service.create()
    answer = service.http.simulate_head("/auth/validate-session", params={"session_id": id})
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]
    assert service.redeem(id).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        {"Sec-Purpose": "prefetch"},
        {"Sec-Purpose": "prefetch;prerender"},
        {"Purpose": "prefetch"},
        {"X-Moz": "prefetch"},
    ],
)
def test_a_prefetch_uses_nothing(service: Service, header: dict[str, str]) -> None:
    id = service.create()
    answer = service.http.simulate_get(
        "/auth/validate-session", params={"session_id": id}, headers=header
    )
    assert answer.status_code == 403
    assert service.redeem(id).status_code == 200


def test_redeem_answers_token_expiry_subject_and_claims(service: Service) -> None:
    answer = service.redeem(service.create({"subject": "ana", "claims": {"plan": "gold"}}))
    assert answer.status_code == 200
    token = answer.json["session_token"]
    assert re.fullmatch(r"[A-Za-z0-9_-]{64}", token)
    assert answer.json == {
        "session_token": token,
        "expires_at": "2027-01-15T08:30:00.000Z",
        "subject": "ana",
        "claims": {"plan": "gold"},
    }
    assert "Set-Cookie" not in answer.headers


def test_the_same_attempt_gets_the_same_answer_and_another_is_refused(service: Service) -> None:
    id = service.create()
    first, second = service.redeem(id), service.redeem(id)
    assert first.json == second.json
    assert service.redeem(id, "another-attempt").json == REFUSED


def test_of_parallel_redeems_exactly_one_is_admitted(service: Service) -> None:
    id = service.create()
    statuses = []

    def redeem(number: int) -> None:
        statuses.append(service.redeem(id, f"attempt-{number:04}").status_code)

    threads = [threading.Thread(target=redeem, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [401] * 99


def test_unknown_used_expired_and_revoked_look_alike(service: Service) -> None:
    used, expired, revoked = service.create(), service.create(), service.create()
    service.redeem(used)
    service.http.simulate_post("/auth/revoke", json={"session_id": revoked})
    answers = [service.redeem(id, "another-attempt") for id in (UNKNOWN_ID, used, revoked)]
    service.clock.now += 1802
    answers.append(service.redeem(expired))
    assert {answer.text for answer in answers} == {service.redeem(UNKNOWN_ID).text}
    for answer in answers:
        assert answer.json == REFUSED
        names = {name.lower() for name in answer.headers} - {"x-request-id"}
        assert names == {name.lower() for name in answers[0].headers} - {"x-request-id"}


def test_the_cookie_is_a_partitioned_host_cookie(service: Service) -> None:
    answer = service.redeem(service.create(), cookie=True)
    name_and_value, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert name_and_value == "__Host-guarita=" + answer.json["session_token"]
    assert sorted(attributes) == [
        "HttpOnly",
        "Max-Age=1800",
        "Partitioned",
        "Path=/",
        "SameSite=None",
        "Secure",
    ]


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", "nonsense"])
def test_a_browser_redeems_from_our_own_page_only(service: Service, site: str) -> None:
    id = service.create()
    assert service.redeem(id, headers={"Sec-Fetch-Site": site}).status_code == 403
    assert service.redeem(id, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_verify_names_subject_and_hashed_session(service: Service) -> None:
    id = service.create({"subject": "ana"})
    answer = service.http.simulate_get("/auth/verify", headers=bearer(service.token(id)))
    assert answer.status_code == 200
    assert answer.headers["X-Guarita-Subject"] == "ana"
    assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["X-Guarita-Session"])
    assert answer.json == {"subject": "ana", "expires_at": "2027-01-15T08:30:00.000Z"}


@pytest.mark.parametrize(
    ("subject", "header"),
    [
        ("ana@example.com", "ana@example.com"),
        ("Ana Á%", "Ana%20%C3%81%25"),
        ('a,b;c="d"', 'a,b;c="d"'),
        ("会", "%E4%BC%9A"),
        (None, ""),
    ],
)
def test_the_subjects_header_is_percent_encoded(
    service: Service, subject: str | None, header: str
) -> None:
    token = service.token(service.create({"subject": subject}))
    answer = service.http.simulate_get("/auth/verify", headers=bearer(token))
    assert answer.headers["X-Guarita-Subject"] == header


def test_verify_takes_the_cookie_and_the_bearer_wins(service: Service) -> None:
    ana = service.token(service.create({"subject": "ana"}))
    eva = service.token(service.create({"subject": "eva"}))

    def verify(**send: dict[str, str]) -> tuple[int, str]:
        answer = service.http.simulate_get("/auth/verify", **send)
        return answer.status_code, answer.headers.get("X-Guarita-Subject", "")

    cookies = {"__Host-guarita": ana}
    assert verify(cookies=cookies) == (200, "ana")
    assert verify(cookies=cookies, headers=bearer(eva)) == (200, "eva")
    assert verify(cookies=cookies, headers=bearer("garbage")) == (401, "")


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_the_cookie_proves_nothing_in_a_request_of_another_site(
    service: Service, site: str
) -> None:
    token = service.token(service.create())
    sent = {"cookies": {"__Host-guarita": token}, "headers": {"Sec-Fetch-Site": site}}
    assert service.http.simulate_get("/auth/verify", **sent).status_code == 401
    assert service.http.simulate_get("/demo/content", **sent).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"Authorization": "Bearer " + "A" * 64},
        {"Authorization": "Bearer " + "A" * 8000},
        {"Authorization": "Bearer \xff"},
        {"Authorization": "Bearer eu-west." + "A" * 64},
        {"Authorization": f"Bearer {UNKNOWN_ID}"},
        {"Cookie": "__Host-guarita="},
        {"Cookie": "__Host-guarita=garbage"},
        {"Cookie": "__Host-guarita=" + "A" * 64},
        {"Cookie": "__Host-guarita=\xff; ="},
        {"Cookie": ";;;==="},
    ],
)
def test_a_garbage_credential_is_not_acceptable(service: Service, headers: dict[str, str]) -> None:
    answer = service.http.simulate_get("/auth/verify", headers=headers)
    assert answer.status_code == 401
    assert answer.json == REFUSED


def test_two_cookies_of_our_name_are_not_acceptable(service: Service) -> None:
    token = service.token(service.create())
    headers = {"Cookie": f"__Host-guarita={token}; __Host-guarita={token}"}
    assert service.http.simulate_get("/auth/verify", headers=headers).status_code == 401


def test_a_ticket_is_no_session_token(service: Service) -> None:
    id = service.create()
    service.redeem(id)
    assert service.http.simulate_get("/auth/verify", headers=bearer(id)).status_code == 401


def test_a_session_ends_with_its_time(service: Service) -> None:
    service = open_service(sessions={"session_ttl_s": 60})
    token = service.token(service.create())
    service.clock.now += 61
    assert service.http.simulate_get("/auth/verify", headers=bearer(token)).status_code == 401


def test_revoke_ends_a_ticket_and_a_session(service: Service) -> None:
    ticket, session = service.create(), service.create()
    token = service.token(session)
    for id in (ticket, session, ticket, UNKNOWN_ID):
        answer = service.http.simulate_post("/auth/revoke", json={"session_id": id})
        assert (answer.status_code, answer.text) == (204, "")
    assert service.redeem(ticket).status_code == 401
    assert service.http.simulate_get("/auth/verify", headers=bearer(token)).status_code == 401


def test_revoke_ends_all_of_a_subject_and_nothing_else(service: Service) -> None:
    ana = [service.token(service.create({"subject": "ana"})) for _ in range(2)]
    eva = service.token(service.create({"subject": "eva"}))
    answer = service.http.simulate_post("/auth/revoke", json={"subject": "ana"})
    assert answer.status_code == 204
    statuses = [
        service.http.simulate_get("/auth/verify", headers=bearer(token)).status_code
        for token in (*ana, eva)
    ]
    assert statuses == [401, 401, 200]


@pytest.mark.parametrize("body", [{}, {"subject": None}, {"subject": ""}, {"subject": "a\nb"}])
def test_revoke_wants_exactly_one_of_id_and_subject(service: Service, body: object) -> None:
    assert service.http.simulate_post("/auth/revoke", json=body).status_code == 400
    both = {"subject": "ana", "session_id": UNKNOWN_ID}
    assert service.http.simulate_post("/auth/revoke", json=both).status_code == 400


def test_a_tenant_revokes_only_its_own(tenants: Service) -> None:
    id = tenants.create({"subject": "ana"}, key=ACME_KEY)
    for body in ({"session_id": id}, {"subject": "ana"}):
        answer = tenants.http.simulate_post("/auth/revoke", json=body, headers=bearer(ZETA_KEY))
        assert answer.status_code == 204
    token = tenants.token(id)
    assert tenants.http.simulate_get("/auth/verify", headers=bearer(token)).status_code == 200
    tenants.http.simulate_post("/auth/revoke", json={"session_id": id}, headers=bearer(ACME_KEY))
    assert tenants.http.simulate_get("/auth/verify", headers=bearer(token)).status_code == 401


def test_the_demos_content_needs_a_session(service: Service) -> None:
    assert service.http.simulate_get("/demo/content").status_code == 401
    token = service.token(service.create({"subject": "Ana"}))
    english = service.http.simulate_get("/demo/content", headers=bearer(token))
    assert english.json["subject"] == "Ana"
    assert english.json["greeting"].startswith("Hello, Ana!")
    portuguese = service.http.simulate_get(
        "/demo/content", headers=bearer(token) | {"Accept-Language": "pt"}
    )
    assert portuguese.json["greeting"].startswith("Olá, Ana!")


def test_without_the_demo_there_is_no_content() -> None:
    assert open_service().http.simulate_get("/demo/content").status_code == 404


def test_the_attempt_of_another_ticket_gives_another_token(service: Service) -> None:
    first, second = service.create(), service.create()
    tokens = {service.redeem(id, ATTEMPT).json["session_token"] for id in (first, second)}
    assert len(tokens) == 2
