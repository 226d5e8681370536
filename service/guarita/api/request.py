"""The request as resources see it: who asks, until when, and its one body."""

from __future__ import annotations

import ipaddress
import random
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import falcon

from guarita.config.addresses import is_ip
from guarita.deadline import Deadline
from guarita.errors import Malformed
from guarita.sessions import Session

MAX_BODY_BYTES = 16 * 1024
MAX_DRAINED_BYTES = 1024 * 1024
DEADLINE_HEADER = "X-Guarita-Deadline-Ms"
FORWARDED_HEADER = "X-Guarita-Forwarded"

Networks = Sequence[IPv4Network | IPv6Network]

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class _Keys(dict[str, str]):
    """Under which WSGI has the headers that are asked for by name in the code."""

    def __missing__(self, name: str) -> str:
        key = self[name] = "HTTP_" + name.upper().replace("-", "_")
        return key


_KEYS = _Keys()


class Request(falcon.Request):
    """A Falcon request with an id, an address, a deadline and, where one is needed, a session."""

    def __init__(self, env: dict[str, Any], options: falcon.RequestOptions | None = None) -> None:
        super().__init__(env, options)
        self.started_at = time.monotonic()
        self.request_id = _request_id(env.get("HTTP_X_REQUEST_ID"))
        self.client_address = self.remote_addr
        self.is_https = env["wsgi.url_scheme"] == "https"
        self.deadline = Deadline(self.started_at)
        self.forwarded_by: str | None = env.get(_KEYS[FORWARDED_HEADER])
        """The region that sent it here."""
        self.guest: Session | None = None
        self._body: bytes | None = None

    def header(self, name: str) -> str | None:
        """What was sent under this name, but for `Content-Type` and `Content-Length`."""
        value: str | None = self.env.get(_KEYS[name])
        return value

    def limit(self, deadline_s: float) -> None:
        """Start the request's clock; a forwarding region may allow less, never more."""
        told = self.header(DEADLINE_HEADER)
        if told and re.fullmatch(r"[0-9]{1,7}", told):
            deadline_s = min(deadline_s, int(told) / 1000)
        self.deadline = Deadline(self.started_at + deadline_s)

    def trust(self, proxies: Networks) -> None:
        """Believe `X-Forwarded-For` and `-Proto`, as far as trusted proxies wrote them."""
        if not proxies or not _is_trusted(self.remote_addr, proxies):
            return
        hops = (self.header("X-Forwarded-For") or "").split(",")
        for hop in reversed([hop.strip() for hop in hops]):
            if not is_ip(hop):
                break
            self.client_address = hop
            if not _is_trusted(hop, proxies):
                break
        self.is_https = self.is_https or self.header("X-Forwarded-Proto") == "https"

    @property
    def is_prefetch(self) -> bool:
        """Whether a browser asks ahead of its user (Fetch standard, `Sec-Purpose`)."""
        names = ("Sec-Purpose", "Purpose", "X-Moz")
        return any((self.header(name) or "").startswith("prefetch") for name in names)

    def body(self) -> bytes:
        """The whole body.

        Raises `Malformed`, `falcon.HTTPContentTooLarge` above 16 KiB, and a 408 where it stalls.
        """
        if self._body is None:
            data = self._read(MAX_BODY_BYTES + 1)
            if len(data) > MAX_BODY_BYTES:
                text = f"The body may have at most {MAX_BODY_BYTES} bytes."
                raise falcon.HTTPContentTooLarge(description=text)
            self._body = data  # the whole of it, or it would be longer
        return self._body

    def drain(self) -> None:
        """Take in what is left of the body, within reason.

        A server that closes a connection with something unread on it resets it, and the answer
        may be lost on the way.
        """
        # Without one of them an HTTP/1.1 request has no body (RFC 9112, 6.3).
        announced = "CONTENT_LENGTH" in self.env or "HTTP_TRANSFER_ENCODING" in self.env
        if announced and self._body is None:
            with suppress(Malformed, falcon.HTTPError):
                self._read(MAX_DRAINED_BYTES)

    def _read(self, size: int) -> bytes:
        if self.content_length is None and not self.env.get("wsgi.input_terminated"):
            return b""
        length = self.content_length
        is_bounded = length is not None and length > MAX_BODY_BYTES  # and read in two goes
        stream = self.bounded_stream if is_bounded else self.stream
        try:
            return bytes(stream.read(size if is_bounded or length is None else length))
        except TimeoutError as exc:
            text = "The body took too long to arrive."
            raise falcon.HTTPError(falcon.HTTP_408, description=text) from exc
        except Exception as exc:  # every server has errors of its own for this
            raise Malformed("the body cannot be read") from exc


def _request_id(sent: str | None) -> str:
    return sent if sent and _REQUEST_ID.fullmatch(sent) else new_request_id()


def new_request_id() -> str:
    """For a request that brought none."""
    return f"{random.getrandbits(128):032x}"


def _is_trusted(address: str, proxies: Networks) -> bool:
    """A peer without an address came by a Unix socket: only a local proxy can."""
    if not is_ip(address):
        return not address
    ip = ipaddress.ip_address(address)
    return any(ip in network for network in proxies)
