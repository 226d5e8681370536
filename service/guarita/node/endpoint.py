"""The agent's HTTP endpoint: a few GET routes for probes, Prometheus and the other agents.

With `node.tls` it is HTTPS, as the server beside it speaks TLS alone.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import structlog

from guarita.config import Address, NodeSettings
from guarita.errors import TopologyError

TIMEOUT_S = 3.0  # for a request to arrive, and for each write of its answer

_log = structlog.get_logger("guarita.node")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"

    @classmethod
    def text(cls, status: int, line: str) -> Answer:
        """One line of text."""
        return cls(status, f"{line}\n".encode())


Routes = Mapping[str, Callable[[], Answer]]


def tls_of(node: NodeSettings) -> ssl.SSLContext | None:
    """As whom the endpoint answers, or None for plain HTTP. Raises `TopologyError`."""
    tls = node.tls
    if tls.cert_file is None or tls.key_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    except OSError as exc:
        raise TopologyError(f"node.tls: {tls.cert_file}, {tls.key_file}: {exc}") from exc
    return context


class Endpoint:
    """Answers GET and HEAD, each request in a thread of its own, while it is started.

    A route is called in that thread; when it raises, the answer is 500 and the log has it.
    """

    def __init__(self, bind: str, routes: Routes, tls: ssl.SSLContext | None = None) -> None:
        """`bind` is `host:port`, an IPv6 address in brackets."""
        self._bind = bind
        self._routes = routes
        self._tls = tls
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Listen. Raises `TopologyError` when nothing can listen there."""
        address = Address.parse(self._bind)
        try:
            found = socket.getaddrinfo(
                address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            handler = _handler(self._routes, lambda: self._tls)
            self._server = _server(found[0], found[4][:2], handler)
        except OSError as exc:
            raise TopologyError(
                f"node.http: {self._bind}: cannot be listened at: {exc.strerror}"
            ) from exc
        threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="guarita-http", daemon=True
        ).start()

    def show(self, tls: ssl.SSLContext | None) -> None:
        """Answer as somebody else, to who connects from now on.

        Not by other files in the same context: between certificate and key it has no pair, and
        whoever shakes hands at that moment is refused.
        """
        self._tls = tls

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def _server(
    family: int, where: tuple[object, ...], handler: type[BaseHTTPRequestHandler]
) -> ThreadingHTTPServer:
    class Server(ThreadingHTTPServer):
        address_family = family
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A caller that hangs up is no news."""

    host, port = where
    return Server((str(host), int(str(port))), handler)


def _handler(
    routes: Routes, current_tls: Callable[[], ssl.SSLContext | None]
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = TIMEOUT_S
        server_version = "guarita"
        sys_version = ""

        def setup(self) -> None:
            """In the thread of the request, so that a caller who shakes no hands stops nobody."""
            if (tls := current_tls()) is not None:
                self.request.settimeout(TIMEOUT_S)
                self.request = tls.wrap_socket(self.request, server_side=True)
            super().setup()

        def finish(self) -> None:
            super().finish()
            if isinstance(self.connection, ssl.SSLSocket):
                self.connection.close()  # the server closes what it accepted, which is empty now

        def do_GET(self) -> None:
            answer = _answer(routes, urlsplit(self.path).path)
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        do_HEAD = do_GET  # noqa: N815 - http.server's name

        def log_message(self, format: str, *args: object) -> None:
            """Probes come every second: no line for each."""

    return Handler


def _answer(routes: Routes, path: str) -> Answer:
    route = routes.get(path)
    if route is None:
        return Answer.text(404, f"there are {', '.join(sorted(routes))}")
    try:
        return route()
    except Exception:  # noqa: BLE001 - the caller gets an answer, the log the reason
        _log.exception("a route failed", route=path)
        return Answer.text(500, "the agent failed to answer: its log says why")
