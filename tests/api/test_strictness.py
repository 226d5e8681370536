"""Wrong input of every kind: 400, nothing stored, nothing used, no traceback."""

from __future__ import annotations

from typing import Any

import pytest

from api.service import ATTEMPT, UNKNOWN_ID, Service

JSON = {"Content-Type": "application/json"}
GOOD = "0b5c8f3e-6a0f-4f0e-9a3e-6d2f1c4b7a90"

WRONG_IDS = {
    "empty": "",
    "nil": "00000000-0000-0000-0000-000000000000",
    "max": "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "version 1": "0b5c8f3e-6a0f-1f0e-9a3e-6d2f1c4b7a90",
    "version 7": "0b5c8f3e-6a0f-7f0e-9a3e-6d2f1c4b7a90",
    "wrong variant": "0b5c8f3e-6a0f-4f0e-ca3e-6d2f1c4b7a90",
    "upper case": GOOD.upper(),
    "no dashes": GOOD.replace("-", ""),
    "braces": "{" + GOOD + "}",
    "urn": "urn:uuid:" + GOOD,
    "space around": f" {GOOD} ",
    "line end": GOOD + "\n",
    "nul": GOOD + "\0",
    "other digits": GOOD.replace("0", "\u0660"),
    "10 kB": "a" * 10_000,
    "region where there is none": "eu-west." + GOOD,
    "path": "../../" + GOOD,
}


@pytest.mark.parametrize("id", WRONG_IDS.values(), ids=WRONG_IDS)
def test_a_wrong_id_is_malformed_everywhere(service: Service, id: str) -> None:
    answers = [
        service.http.simulate_get("/auth/validate-session", params={"session_id": id}),
        service.http.simulate_get("/client/iframe.html", params={"session_id": id}),
        service.redeem(id),
        service.http.simulate_post("/auth/revoke", json={"session_id": id}),
    ]
    assert [answer.status_code for answer in answers] == [400] * 4
    for answer in answers:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json["type"] == "urn:guarita:problem:malformed"
        assert "Traceback" not in answer.text
    assert service.total_created() == 0


@pytest.mark.parametrize(
    "query",
    [
        "",
        "session_id",
        f"session_id={GOOD}&session_id={GOOD}",
        f"session_id={GOOD}&session%5Fid={UNKNOWN_ID}",
        f"session_id=&session_id={GOOD}",
        f"session_id={GOOD},{GOOD}",
        f"session_id[]={GOOD}",
        f"SESSION_ID={GOOD}",
        "session_id=%00",
        "session_id=%ff%fe",
        "session_id=%zz",
        "session_id=%",
        f"session_id={GOOD}%00",
        f"session_id=%C0%B0{GOOD[1:]}",
    ],
)
def test_a_query_without_exactly_one_id_is_malformed(service: Service, query: str) -> None:
    answer = service.http.simulate_get("/auth/validate-session", query_string=query)
    assert answer.status_code == 400
    assert answer.json["type"] == "urn:guarita:problem:malformed"


def test_other_query_parameters_do_not_matter(service: Service) -> None:
    id = service.create()
    answer = service.http.simulate_get(
        "/auth/validate-session", query_string=f"utm=a&session_id={id}&utm=b"
    )
    assert answer.status_code == 200


WRONG_BODIES = {
    "not JSON": b"{",
    "empty list": b"[]",
    "text": b'"x"',
    "number": b"1",
    "null": b"null",
    "no UTF-8": b'{"subject": "\xff"}',
    "UTF-16": '{"subject": "a"}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "NaN": b'{"claims": {"a": NaN}}',
    "Infinity": b'{"claims": {"a": Infinity}}',
    "too large a number": b'{"claims": {"a": 1e999}}',
    "too many digits": b'{"claims": {"a": ' + b"9" * 5000 + b"}}",
    "name twice": b'{"subject": "a", "subject": "b"}',
    "name twice inside": b'{"claims": {"a": {"b": 1, "b": 2}}}',
    "half a surrogate": b'{"subject": "\\ud800"}',
    "half a surrogate inside": b'{"claims": {"a": "\\udfff"}}',
    "half a surrogate as a name": b'{"claims": {"\\udfff": 1}}',
    "too deep for Python": b'{"claims": {"a": ' + b"[" * 7000 + b"]" * 7000 + b"}}",
    "too deep": b'{"claims": {"a": ' + b"[" * 17 + b"]" * 17 + b"}}",
    "only open brackets": b"[" * 16_000,
    "trailing text": b"{} {}",
    "comment": b"{/**/}",
    "NUL": b"{}\0",
    "unknown member": b'{"user": "a"}',
    "unknown empty member": b'{"": 1}',
    "proto": b'{"__proto__": {}}',
    "subject is a number": b'{"subject": 1}',
    "subject is true": b'{"subject": true}',
    "subject is a list": b'{"subject": ["a"]}',
    "subject is empty": b'{"subject": ""}',
    "subject is long": b'{"subject": "' + b"a" * 257 + b'"}',
    "subject with a line end": b'{"subject": "a\\nb"}',
    "subject with NUL": b'{"subject": "a\\u0000"}',
    "origin is a list": b'{"origin": ["https://a.example"]}',
    "claims are a list": b'{"claims": []}',
    "claims are text": b'{"claims": "{}"}',
    "claims are long": b'{"claims": {"a": "' + b"a" * 4089 + b'"}}',
}


