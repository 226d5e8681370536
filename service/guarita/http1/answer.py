"""What the application answers, from `start_response` to bytes: one piece where it is small."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache
from types import TracebackType
from typing import Any

from guarita.http1.body import Body
from guarita.http1.wire import Wire

Headers = list[tuple[str, str]]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]

_STATUS = re.compile(r"[2-5][0-9]{2} [\t -~\x80-\xff]*")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PLAIN = bytes(each for each in range(256) if each == 9 or 32 <= each != 127)
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
KNOWN_NAMES = 256
_MEANT_FOR_US = _HOP_BY_HOP | {"content-length", "date", "server"}


class BrokenAnswerError(Exception):
    """The application broke the rules of WSGI or HTTP."""


class Answer:
    """One answer; it knows whether the connection can go on behind it."""

    __slots__ = (
        "_has_body",
        "_head",
        "_is_chunked",
        "_is_head",
        "_is_new",
        "_left",
        "_wire",
        "is_sent",
        "keeps_alive",
        "request_body",
        "total",
    )

    def __init__(self, wire: Wire, environ: dict[str, Any], *, keeps_alive: bool) -> None:
        self._wire = wire
        self._is_head = environ["REQUEST_METHOD"] == "HEAD"
        self._is_new = environ["SERVER_PROTOCOL"] == "HTTP/1.1"
        self._head: list[str] | None = None
        self._left: int | None = None
        self._has_body = True
        self._is_chunked = False
        self.keeps_alive = keeps_alive
        self.request_body: Body | None = None
        self.total: int | None = None
        """Bytes of the body, where that is known without a `Content-Length`."""
        self.is_sent = False

    def start(
        self, status: str, headers: Headers, exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        """WSGI's `start_response`. Raises `BrokenAnswerError`."""
        if exc_info is not None and exc_info[1] is not None:
            if self.is_sent:
                raise exc_info[1].with_traceback(exc_info[2])
        elif self._head is not None:
            raise BrokenAnswerError("start_response was called twice")
        self._left = None
        code = _code(status)
        lines = [f"HTTP/1.1 {status}\r\n"]
        dated = served = False
        for name, value in headers:
            known = _KNOWN[name]
            if known is not None:
                dated, served = dated or known == "date", served or known == "server"
                if not self._keep(known, value, code):
                    continue
            lines.append(name + ": " + value + "\r\n")
        if not served:
            lines.append("Server: gunicorn\r\n")
        if not dated:
            lines.append(_date(int(time.time())))
        self._has_body = not self._is_head and code not in (204, 304)
        self._head = lines
        return self.write

    def write(self, data: bytes) -> None:
        """Send a piece of the body, behind the head if that is not sent yet."""
        if self._left is not None and len(data) > self._left and self._has_body:
            self._send(data[: self._left])
            raise BrokenAnswerError("the body is longer than its Content-Length")
        self._send(data)

    def finish(self) -> None:
        """Send what is not sent yet. Raises `BrokenAnswerError`, also for what is missing."""
        if not self.is_sent:
            self._send(b"")
        if self._is_chunked:
            self._wire.send(b"0\r\n\r\n")
        if self._has_body and self._left:
            raise BrokenAnswerError("the body is shorter than its Content-Length")

    def _keep(self, known: str, value: str, code: int) -> bool:
        """Whether a header of the application that concerns the connection is sent."""
        if known == "content-length":
            if self._left is not None or not (value.isascii() and value.isdigit()):
                raise BrokenAnswerError("Content-Length must be there once and be a number")
            self._left = int(value)
            return code != 204
        if known == "connection" and value.strip().lower() == "close":
            self.keeps_alive = False
        return known not in _HOP_BY_HOP

    def _send(self, data: bytes) -> None:
        head = b"" if self.is_sent else self._take_head()
        if not self._has_body:
            data = b""
        elif self._left is not None:
            self._left -= len(data)
        elif self._is_chunked and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        self.is_sent = True
        if head or data:
            self._wire.send(head + data)

    def _take_head(self) -> bytes:
        lines = self._head
        if lines is None:
            raise BrokenAnswerError("start_response was not called")
        if self._left is None and self._is_head and self.total:
            lines.append(f"Content-Length: {self.total}\r\n")
        elif self._left is None and self._has_body:
            if self.total is not None:
                self._left = self.total
                lines.append(f"Content-Length: {self.total}\r\n")
            elif self._is_new:
                self._is_chunked = True
                lines.append("Transfer-Encoding: chunked\r\n")
            else:
                self.keeps_alive = False
        body = self.request_body
        if self._wire.is_last or (body is not None and body.is_endless):
            self.keeps_alive = False
        if not self.keeps_alive:
            lines.append("Connection: close\r\n")
        elif not self._is_new:
            lines.append("Connection: keep-alive\r\n")
        data = "".join(lines).encode("latin-1")
        # Only the ends of lines are left of it, and just as many as there are lines.
        if data.translate(None, _PLAIN) != b"\r\n" * len(lines):
            raise BrokenAnswerError("a header has a control character")
        return data + b"\r\n"


@lru_cache(maxsize=128)
def _code(status: str) -> int:
    if _STATUS.fullmatch(status) is None:
        raise BrokenAnswerError("this is no status")
    return int(status[:3])


class _Known(dict[str, str | None]):
    """The names of headers that concern the connection, in small letters; None for the others."""

    def __missing__(self, name: str) -> str | None:
        if _NAME.fullmatch(name) is None:
            raise BrokenAnswerError("this is no name of a header")
        lower = name.lower()
        known = lower if lower in _MEANT_FOR_US else None
        if len(self) < KNOWN_NAMES:
            self[name] = known
        return known


_KNOWN = _Known()


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return f"Date: {formatdate(second, usegmt=True)}\r\n"
