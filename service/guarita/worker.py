"""The gunicorn worker. Importing it loads gevent, so only gunicorn does."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from gunicorn.http.errors import InvalidResponseHeader, LimitRequestHeaders, ParseException
from gunicorn.util import write_nonblock
from gunicorn.workers.ggevent import GeventWorker


class Worker(GeventWorker):  # type: ignore[misc]
    """gevent's worker with our answer to what is not HTTP: no word of the request in it or logged.

    gunicorn's own is HTML, and it logs the request line, where a ticket may stand.
    """

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        client = _Joined(sock)
        try:
            super().handle_request(listener_name, req, client, addr)
        finally:
            client.flush()

    def handle_error(self, _req: Any, client: Any, _addr: Any, exc: BaseException) -> None:
        from guarita.api.middleware import SAFE_HEADERS
        from guarita.api.problems import CONTENT_TYPE, INTERNAL, Problem
        from guarita.api.request import new_request_id

        if isinstance(exc, LimitRequestHeaders):
            text = "The request's headers are too long."
            problem = Problem("http-431", 431, "Request Header Fields Too Large", text)
        elif isinstance(exc, ParseException) and not isinstance(exc, InvalidResponseHeader):
            text = "This is not an HTTP request that can be read."
            problem = Problem("malformed", 400, "Malformed request", text)
        else:
            self.log.error("a request failed in the server", exc_info=exc)
            problem = INTERNAL
        body = problem.body()
        headers = {
            "Connection": "close",
            "Content-Type": CONTENT_TYPE,
            "Content-Length": str(len(body)),
            "X-Request-Id": new_request_id(),
            **SAFE_HEADERS,
        }
        lines = [f"HTTP/1.1 {problem.status} {problem.title}", *map(": ".join, headers.items())]
        with suppress(OSError):  # the caller has gone
            write_nonblock(client, "\r\n".join(lines).encode() + b"\r\n\r\n" + body)


class _Joined:
    """A client's socket that sends the head of an answer together with the start of its body.

    gunicorn sends them one after the other: two system calls and two packets for every answer.
    """

    __slots__ = ("_client", "_held", "_holds")

    def __init__(self, client: Any) -> None:
        self._client = client
        self._held = b""
        self._holds = True

    def sendall(self, data: bytes) -> None:
        """Keep the first piece back; it goes out with the second one, or by `flush`."""
        if self._holds:
            self._holds, self._held = False, data
            return
        data, self._held = self._held + data, b""
        self._client.sendall(data)

    def flush(self) -> None:
        """Send what is kept back: an answer without a body."""
        if self._held:
            self.sendall(b"")

    def close(self) -> None:
        self._held = b""
        self._client.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)
