"""Passes a call on to the region that a ticket is from. Never reads another region's store."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import (
    HTTPConnection,
    HTTPException,
    HTTPResponse,
    HTTPSConnection,
    IncompleteRead,
)
from urllib.parse import urlsplit

from guarita.deadline import Deadline
from guarita.errors import Reason, Rejected, StoreOutcomeUnknown, StoreUnavailable

MAX_ANSWER_BYTES = 1024 * 1024
REGION_HEADER = "X-Guarita-Region"  # a home region signs its answers to forwarded calls with it


@dataclass(frozen=True, slots=True)
class Call:
    """An HTTP request to pass on; `target` is the path with its query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What the home region answered."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Regions:
    """This region and its peers' addresses."""

    def __init__(self, name: str = "", peers: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._peers = dict(peers or {})
        self._tls: ssl.SSLContext | None = None

    def knows(self, region: str) -> bool:
        return region in self._peers

    def send(self, region: str, call: Call, *, deadline: Deadline) -> Answer:
        """The home region's answer to the call.

        Raises `Rejected` for a region that is no peer, `StoreUnavailable` when the peer was not
        reached and `StoreOutcomeUnknown` when it was and gave no answer of its own.
        """
        url = self._peers.get(region)
        if url is None:
            raise Rejected(Reason.UNKNOWN)
        connection = self._connect(region, url, deadline)
        try:
            connection.request(
                call.method, urlsplit(url).path + call.target, call.body or None, dict(call.headers)
            )
            response = connection.getresponse()
            answer = Answer(
                response.status,
                tuple(response.getheaders()),
                _read(response, connection, deadline),
            )
        except (OSError, HTTPException) as exc:
            raise StoreOutcomeUnknown(f"region {region} gave no answer: {exc!r}") from exc
        finally:
            connection.close()
        if response.headers.get(REGION_HEADER) != region:
            # A proxy's error page, or another installation: it says nothing about the ticket.
            raise StoreOutcomeUnknown(f"what answered {response.status} is not region {region}")
        return answer

    def _connect(self, region: str, url: str, deadline: Deadline) -> HTTPConnection:
        if deadline.passed:
            raise StoreUnavailable(f"no time left to ask region {region}")
        parts = urlsplit(url)
        host, timeout_s = parts.hostname or "", deadline.remaining_s
        connection = (
            HTTPSConnection(host, parts.port, timeout=timeout_s, context=self._tls_context())
            if parts.scheme == "https"
            else HTTPConnection(host, parts.port, timeout=timeout_s)
        )
        try:
            connection.connect()
        except OSError as exc:
            connection.close()
            raise StoreUnavailable(f"region {region} cannot be reached: {exc}") from exc
        connection.sock.settimeout(max(0.001, deadline.remaining_s))
        return connection

    def _tls_context(self) -> ssl.SSLContext:
        """Made once: loading the authorities takes longer than a whole call."""
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


def _read(response: HTTPResponse, connection: HTTPConnection, deadline: Deadline) -> bytes:
    """The body, read inside the deadline however slowly it comes."""
    body = b""
    while chunk := response.read1(65_536):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise HTTPException("the answer is too long")
        if deadline.passed:
            raise TimeoutError("the deadline passed while the answer came in")
        if connection.sock is not None:  # None once the peer has announced the end
            connection.sock.settimeout(max(0.001, deadline.remaining_s))
    if response.length:  # read1 takes the end of the connection for the end of the body
        raise IncompleteRead(body, response.length)
    return body
