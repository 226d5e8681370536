"""The head of a request: from bytes to a WSGI environment, or `RefusedError`.

llhttp (by httptools), in its strict form, decides what HTTP is. It also takes what is none of ours
(HTTP/0.9, RTSP, HTTP/2.0, tunnels), so the request line is checked here as well.
"""

from __future__ import annotations

import re
from time import monotonic
from typing import Any
from urllib.parse import unquote_to_bytes

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from guarita.http1.wire import Wire

MAX_LINE_BYTES = 8190
MAX_LENGTH_DIGITS = 19
MAX_FIELDS = 100
MAX_FIELD_BYTES = 8190
MAX_HEAD_BYTES = 64 * 1024
KNOWN_NAMES = 512

_LINE = re.compile(rb"([A-Z-]+) ([!\"$-~]+) HTTP/1\.([01])\r\n")
_ABSOLUTE = re.compile(r"https?://([^/?@]+)(/.*)?", re.IGNORECASE)
_HOST = re.compile(r"[A-Za-z0-9._~%!$&'()*+,;=:\[\]-]*")


class RefusedError(Exception):
    """The application is not asked about this; `status` is what the caller gets."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Head:
    """What the loop has to know of a request; `length` is None for a body in chunks."""

    __slots__ = ("environ", "expects_continue", "keeps_alive", "length")

    def __init__(self, environ: dict[str, Any]) -> None:
        is_new = environ["SERVER_PROTOCOL"] == "HTTP/1.1"
        self.environ = environ
        self.length = _length(environ, is_new=is_new)
        self.keeps_alive = is_new
        self.expects_continue = False
        if "HTTP_CONNECTION" in environ:
            options = {each.strip() for each in environ["HTTP_CONNECTION"].lower().split(",")}
            self.keeps_alive = "close" not in options and (is_new or "keep-alive" in options)
        if is_new and "HTTP_EXPECT" in environ:
            if environ["HTTP_EXPECT"].lower() != "100-continue":
                raise RefusedError(417)
            self.expects_continue = self.length != 0


class _Fields:
    """What llhttp finds. It holds no parser: that would be a cycle for each request."""

    __slots__ = ("found", "is_complete")

    def __init__(self) -> None:
        self.found: list[tuple[bytes, bytes]] = []
        self.is_complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.found.append((name, value))

    def on_headers_complete(self) -> None:
        self.is_complete = True


class _Keys(dict[bytes, str | None]):
    """Names of fields as keys of the environment.

    `X_A` and `X-A` would have the same key, so names with an underscore have none.
    """

    def __missing__(self, name: bytes) -> str | None:
        key = None
        if b"_" not in name:
            key = name.decode("ascii").upper().replace("-", "_")
            if key not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
                key = f"HTTP_{key}"
        if len(self) < KNOWN_NAMES:
            self[name] = key
        return key


_KEYS = _Keys()


def read_head(wire: Wire, base: dict[str, Any]) -> Head:
    """The next request's, in a copy of `base`. What comes after it stays on the wire.

    Raises `RefusedError`, `GoneError` where none comes, and `LateError` where its end does not.
    """
    data = wire.held or wire.wait()
    wire.held = b""
    expires = monotonic() + wire.limits.head_s
    if data[0] == 0x0D:
        data = _without_empty_line(data, wire, expires)
    fields = _Fields()
    parser = HttpRequestParser(fields)
    fed = 0
    end = data.find(b"\r\n\r\n")
    if end < 0:
        data, fed, end = _until_end(data, wire, expires, parser, fields)
    end += 4
    if end > MAX_HEAD_BYTES:
        raise RefusedError(431)
    if end < len(data):
        wire.held = data[end:]
        data = data[:end]
    _feed(parser, fields, data[fed:])
    line = _LINE.match(data)
    if line is None or line.end() - 2 > MAX_LINE_BYTES or not fields.is_complete:
        raise RefusedError(400)
    environ = base.copy()
    _add_fields(environ, fields.found)
    method, target, minor = line.groups()
    _add_line(environ, method.decode("ascii"), target.decode("ascii"), minor.decode("ascii"))
    return Head(environ)


def _without_empty_line(data: bytes, wire: Wire, expires: float) -> bytes:
    """One may come before a request (RFC 9112, 2.2)."""
    while len(data) < 3:
        data += wire.receive(expires)
    return data.removeprefix(b"\r\n")


def _until_end(
    first: bytes, wire: Wire, expires: float, parser: HttpRequestParser, fields: _Fields
) -> tuple[bytes, int, int]:
    """A head that comes in pieces: all of it, how much was fed, and where its last line ends.

    All but the last piece is fed before the end is there: nonsense ends at once.
    """
    data = bytearray(first)
    fed, has_line = 0, False
    while (end := data.find(b"\r\n\r\n", max(0, fed - 3))) < 0:
        _feed(parser, fields, data[fed:])
        has_line = has_line or _has_line(data)
        if len(data) > MAX_HEAD_BYTES or len(fields.found) > MAX_FIELDS:
            raise RefusedError(431)
        fed = len(data)
        data += wire.receive(expires)
    return bytes(data), fed, end


def _feed(parser: HttpRequestParser, fields: _Fields, data: bytes | bytearray) -> None:
    if fields.is_complete:
        raise RefusedError(400)
    try:
        parser.feed_data(data)
    except HttpParserUpgrade:  # nothing else is spoken here, and a server may ignore the wish
        return
    except HttpParserError:
        raise RefusedError(400) from None


def _has_line(data: bytearray) -> bool:
    """Whether the request line is there; one that is none is refused before the fields come."""
    if data.find(b"\n", 0, MAX_LINE_BYTES + 2) < 0:
        if len(data) >= MAX_LINE_BYTES + 2:
            raise RefusedError(400)
        return False
    if _LINE.match(data) is None:
        raise RefusedError(400)
    return True


def _add_fields(environ: dict[str, Any], fields: list[tuple[bytes, bytes]]) -> None:
    if len(fields) > MAX_FIELDS:
        raise RefusedError(431)
    for name, value in fields:
        if len(name) + len(value) > MAX_FIELD_BYTES:
            raise RefusedError(431)
        key = _KEYS[name]
        if key is None:
            continue
        text = value.decode("latin-1").strip(" \t")
        if key in environ:
            if key == "HTTP_HOST":
                raise RefusedError(400)
            text = f"{environ[key]},{text}"
        environ[key] = text


def _add_line(environ: dict[str, Any], method: str, target: str, minor: str) -> None:
    if _HOST.fullmatch(environ.get("HTTP_HOST", "" if minor == "0" else " ")) is None:
        raise RefusedError(400)
    path, _, query = target.partition("?")
    if path[0] != "/" and not (path == target == "*" and method == "OPTIONS"):
        absolute = _ABSOLUTE.fullmatch(path)
        if absolute is None:
            raise RefusedError(400)
        environ["HTTP_HOST"], path = absolute[1], absolute[2] or "/"
    if "%" in path:
        path = unquote_to_bytes(path).decode("latin-1")
    environ["REQUEST_METHOD"] = method
    environ["PATH_INFO"] = path
    environ["QUERY_STRING"] = query
    environ["SERVER_PROTOCOL"] = f"HTTP/1.{minor}"


def _length(environ: dict[str, Any], *, is_new: bool) -> int | None:
    """Of the body. Anything of which two servers may think differently is refused."""
    coding = environ.get("HTTP_TRANSFER_ENCODING")
    length = environ.get("CONTENT_LENGTH")
    if coding is not None:
        if coding.lower() != "chunked" or length is not None or not is_new:
            raise RefusedError(400)
        return None
    if length is None:
        return 0
    if not (length.isascii() and length.isdigit()) or len(length) > MAX_LENGTH_DIGITS:
        raise RefusedError(400)
    return int(length)
