"""The demo host's backend, against a service that answers as each test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from guarita.web.demo.site import Site
from guarita.web.demo.tickets import ServiceUnavailable, TicketDesk, TicketRefused

KEY = "0123456789abcdef0123456789abcdef"
CREATED = (200, {"iframe_url": "/client/iframe.html?session_id=x"})
BUSY = (503, {"title": "Store unavailable", "retry_after_ms": 1})


class Service(ThreadingHTTPServer):
    """Gives the planned answers one by one, the last one for ever, and notes what it was asked."""

    daemon_threads = True

    def __init__(self, *answers: tuple[int, Any]) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.answers = list(answers)
        self.requests: list[tuple[str, dict[str, str], Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, dict(self.headers), body))
        answers = self.server.answers
        status, content = answers.pop(0) if len(answers) > 1 else answers[0]
        sent = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, format: str, *args: Any) -> None:
        """Tests read answers, not logs."""


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Host:
    """The demo site in front of one service."""

    service: Service
    site: Site = field(init=False)

    def __post_init__(self) -> None:
        self.site = Site(("127.0.0.1", 0), TicketDesk(self.service.url, "http://127.0.0.1:0"))
        self.origin = f"http://127.0.0.1:{self.site.server_port}"
        self.site.desk = TicketDesk(self.service.url, self.origin, deadline_s=2)

    def send(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[HTTPResponse, bytes]:
        connection = HTTPConnection("127.0.0.1", self.site.server_port, timeout=10)
        try:
            connection.request(
                method, path, body, {k.replace("_", "-"): v for k, v in headers.items()}
            )
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def ask(self, wish: object, **headers: str) -> tuple[int, dict[str, Any]]:
        headers = {"Origin": self.origin} | headers
        response, content = self.send("POST", "/ticket", json.dumps(wish).encode(), **headers)
        return response.status, json.loads(content)


@contextmanager
def hosting(*answers: tuple[int, Any]) -> Iterator[Host]:
    service = Service(*answers)
    host = Host(service)
    with serving(service), serving(host.site):
        yield host


def test_the_backend_asks_in_the_name_of_its_own_origin_with_key_and_api_key() -> None:
    service = Service(CREATED)
    with serving(service):
        desk = TicketDesk(service.url, "https://shop.example", api_key="secret-of-the-shop")
        ticket = desk.ask("Ana", KEY)
    assert ticket.frame_url == f"{service.url}/client/iframe.html?session_id=x"
    [(path, headers, body)] = service.requests
    assert path == "/auth/create-session"
    assert body == {"subject": "Ana", "origin": "https://shop.example"}
    assert headers["Idempotency-Key"] == KEY
    assert headers["Authorization"] == "Bearer secret-of-the-shop"


def test_a_503_is_retried_with_the_same_key() -> None:
    service = Service(BUSY, (502, b"<html>proxy</html>"), CREATED)
    with serving(service):
        ticket = TicketDesk(service.url, "http://shop.example").ask("Ana", KEY)
    assert ticket.tries == 3
    assert {headers["Idempotency-Key"] for _, headers, _ in service.requests} == {KEY}


def test_a_pause_that_the_service_asks_for_beyond_the_deadline_ends_the_wait() -> None:
    service = Service((429, {"title": "Limit reached", "retry_after_ms": 10**13}))
    with (
        serving(service),
        pytest.raises(ServiceUnavailable, match="429 Limit reached after 1 tries"),
    ):
        TicketDesk(service.url, "http://shop.example").ask("Ana", KEY)


def test_an_unreachable_service_is_unavailable_and_not_a_refusal() -> None:
    service = Service(CREATED)
    service.server_close()
    with pytest.raises(ServiceUnavailable, match="ConnectionRefusedError"):
        TicketDesk(service.url, "http://shop.example", deadline_s=0.5).ask("Ana", KEY)


def test_a_403_is_a_refusal_and_not_retried() -> None:
    service = Service((403, {"title": "Not allowed", "detail": "this origin is not on the list"}))
    with serving(service), pytest.raises(TicketRefused, match="this origin is not on the list"):
        TicketDesk(service.url, "http://shop.example").ask("Ana", KEY)
    assert len(service.requests) == 1


def test_an_iframe_url_that_leads_elsewhere_is_refused() -> None:
    service = Service((200, {"iframe_url": "@evil.example/"}))
    with serving(service), pytest.raises(TicketRefused, match="is this a Guarita service"):
        TicketDesk(service.url, "http://shop.example").ask("Ana", KEY)


def test_the_page_gets_the_address_of_its_frame() -> None:
    with hosting(CREATED) as host:
        status, body = host.ask({"subject": "Ana", "key": KEY})
    assert status == 200
    assert body["frame_url"].startswith(host.service.url + "/client/")


@pytest.mark.parametrize(("answer", "status"), [(BUSY, 503), ((403, {}), 502)])
def test_the_page_can_tell_a_pause_from_a_refusal(answer: tuple[int, Any], status: int) -> None:
    with hosting(answer) as host:
        assert host.ask({"subject": "Ana", "key": KEY})[0] == status


@pytest.mark.parametrize(
    "wish",
    [
        None,
        [],
        "text",
        {},
        {"subject": "Ana"},
        {"subject": "", "key": KEY},
        {"subject": 1, "key": KEY},
        {"subject": "A" * 257, "key": KEY},
        {"subject": "Ana", "key": "short"},
        {"subject": "Ana", "key": KEY + "\n"},
        {"subject": "A" * 5000, "key": KEY},
    ],
)
def test_a_wish_of_the_wrong_shape_never_reaches_the_service(wish: object) -> None:
    with hosting(CREATED) as host:
        assert host.ask(wish)[0] == 400
    assert host.service.requests == []


def test_another_site_cannot_have_a_ticket_made() -> None:
    with hosting(CREATED) as host:
        assert host.ask({"subject": "Ana", "key": KEY}, Origin="https://evil.example")[0] == 400
    assert host.service.requests == []


@pytest.mark.parametrize(("language", "shop"), [("en", "Acme Books"), ("pt-BR", "Acme Livros")])
def test_the_host_page_is_there_in_both_languages(language: str, shop: str) -> None:
    with hosting(CREATED) as host:
        response, content = host.send("GET", "/", Accept_Language=language)
        assert response.status == 200
        assert shop in content.decode()
        assert f"frame-src {host.service.url}" in response.headers["Content-Security-Policy"]
        for name in ("host.css", "host.js", "host.svg"):
            assert host.send("GET", f"/{name}")[0].status == 200
        assert host.send("GET", "/texts.json")[0].status == 404
    assert host.service.requests == []


def test_under_another_name_the_visitor_is_sent_to_the_origin_of_the_tickets() -> None:
    with hosting(CREATED) as host:
        response, _ = host.send("GET", "/", Host=f"localhost:{host.site.server_port}")
    assert response.status == 302
    assert response.headers["Location"] == f"{host.origin}/"
