"""A WSGI application behind granian's RSGI: each request in a greenlet of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from typing import Any

import gevent
import structlog
from gevent.hub import Waiter
from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

STALL_S = 10.0  # between two pieces of a body
BODY_S = 60.0  # a whole body
KNOWN_NAMES = 512
MOST_IDLE = 64  # greenlets that are kept for the next requests
PROTOCOLS = {"1": "HTTP/1.0", "1.1": "HTTP/1.1"}

log = structlog.stdlib.get_logger("guarita.server")


class _Keys(dict[str, str | None]):
    """Names of fields as keys of the environment.

    `X_A` and `X-A` would have the same key, so names with an underscore have none.
    """

    def __missing__(self, name: str) -> str | None:
        key = None
        if "_" not in name:
            key = name.upper().replace("-", "_")
            if key not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
                key = f"HTTP_{key}"
        if len(self) < KNOWN_NAMES:
            self[name] = key
        return key


_KEYS = _Keys()


class Rsgi:
    """What granian calls, in gevent's hub.

    What is answered in one turn of the loop is sent at its end, at once, so that granian's threads
    are not waked for each answer, and Python's lock goes to and fro once.
    """

    def __init__(
        self, app: Application, base: dict[str, Any], before_sending: Callable[[], object]
    ) -> None:
        """`base` is the part of the environment that all requests share."""
        self._app = app
        self._base = base
        self._before_sending = before_sending
        self._hub = gevent.get_hub()
        self._idle: list[Any] = []
        self._answered: list[_Request] = []

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        """Ends when the answer is sent."""
        request = _Request(scope, proto)
        worker = self._idle.pop() if self._idle else greenlet(self._work, self._hub)
        worker.switch(request)
        await request

    def _work(self, request: _Request) -> None:
        """A greenlet's life. A new one costs more than the application's whole way through it."""
        while True:
            try:
                self._answer(request)
            except Exception:
                log.exception("a request failed in the server")
                request.answer = (500, [], b"")
            if not self._answered:
                self._hub.loop.run_callback(self._send)
            self._answered.append(request)
            if len(self._idle) >= MOST_IDLE:
                return
            self._idle.append(getcurrent())
            del request  # granian would wait for what holds its body
            request = self._hub.switch()

    def _answer(self, request: _Request) -> None:
        started: list[Any] = []
        environ = _environ(self._base, request.scope)
        taken = environ["wsgi.input"] = Body(request.proto, environ)
        try:
            result = self._app(environ, lambda *head: started.extend(head))
            try:
                body = b"".join(result)
            finally:
                close = getattr(result, "close", None)
                if close is not None:
                    close()
        finally:
            taken.close()
        status, headers = started[:2]
        if not taken.is_complete:  # granian would wait for the rest of it
            headers = [*headers, ("Connection", "close")]
        request.answer = (int(status[:3]), headers, body)

    def _send(self) -> None:
        answered, self._answered = self._answered, []
        self._before_sending()
        for request in answered:
            try:
                request.proto.response_bytes(*request.answer)
            except Exception:  # the others are sent
                log.exception("a request failed in the server")
            request.on_end(request)


class _Request:
    """A request, and for its coroutine a future that is done when it is answered."""

    __slots__ = ("answer", "on_end", "proto", "scope")

    def __init__(self, scope: Any, proto: Any) -> None:
        self.scope = scope
        self.proto = proto
        self.answer: Any = None
        self.on_end: Any = None

    def __await__(self) -> Generator[_Request, None, None]:
        yield self

    def add_done_callback(self, callback: Callable[[_Request], object]) -> None:
        self.on_end = callback


class Body:
    """`wsgi.input`. Waits for what comes as its reader asks for it, in the reader's greenlet."""

    def __init__(self, proto: Any, environ: dict[str, Any]) -> None:
        self._proto = proto
        self._announced = environ.get("CONTENT_LENGTH")
        self._chunks: Any = None
        self._held = b""
        self._received = 0
        self._expires = 0.0
        self._trouble: OSError | None = None
        self.is_complete = self._announced is None and "HTTP_TRANSFER_ENCODING" not in environ

    def read(self, size: int = -1) -> bytes:
        """So many bytes, or all that there are.

        Raises `TimeoutError` where they do not come in time, and `OSError` where they end early,
        the same each time again.
        """
        pieces, length = [self._held], len(self._held)
        while not self.is_complete and (size < 0 or length < size):
            if self._trouble is not None:
                raise self._trouble
            try:
                piece = self._next()
            except OSError as exc:
                self._trouble = exc
                raise
            pieces.append(piece)
            length += len(piece)
        data = b"".join(pieces)
        if size < 0:
            size = length
        self._held = data[size:]
        return data[:size]

    def close(self) -> None:
        """Nothing is read any more: granian must not wait for the garbage collector to know."""
        self._proto = self._chunks = self._trouble = None

    def _next(self) -> bytes:
        if self._chunks is None:
            self._chunks = self._proto.__aiter__()
            self._expires = time.monotonic() + BODY_S
        piece: bytes = self._wait(self._chunks.__anext__())
        self._received += len(piece)
        if self._announced is not None:
            self.is_complete = self._received >= int(self._announced)
            if piece or self.is_complete:
                return piece
            raise OSError("the body ended early")
        if not piece:
            self.is_complete = True
            if not self._received:
                raise OSError("the body is none: nobody sends chunks for nothing")
        return piece

    def _wait(self, coming: Any) -> Any:
        left_s = min(STALL_S, self._expires - time.monotonic())
        waiter: Waiter[Any] = Waiter()
        coming.add_done_callback(waiter.switch)
        try:
            with gevent.Timeout.start_new(max(0.0, left_s), TimeoutError("the body stalls")):
                waiter.get()
        except TimeoutError:
            coming.cancel()  # granian would wait for it with the connection open
            raise
        return coming.result()


def _environ(base: dict[str, Any], scope: Any) -> dict[str, Any]:
    """As PEP 3333 has it; granian leaves out values of fields that are not ASCII."""
    environ = base.copy()
    path: str = scope.path
    environ["REQUEST_METHOD"] = scope.method
    environ["PATH_INFO"] = path if path.isascii() else path.encode().decode("latin-1")
    environ["QUERY_STRING"] = scope.query_string
    environ["SERVER_PROTOCOL"] = PROTOCOLS.get(scope.http_version, "HTTP/1.1")
    environ["REMOTE_ADDR"] = scope.client.rpartition(":")[0].strip("[]")
    for name, value in scope.headers.items():
        key = _KEYS[name]
        if key is None:
            continue
        if key in environ:  # RFC 6265, 5.4: there should be one Cookie field only
            separator = "; " if key == "HTTP_COOKIE" else ","
            value = f"{environ[key]}{separator}{value}"
        environ[key] = value
    if "HTTP_HOST" not in environ:
        environ["HTTP_HOST"] = scope.authority or ""
    return environ