@pytest.mark.parametrize("body", WRONG_BODIES.values(), ids=WRONG_BODIES)
def test_a_wrong_body_creates_nothing(service: Service, body: bytes) -> None:
    answer = service.http.simulate_post("/auth/create-session", body=body, headers=JSON)
    assert answer.status_code == 400, answer.text
    assert answer.json["type"] == "urn:guarita:problem:malformed"
    assert service.total_created() == 0


def test_claims_as_long_and_as_deep_as_allowed_come_back(service: Service) -> None:
    deep: Any = "x"
    for _ in range(15):
        deep = [deep]
    for claims in ({"a": "a" * 4088}, {"a": "é" * 2044}, {"a": deep}):
        assert service.redeem(service.create({"claims": claims})).json["claims"] == claims


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json-seq", "\xff"]
)
def test_a_body_that_does_not_say_it_is_json_is_malformed(service: Service, kind: str) -> None:
    headers = {"Content-Type": kind}
    assert _post(service, "/auth/create-session", b"{}", headers) == 400
    assert _post(service, "/auth/redeem", b"{}", headers) == 400


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
def test_json_may_carry_parameters(service: Service, kind: str) -> None:
    assert _post(service, "/auth/create-session", b"{}", {"Content-Type": kind}) == 200


def test_a_body_over_16_kib_is_too_large(service: Service) -> None:
    fits, larger = b"{}" + b" " * 16_382, b"{}" + b" " * 16_383
    assert _post(service, "/auth/create-session", fits, JSON) == 200
    answer = service.http.simulate_post("/auth/create-session", body=larger, headers=JSON)
    assert answer.status_code == 413
    assert answer.json["type"] == "urn:guarita:problem:too-large"


@pytest.mark.parametrize("id", [1, None, [GOOD], {"a": GOOD}, True])
def test_an_id_that_is_not_text_is_malformed(service: Service, id: Any) -> None:
    body = {"session_id": id, "attempt": ATTEMPT}
    assert service.http.simulate_post("/auth/redeem", json=body).status_code == 400


@pytest.mark.parametrize("attempt", ["short", "x" * 129, "with\nline", "naïve-attempt", 12345678])
def test_an_attempt_that_is_not_one_is_malformed_and_uses_nothing(
    service: Service, attempt: Any
) -> None:
    id = service.create()
    assert service.redeem(id, attempt).status_code == 400
    assert service.redeem(id).status_code == 200


@pytest.mark.parametrize("missing", ["session_id", "attempt"])
def test_a_redeem_needs_id_and_attempt(service: Service, missing: str) -> None:
    body = {"session_id": GOOD, "attempt": ATTEMPT}
    del body[missing]
    answer = service.http.simulate_post("/auth/redeem", json=body)
    assert answer.status_code == 400
    assert missing in answer.json["detail"]


@pytest.mark.parametrize("cookie", ["true", 1, 0])
def test_cookie_is_true_or_false(service: Service, cookie: Any) -> None:
    assert service.redeem(service.create(), cookie=cookie).status_code == 400


def test_a_value_that_was_sent_is_never_in_the_answer(service: Service) -> None:
    answers = [
        service.redeem("planted-value"),
        service.http.simulate_post("/auth/create-session", json={"planted-value": 1}),
        service.http.simulate_post("/auth/create-session", json={"origin": "planted-value"}),
        service.http.simulate_get("/auth/validate-session", params={"session_id": "planted-value"}),
        service.http.simulate_get("/planted-value"),
    ]
    for answer in answers:
        assert "planted-value" not in answer.text


def _post(service: Service, path: str, body: bytes, headers: dict[str, str]) -> int:
    return service.http.simulate_post(path, body=body, headers=headers).status_code
