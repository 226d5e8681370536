"""Very many callers at once over HTTP, from one thread: each has one connection and one request."""

from __future__ import annotations

import resource
import selectors
import socket
import time
from collections import Counter
from dataclasses import dataclass

REQUEST = b"POST /auth/create-session HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
SPARE_FILES = 500


@dataclass(frozen=True, slots=True)
class Answer:
    status: int  # 0 where the connection ended without one
    problem: str  # why, as the operating system names it
    headers: frozenset[str]
    body: bytes
    ended_s: float

    @classmethod
    def read(cls, data: bytes, problem: str = "") -> Answer:
        head, _, body = data.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        words = status_line.split()
        names = frozenset(line.partition(":")[0].lower() for line in lines)
        status = int(words[1]) if len(words) > 1 else 0
        return cls(status, problem, names, body, time.monotonic())


def allow_open_files(callers: int) -> str:
    """Raise this process's limit; in words, why it has no room for so many callers."""
    wanted = callers + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        return f"{callers} callers need {wanted} open files, and this machine allows {hard}"
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return ""


class Crowd:
    """`size` creates, `rate` a second whether or not earlier ones are answered."""

    def __init__(self, port: int, size: int, rate: float) -> None:
        self._port = port
        self._size = size
        self._rate = rate
        self._selector = selectors.DefaultSelector()
        self._received: dict[socket.socket, bytearray] = {}
        self._sent = 0
        self.most_waiting = 0
        self.answers: list[Answer] = []

    def run(self, timeout_s: float) -> None:
        """Returns when all are answered, or after `timeout_s`."""
        start_s = time.monotonic()
        passed_s = 0.0
        while len(self.answers) < self._size and passed_s < timeout_s:
            while self._sent < min(self._size, passed_s * self._rate):
                self._open()
            self.most_waiting = max(self.most_waiting, len(self._received))
            for key, events in self._selector.select(0.01):
                assert isinstance(key.fileobj, socket.socket)
                self._advance(key.fileobj, events)
            passed_s = time.monotonic() - start_s
        for connection in self._received:
            connection.close()
        self._selector.close()

    @property
    def statuses(self) -> Counter[int]:
        return Counter(answer.status for answer in self.answers)

    def _open(self) -> None:
        """Begin to connect: a full backlog must not keep the others waiting."""
        connection = socket.socket()
        connection.setblocking(False)
        connection.connect_ex(("127.0.0.1", self._port))
        self._received[connection] = bytearray()
        self._selector.register(connection, selectors.EVENT_WRITE)
        self._sent += 1

    def _advance(self, connection: socket.socket, events: int) -> None:
        """Send once it is connected, then read until the service ends the connection."""
        problem = ""
        try:
            if events & selectors.EVENT_WRITE:
                connection.sendall(REQUEST)
                self._selector.modify(connection, selectors.EVENT_READ)
                return
            data = connection.recv(65536)
        except OSError as exc:
            data, problem = b"", f"{type(exc).__name__} after {events}"
        if data:
            self._received[connection] += data
            return
        self._selector.unregister(connection)
        connection.close()
        self.answers.append(Answer.read(bytes(self._received.pop(connection)), problem))
