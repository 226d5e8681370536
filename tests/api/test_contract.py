"""The API against its contract, `openapi.yaml`: generated requests, and our own examples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from jsonschema import Draft202012Validator, FormatChecker
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from guarita.api.health import contract

from api.service import ACME_KEY, ATTEMPT, TENANTS, bearer, open_service

SERVICE = open_service(
    security={"tenants": TENANTS}, demo={"enabled": True}, sessions={"max_sessions": 0}
)
schema = schemathesis.openapi.from_wsgi("/openapi.json", SERVICE.app)


@schema.parametrize()
@settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_in_the_contract(case: schemathesis.Case) -> None:
    needs_key = case.operation.label.split()[1] in {
        "/auth/create-session",
        "/auth/revoke",
        "/auth/session-status",
    }
    case.call_and_validate(
        headers=bearer(ACME_KEY) if needs_key else None,
        checks=[
            not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_headers_conformance,
            response_schema_conformance,
            unsupported_method,
        ],
    )


def test_answers_to_real_calls_are_in_the_contract() -> None:
    """The calls that generated input hardly makes: those about a ticket that exists."""
    key = bearer(ACME_KEY)
    http = SERVICE.http
    created = http.simulate_post("/auth/create-session", json={"claims": {"a": 1}}, headers=key)
    id = created.json["session_id"]
    redeemed = SERVICE.redeem(id, ATTEMPT, cookie=True)
    token = bearer(redeemed.json["session_token"])
    answers = {
        ("post", "/auth/create-session"): created,
        ("post", "/auth/redeem"): redeemed,
        ("get", "/auth/verify"): http.simulate_get("/auth/verify", headers=token),
        ("get", "/demo/content"): http.simulate_get("/demo/content", headers=token),
        ("get", "/auth/session-status"): http.simulate_get("/auth/session-status", headers=key),
        ("get", "/auth/validate-session"): http.simulate_get(
            "/auth/validate-session", params={"session_id": SERVICE.create(key=ACME_KEY)}
        ),
        ("get", "/auth/redis-health"): http.simulate_get("/auth/redis-health"),
    }
    for (method, path), answer in answers.items():
        assert answer.status_code == 200, (path, answer.text)
        response = contract()["paths"][path][method]["responses"]["200"]
        _check(answer.json, response["content"]["application/json"]["schema"])


def _examples() -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Every example of the contract with its schema."""

    def walk(node: Any, where: str) -> Iterator[tuple[str, dict[str, Any], Any]]:
        if isinstance(node, dict):
            if "examples" in node and "schema" in node:
                for name, example in node["examples"].items():
                    yield f"{where}/{name}", node["schema"], example["value"]
            for name, inner in node.items():
                yield from walk(inner, f"{where}/{name}")

    yield from walk(contract(), "")


@pytest.mark.parametrize(("where", "schema_", "example"), [*_examples()], ids=lambda v: str(v)[:60])
def test_every_example_is_what_its_schema_says(
    where: str, schema_: dict[str, Any], example: Any
) -> None:
    _check(example, schema_)


def test_every_route_is_in_the_contract() -> None:
    for path, operations in contract()["paths"].items():
        for method in operations:
            answer = SERVICE.http.simulate_request(method.upper(), path)
            assert answer.status_code not in (404, 405), path


def test_every_json_answer_has_an_example() -> None:
    missing = [
        f"{path} {status}"
        for path, operations in contract()["paths"].items()
        for operation in operations.values()
        for status, response in operation["responses"].items()
        for kind, media in response.get("content", {}).items()
        if kind.endswith("json") and "examples" not in media and path != "/openapi.json"
    ]
    assert missing == []


def _check(value: Any, schema_: dict[str, Any]) -> None:
    document = {**schema_, "components": contract()["components"]}
    Draft202012Validator(document, format_checker=FormatChecker()).validate(value)
