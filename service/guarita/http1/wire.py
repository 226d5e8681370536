"""A caller's connection: what came and is not used yet, and until when a call on it may take."""

from __future__ import annotations

import math
import socket
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

MAX_DISCARDED_BYTES = 1024 * 1024
RECEIVED_AT_ONCE = 16 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that a caller may take. They end at the next `Server.sweep`."""

    keep_alive_s: float = 5  # from one request to the first byte of the next
    head_s: float = 10  # from its first byte to its end
    stall_s: float = 10  # between two pieces of a body
    body_s: float = 60  # a whole body
    send_s: float = 30  # until a piece of an answer is taken
    parting_s: float = 2  # for a request on a kept connection, once the server stops
    linger_s: float = 2  # for what a caller still sends after the last answer


class GoneError(OSError):
    """The caller has closed the connection, or it broke."""


class LateError(TimeoutError):
    """The caller took longer than it may."""


class Wire:
    """One connection. Whoever sweeps calls `expire` meanwhile, from another thread or greenlet."""

    __slots__ = (
        "_is_sending",
        "_socket",
        "expires",
        "held",
        "is_expired",
        "is_idle",
        "is_last",
        "limits",
    )

    def __init__(self, connection: socket.socket, limits: Limits) -> None:
        self._socket = connection
        self._is_sending = False
        self.limits = limits
        self.held = b""
        self.expires = math.inf
        self.is_expired = False
        self.is_idle = False
        self.is_last = False
        """Whether no other request follows: the next answer says so."""

    def receive(self, expires: float) -> bytes:
        """What comes next, at least a byte. Raises `GoneError`, and `LateError` after `expires`."""
        self.expires = expires
        try:
            data = self._socket.recv(RECEIVED_AT_ONCE)
        except OSError:
            data = b""
        self.expires = math.inf
        if data:
            return data
        if self.is_expired:
            raise LateError("the caller sent nothing for too long")
        raise GoneError("the caller has gone")

    def wait(self) -> bytes:
        """The first bytes of a request. Raises `GoneError`, also when none comes in time."""
        self.is_idle = True
        try:
            return self.receive(monotonic() + self.limits.keep_alive_s)
        except LateError as exc:
            raise GoneError("no request came") from exc
        finally:
            self.is_idle = False

    def send(self, data: bytes) -> None:
        """Raises `GoneError`, also when the caller does not take it in time."""
        self.expires = monotonic() + self.limits.send_s
        self._is_sending = True
        try:
            sent = self._socket.send(data)
            if sent < len(data):
                self._socket.sendall(memoryview(data)[sent:])
        except OSError as exc:
            raise GoneError("the caller does not take the answer") from exc
        finally:
            self._is_sending = False
            self.expires = math.inf

    def expire(self) -> None:
        """End the call that waits on this connection; an answer can still be sent."""
        self.is_expired = self.is_last = True
        self.expires = math.inf
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR if self._is_sending else socket.SHUT_RD)

    def linger(self) -> None:
        """Take in what the caller is still sending: a reset would take the answer from it."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            expires, left = monotonic() + self.limits.linger_s, MAX_DISCARDED_BYTES
            while left > 0:
                left -= len(self.receive(expires))

    def close(self) -> None:
        with suppress(OSError):
            self._socket.close()
