"""A frugal HTTP client: keep-alive connections of one event loop to one service or proxy.

It retries nothing, and tells a request that was not sent from one whose answer was lost.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import deque
from dataclasses import dataclass
from typing import Any, cast

import httptools

HOST = "127.0.0.1"
_HOST_LINE = f"Host: {HOST}".encode()
IDLE = 64  # connections that are kept; a stall may open a thousand more
CONNECT_S = 10.0
ANSWER_S = 30.0  # far beyond the deadline that the service itself keeps


class NotSentError(Exception):
    """There was no connection: the call was certainly not made."""


class AnswerLostError(Exception):
    """The connection ended, or nothing came, after the call was sent."""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def request_of(method: str, path: str, body: Any = None, **headers: str) -> bytes:
    """The bytes of one HTTP request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    content = b""
    if body is not None:
        content = json.dumps(body).encode()
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    elif method == "POST":
        lines.append("Content-Length: 0")
    return "\r\n".join([*lines, "", ""]).encode() + content


class Client:
    """Sends each call on an idle connection, by turns, or on a new one."""

    def __init__(self, port: int, host: str = HOST, tls: ssl.SSLContext | None = None) -> None:
        self._host, self._port = host, port
        self._tls = tls
        # A proxy may choose by the name; services of this machine do not care.
        self._named = f"Host: {host}:{port}".encode() if host != HOST else b""
        self._idle: deque[_Connection] = deque()
        self._open: set[_Connection] = set()

    async def call(self, request: bytes) -> Reply:
        """Raises `NotSentError` and `AnswerLostError`."""
        if self._named:
            request = request.replace(_HOST_LINE, self._named, 1)
        connection = self._take() or await self._connect()
        try:
            async with asyncio.timeout(ANSWER_S):
                reply = await connection.ask(request)
        except TimeoutError as exc:
            connection.close()
            raise AnswerLostError(f"no answer within {ANSWER_S:g} s") from exc
        if len(self._idle) < IDLE and not connection.closing:
            self._idle.append(connection)
        else:
            connection.close()
        return reply

    def close(self) -> None:
        while self._idle:
            self._idle.popleft().close()

    async def end(self) -> None:
        """Return when the last connection is gone; under TLS that takes more than one step."""
        for connection in self._open:
            connection.abort()
        while self._open:
            await asyncio.sleep(0)

    def _take(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.popleft()
            if not connection.closing:
                return connection
        return None

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_S):
                _, connection = await loop.create_connection(
                    lambda: _Connection(self._open), self._host, self._port, ssl=self._tls
                )
        except OSError as exc:
            raise NotSentError(str(exc)) from exc
        return connection


class _Connection(asyncio.Protocol):
    """One call at a time; httptools calls the `on_` methods."""

    def __init__(self, open_ones: set[_Connection]) -> None:
        """While it is open it is one of `open_ones`."""
        self._open_ones = open_ones

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._open_ones.add(self)
        self._waiting: asyncio.Future[Reply] | None = None

    @property
    def closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def ask(self, request: bytes) -> asyncio.Future[Reply]:
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._waiting

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self._transport.close()
        waiting, self._waiting = self._waiting, None
        if waiting and not waiting.done():
            waiting.set_result(Reply(self._parser.get_status_code(), self._body))

    def connection_lost(self, exc: Exception | None) -> None:
        self._open_ones.discard(self)
        waiting, self._waiting = self._waiting, None
        if waiting and not waiting.done():
            waiting.set_exception(AnswerLostError(str(exc or "the connection was closed")))
