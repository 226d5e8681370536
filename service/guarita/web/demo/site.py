"""The web server of the demo host: one page, its files, and the call that makes a ticket."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from urllib.parse import urlsplit

from guarita.web import choose_language, render
from guarita.web.demo.tickets import ServiceUnavailable, TicketDesk, TicketRefused

MAX_BODY = 4096
MAX_SUBJECT = 256
_KEY = re.compile(r"[A-Za-z0-9_-]{16,64}")
_FOLDER = resources.files(__package__)
_CONTENT_TYPES = {
    "host.css": "text/css; charset=utf-8",
    "host.js": "text/javascript; charset=utf-8",
    "host.svg": "image/svg+xml",
}


class BadRequest(Exception):
    """The page's own request has the wrong shape."""


class Site(ThreadingHTTPServer):
    """Serves the page at `address`; every ticket comes from `desk`."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], desk: TicketDesk) -> None:
        super().__init__(address, Visit)
        self.desk = desk


class Visit(BaseHTTPRequestHandler):
    """One visitor's connection."""

    server: Site
    server_version = "AcmeBooks"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        if self.headers.get("Host") != urlsplit(self.server.desk.origin).netloc:
            # Under another name this page would not be the origin that its tickets are for.
            self._send(HTTPStatus.FOUND, headers={"Location": self.server.desk.origin + "/"})
            return
        name = urlsplit(self.path).path.removeprefix("/")
        if name == "":
            language = choose_language(self.headers.get("Accept-Language"))
            page = render(
                _FOLDER, "host.html", language, service_origin=self.server.desk.service_url
            )
            self._send(HTTPStatus.OK, page, "text/html; charset=utf-8")
        elif name in _CONTENT_TYPES:
            self._send(HTTPStatus.OK, (_FOLDER / name).read_bytes(), _CONTENT_TYPES[name])
        else:
            self._send(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        if self.path != "/ticket":
            self.close_connection = True
            self._send(HTTPStatus.NOT_FOUND)
            return
        try:
            subject, key = self._wish()
            ticket = self.server.desk.ask(subject, key)
        except BadRequest as exc:
            self.close_connection = True
            self._send_json(HTTPStatus.BAD_REQUEST, {"detail": str(exc)})
        except TicketRefused as exc:
            self._send_json(HTTPStatus.BAD_GATEWAY, {"detail": str(exc)})
        except ServiceUnavailable as exc:
            self._send_json(HTTPStatus.SERVICE_UNAVAILABLE, {"detail": str(exc)})
        else:
            self._send_json(HTTPStatus.OK, asdict(ticket))

    def _wish(self) -> tuple[str, str]:
        """Who is to be signed in, and the page's key for this ticket."""
        if self.headers.get("Origin") != self.server.desk.origin:
            raise BadRequest("only this site's own page may ask")
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY:
            raise BadRequest(f"a body of at most {MAX_BODY} bytes is needed")
        try:
            wish = json.loads(self.rfile.read(int(length)))
            subject, key = wish["subject"], wish["key"]
        except (ValueError, LookupError, TypeError, RecursionError) as exc:
            raise BadRequest("a JSON object with subject and key is needed") from exc
        if not isinstance(subject, str) or not 1 <= len(subject) <= MAX_SUBJECT:
            raise BadRequest(f"subject must be 1 to {MAX_SUBJECT} characters")
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise BadRequest("key must be 16 to 64 letters, digits, - or _")
        return subject, key

    def _send_json(self, status: HTTPStatus, body: dict[str, object]) -> None:
        self._send(status, json.dumps(body).encode(), "application/json")

    def _send(
        self,
        status: HTTPStatus,
        content: bytes = b"",
        content_type: str = "text/plain; charset=utf-8",
        headers: dict[str, str] | None = None,
    ) -> None:
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
            f"frame-src {self.server.desk.service_url}"
        )
        self.send_response(status)
        for name, value in {
            "Content-Length": str(len(content)),
            "Content-Type": content_type,
            "Content-Security-Policy": policy,
            "Cache-Control": "no-store",
            "Vary": "Accept-Language",
            "X-Content-Type-Options": "nosniff",
            # The service learns which site shows its frame, and nothing more.
            "Referrer-Policy": "strict-origin-when-cross-origin",
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
