from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import structlog

from guarita import logs
from guarita.errors import ConfigError, StoreUnavailable

from api.service import (
    ACME_KEY,
    ATTEMPT,
    TENANTS,
    UNKNOWN_ID,
    FailingStore,
    Service,
    bearer,
    make_settings,
    open_service,
)

PASSWORD = "planted-password-of-the-store"
SECRET = "planted-secret-of-32-characters-or-more"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Logging as it was: it is the same for the whole process."""
    names = ("", logs.SECURITY)
    before = [(name, [*logging.getLogger(name).handlers]) for name in names]
    levels = [(name, logging.getLogger(name).level) for name in names]
    yield
    for name, handlers in before:
        for handler in [*logging.getLogger(name).handlers]:
            if handler not in handlers:
                logging.getLogger(name).removeHandler(handler)
                handler.close()
    for name, level in levels:
        logging.getLogger(name).setLevel(level)
    structlog.reset_defaults()


def configure(stream: io.StringIO, **settings: Any) -> None:
    sections = {
        "store": {"topology": "memory", "data": {"password": PASSWORD}},
        "security": {"secret": SECRET},
    }
    logs.configure(make_settings(**sections, logs=settings), stream=stream)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_no_secret_reaches_any_log(tmp_path: Path) -> None:
    stream = io.StringIO()
    configure(
        stream,
        level="debug",
        file=str(tmp_path / "app.log"),
        security_file=str(tmp_path / "security.log"),
    )
    planted = _use_everything()
    _fail_with(*planted)
    written = stream.getvalue()
    for file in (tmp_path / "app.log", tmp_path / "security.log"):
        assert file.stat().st_size > 0
        written += file.read_text()
    for value in (*planted, PASSWORD, SECRET):
        assert value not in written, value


def _use_everything() -> list[str]:
    """Calls with every kind of secret in every place; returns the secrets."""
    service = open_service(security={"tenants": TENANTS}, demo={"enabled": True})
    id = service.create({"subject": "ana"}, key=ACME_KEY)
    token = service.token(id)
    http = service.http
    page = {"Referer": f"https://host.example/?session_id={id}", "Cookie": f"a={token}"}
    http.simulate_get("/client/iframe.html", params={"session_id": id}, headers=page)
    http.simulate_get(f"/auth/{id}/{token}", params={"session_id": id}, headers=bearer(token))
    http.simulate_get("/auth/verify", headers=bearer(token), cookies={"__Host-guarita": token})
    http.simulate_get("/auth/verify", headers=bearer(ACME_KEY))
    http.simulate_post("/auth/create-session", headers=bearer(token))
    http.simulate_get("/auth/validate-session", params={"session_id": [id, id]})
    service.redeem(id, "planted-attempt")
    service.redeem(f"{id} {token}", "planted-attempt")
    http.simulate_post("/auth/revoke", json={"session_id": id}, headers=bearer(ACME_KEY))
    return [id, token, ACME_KEY, "planted-attempt", ATTEMPT]


def _fail_with(id: str, token: str, key: str, *_: str) -> None:
    """Exceptions and other loggers that name what they should not."""
    text = f"redis://user:{PASSWORD}@10.0.0.1 {PASSWORD} {SECRET} id={id.upper()} session_id={id}"
    service = open_service(FailingStore(StoreUnavailable(text)))
    service.redeem(id)
    for level in (logging.DEBUG, logging.ERROR):
        logging.getLogger("other").log(level, "GET /?session_id=%s Bearer %s", id, key)
    try:
        _raise(f"{text} __Host-guarita={token}; {{'Authorization': 'Bearer {key}'}}")
    except RuntimeError:
        logging.getLogger("other").exception("failed")
        structlog.stdlib.get_logger("other").exception("failed", details={id: [token, {"a": id}]})


def _raise(text: str) -> NoReturn:
    raise RuntimeError(text)


def test_the_hash_of_an_id_is_not_hidden() -> None:
    stream = io.StringIO()
    configure(stream)
    service = open_service()
    id = service.create()
    tickets = {line.get("ticket") for line in lines(stream.getvalue())} - {None}
    assert len(tickets) == 1
    assert id not in stream.getvalue()


def test_production_writes_one_json_object_a_line() -> None:
    stream = io.StringIO()
    configure(stream)
    open_service().http.simulate_get("/livez", headers={"X-Request-Id": UNKNOWN_ID})
    (line,) = lines(stream.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line.pop("duration_ms") >= 0
    assert line == {
        "event": "request",
        "level": "info",
        "logger": "guarita.access",
        "request_id": UNKNOWN_ID,
        "method": "GET",
        "path": "/livez",
        "status": 200,
        "address": "127.0.0.1",
    }


@pytest.mark.parametrize(
    ("format", "stream", "is_json"),
    [
        ("auto", io.StringIO, True),
        ("auto", Terminal, False),
        ("json", Terminal, True),
        ("text", io.StringIO, False),
    ],
)
def test_a_terminal_gets_text(format: str, stream: type[io.StringIO], is_json: bool) -> None:
    written = stream()
    configure(written, format=format)
    logging.getLogger("other").warning("something happened")
    assert "something happened" in written.getvalue()
    assert written.getvalue().startswith("{") is is_json


def test_an_exception_is_one_line_with_its_traceback() -> None:
    stream = io.StringIO()
    configure(stream)
    try:
        _raise("the reason")
    except RuntimeError:
        logging.getLogger("other").exception("failed")
    (line,) = lines(stream.getvalue())
    assert "RuntimeError: the reason" in line["exception"]


@pytest.mark.parametrize("format", ["json", "text"])
def test_a_callers_words_make_no_second_line_and_no_terminal_code(format: str) -> None:
    stream = io.StringIO()
    configure(stream, format=format)
    open_service().http.simulate_get("/a%0A{}%1B[31m%C2%9B31m%C2%85%E2%80%A8")
    logging.getLogger("other").warning("about %s", "a\nforged \x1b[31m \x9b31m\u2028")
    structlog.stdlib.get_logger("other").warning("it", path="/x\x1b[31m\x85", of=["\x1b\u2028"])
    assert len(stream.getvalue().splitlines()) == 3
    assert not re.search(r"[\x1b\x9b]", stream.getvalue())


def test_less_severe_entries_are_left_out_but_for_the_security_file(tmp_path: Path) -> None:
    stream = io.StringIO()
    configure(stream, level="error", security_file=str(tmp_path / "new" / "security.log"))
    open_service().create()
    assert stream.getvalue() == ""
    (event,) = lines((tmp_path / "new" / "security.log").read_text())
    assert event["event"] == "create"


def test_security_events_say_who_what_and_how_it_ended() -> None:
    stream = io.StringIO()
    configure(stream)
    service = open_service(security={"tenants": TENANTS})
    id = service.create({"origin": "https://acme.example"}, key=ACME_KEY)
    for attempt in (ATTEMPT, ATTEMPT, "another-attempt"):
        service.redeem(id, attempt)
    service.redeem(UNKNOWN_ID)
    _refuse_and_revoke(service, id)
    events = [line for line in lines(stream.getvalue()) if line["logger"] == logs.SECURITY]
    summary = [(e["event"], e["outcome"], e.get("reason"), e.get("tenant")) for e in events]
    assert summary == [
        ("create", "ok", None, "acme"),
        ("redeem", "admitted", None, "acme"),
        ("redeem", "repeated", None, "acme"),
        ("replay", "refused", "used", "acme"),
        ("redeem", "refused", "unknown", None),
        ("key", "refused", None, None),
        ("origin", "refused", None, "acme"),
        ("revoke", "ok", None, "acme"),
        ("revoke", "unknown", None, "acme"),
        ("revoke", "subject", None, "acme"),
    ]
    for event in events:
        assert event["address"] == "127.0.0.1"
        assert event["request_id"]
        assert event["timestamp"].endswith("Z")
    assert [e["origin"] for e in events[:4]] == ["https://acme.example"] * 4
    assert len({e["ticket"] for e in (*events[:4], events[7])}) == 1


def test_tickets_and_tokens_that_are_refused_are_security_events_too() -> None:
    stream = io.StringIO()
    configure(stream)
    service = open_service(sessions={"max_sessions": 1}, demo={"enabled": True})
    id = service.create({"origin": "https://acme.example"})
    token = service.token(id)
    http = service.http
    http.simulate_post("/auth/create-session")
    http.simulate_get("/auth/verify")
    http.simulate_get("/auth/verify", headers=bearer(token[:-2] + "AA"))
    http.simulate_post("/auth/revoke", json={"session_id": id})
    http.simulate_get("/demo/content", headers=bearer(token))
    events = [line for line in lines(stream.getvalue()) if line["logger"] == logs.SECURITY]
    assert [(e["event"], e["reason"], e.get("origin")) for e in events if "reason" in e] == [
        ("create", "limit", None),
        ("verify", "bad_token", None),
        ("verify", "revoked", "https://acme.example"),
    ]
    exposed = http.simulate_get("/metrics").text
    for outcome in ("missing", "bad_token", "revoked"):
        assert f'guarita_verifies_total{{outcome="{outcome}"}}' in exposed


def _refuse_and_revoke(service: Service, id: str) -> None:
    http, key = service.http, bearer(ACME_KEY)
    http.simulate_post("/auth/create-session", headers=bearer("wrong"))
    http.simulate_post("/auth/create-session", json={"origin": "https://x.example"}, headers=key)
    http.simulate_post("/auth/revoke", json={"session_id": id}, headers=key)
    http.simulate_post("/auth/revoke", json={"session_id": UNKNOWN_ID}, headers=key)
    http.simulate_post("/auth/revoke", json={"subject": "ana"}, headers=key)


def test_files_that_cannot_be_written_are_named_together(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError) as raised:
        configure(
            io.StringIO(),
            file=str(tmp_path / "file" / "app.log"),
            security_file=str(tmp_path / "file" / "security.log"),
        )
    assert [problem.split(":")[0] for problem in raised.value.problems] == [
        "logs.file",
        "logs.security_file",
    ]


def test_configuring_twice_writes_each_line_once() -> None:
    stream = io.StringIO()
    configure(stream)
    configure(stream)
    logging.getLogger("other").warning("once")
    assert stream.getvalue().count("once") == 1


@pytest.mark.parametrize(
    "text",
    [
        UNKNOWN_ID,
        "A" * 64,
        "Basic\tcGxhbnRlZA",
        "://:p@",
        "attempt:x",
        "secret=x",
    ],
)
def test_the_shortest_secrets_are_hidden_too(text: str) -> None:
    assert logs.Redactor().hide(text) != text


def test_short_secrets_of_the_settings_are_hidden() -> None:
    assert logs.Redactor(["hunter2"]).hide("hunter2") == logs.HIDDEN


def test_every_destination_gets_the_whole_event(tmp_path: Path) -> None:
    stream = io.StringIO()
    configure(stream, file=str(tmp_path / "app.log"))
    try:
        int("planted")
    except ValueError:
        structlog.stdlib.get_logger("guarita.trial").exception("it failed", number=1)
    [first] = lines(stream.getvalue())
    [second] = lines((tmp_path / "app.log").read_text())
    assert first == second
    assert first["number"] == 1
    assert "ValueError: " in first["exception"]
