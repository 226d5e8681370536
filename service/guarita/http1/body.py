"""The body of a request, read from the wire as the application asks for it."""

from __future__ import annotations

import io
import math
import re
import time
from typing import TYPE_CHECKING

from guarita.http1.wire import MAX_DISCARDED_BYTES, Wire

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
MAX_CHUNK_LINE_BYTES = 256
MAX_TRAILER_BYTES = 8190
MAX_FRAMING_BYTES = 256 * 1024

_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})(?:;[\t -~\x80-\xff]*)?")
_TRAILER_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*")


class MalformedBodyError(OSError):
    """Its chunks are none."""


class Body(io.RawIOBase):
    """`io.BufferedReader` makes `wsgi.input` of it. Subclasses say where it ends.

    Reading raises `MalformedBodyError`, `LateError` and `GoneError`, the same each time again.
    """

    is_complete = False

    def __init__(self, wire: Wire, *, expects_continue: bool) -> None:
        self.awaits_continue = expects_continue
        self._wire = wire
        self._expires = math.inf
        self._trouble: OSError | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        with memoryview(buffer) as view:
            data = self.take(len(view))
            view[: len(data)] = data
        return len(data)

    def take(self, most: int) -> bytes:
        """At most so many bytes, and none at the end."""
        if self._trouble is not None:
            raise self._trouble
        try:
            return self._next(most)
        except OSError as exc:
            self._trouble = exc
            raise

    def drain(self, most: int) -> bool:
        """Read what the application did not; False where that is more, or will not come."""
        try:
            while not self.is_complete and most > 0:
                most -= len(self.take(most))
        except OSError:
            return False
        return self.is_complete

    @property
    def is_endless(self) -> bool:
        """Whether it is not worth or not possible to wait for its end."""
        return not self.is_complete and (self.awaits_continue or self._trouble is not None)

    def _next(self, most: int) -> bytes:
        raise NotImplementedError

    def _held(self, most: int) -> bytes:
        """At least a byte of what is on the wire."""
        wire = self._wire
        if not wire.held:
            wire.held = self._receive()
        data = wire.held[:most]
        wire.held = wire.held[most:]
        return data

    def _receive(self) -> bytes:
        if self.awaits_continue:
            self.awaits_continue = False
            self._wire.send(CONTINUE)
        time.sleep(0)  # a caller who sends faster than this reads is not the only one
        now, limits = time.monotonic(), self._wire.limits
        if self._expires == math.inf:
            self._expires = now + limits.body_s
        return self._wire.receive(min(now + limits.stall_s, self._expires))


class SizedBody(Body):
    """With a `Content-Length`."""

    def __init__(self, wire: Wire, length: int, *, expects_continue: bool) -> None:
        super().__init__(wire, expects_continue=expects_continue)
        self.left = length

    @property
    def is_endless(self) -> bool:
        return super().is_endless or self.left > MAX_DISCARDED_BYTES

    def _next(self, most: int) -> bytes:
        if self.left == 0 or most == 0:
            return b""
        data = self._held(min(most, self.left))
        self.left -= len(data)
        self.is_complete = self.left == 0
        return data


class ChunkedBody(Body):
    """With `Transfer-Encoding: chunked`. Extensions and trailers are checked and ignored."""

    def __init__(self, wire: Wire, *, expects_continue: bool) -> None:
        super().__init__(wire, expects_continue=expects_continue)
        self._left = 0  # of the chunk
        self._is_first = True
        self._framing = 0

    def _next(self, most: int) -> bytes:
        if self.is_complete or most == 0:
            return b""
        if self._left == 0:
            self._begin_chunk()
            if self._left == 0:
                self._skip_trailers()
                self.is_complete = True
                return b""
        data = self._held(min(most, self._left))
        self._left -= len(data)
        return data

    def _begin_chunk(self) -> None:
        if not self._is_first and self._line(0):
            raise MalformedBodyError("a chunk is longer than it says")
        self._is_first = False
        size = _CHUNK_LINE.fullmatch(self._line(MAX_CHUNK_LINE_BYTES))
        if size is None:
            raise MalformedBodyError("a chunk has no size")
        self._left = int(size[1], 16)

    def _skip_trailers(self) -> None:
        left = MAX_TRAILER_BYTES
        while line := self._line(left):
            if _TRAILER_LINE.fullmatch(line) is None:
                raise MalformedBodyError("a trailer is none")
            left -= len(line) + 2

    def _line(self, most: int) -> bytes:
        """Without its end, which is CR and LF and nothing else."""
        wire = self._wire
        while (end := wire.held.find(b"\n", 0, most + 2)) < 0:
            if len(wire.held) >= most + 2:
                raise MalformedBodyError("a line between chunks is too long")
            wire.held += self._receive()
        line, wire.held = wire.held[: end + 1], wire.held[end + 1 :]
        self._framing += len(line)
        if self._framing > MAX_FRAMING_BYTES:
            raise MalformedBodyError("the chunks are too small for what they hold")
        if not line.endswith(b"\r\n"):
            raise MalformedBodyError("a line between chunks does not end with CR and LF")
        return line[:-2]


def open_body(wire: Wire, length: int | None, *, expects_continue: bool) -> Body:
    """Of so many bytes, or in chunks. `expects_continue`: the caller waits to be asked for it."""
    if length is None:
        return ChunkedBody(wire, expects_continue=expects_continue)
    return SizedBody(wire, length, expects_continue=expects_continue)
