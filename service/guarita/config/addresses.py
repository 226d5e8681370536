"""Types of single values that say where something is: ports, hosts, binds, URLs, networks.

Each validator raises `ValueError` with the end of a sentence that began with the value.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)

from guarita.config.values import no_bool

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\.?")
_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?)\]")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens; an IPv6 address is held without its brackets."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: object) -> Address:
        """Read `host:port`, an IPv6 address in brackets. Raises `ValueError`."""
        if isinstance(text, cls):
            return text
        if not isinstance(text, str):
            raise ValueError("not host:port")  # noqa: TRY004 - pydantic collects no other
        if "/" in text or "@" in text:
            raise ValueError("not host:port")
        host, colon, port = text.rpartition(":")
        if not colon or text.endswith("]"):
            raise ValueError("has no port: write host:port")
        return cls(_check_host(host), _check_port(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _check_host(text: str) -> str:
    """A host name or address; an IPv6 address only in brackets, which are taken away."""
    bracketed = _BRACKETED.fullmatch(text)
    if bracketed:
        try:
            return str(ipaddress.IPv6Address(bracketed[1]))
        except ValueError:
            raise ValueError(f"{text} is not an IPv6 address") from None
    if ":" in text:
        raise ValueError("an IPv6 address stands in brackets: [::1]:8000")
    if not text:
        raise ValueError("has no host: write host:port")
    if not _HOST.fullmatch(text) or (_is_dotted_number(text) and not is_ip(text)):
        raise ValueError(f"{text} is not a host name or an address")
    return text


def _is_dotted_number(text: str) -> bool:
    return re.fullmatch(r"[0-9.]+", text) is not None


def is_ip(text: str) -> bool:
    """Whether it is an address, and so no name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _check_port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise ValueError(f"{text} is not a port")
    return int(text)


def is_loopback(bind: str) -> bool:
    """Whether only this machine can reach what listens there (Unix sockets included)."""
    if bind.startswith("unix:"):
        return True
    host = Address.parse(bind).host
    return host == "localhost" or (is_ip(host) and ipaddress.ip_address(host).is_loopback)


def _addresses(addresses: tuple[Address, ...]) -> tuple[Address, ...]:
    for i, address in enumerate(addresses):
        if address in addresses[:i]:
            raise ValueError(f"{address} is named twice")
    return addresses


def _bind(text: str) -> str:
    if text.startswith("unix:"):
        if not text.startswith("unix:/"):
            raise ValueError("a Unix socket needs an absolute path: unix:/run/guarita.sock")
        return text
    return str(Address.parse(text))


def _host(text: str) -> str:
    if ":" in text and is_ip(text):
        return text
    _check_host(text)
    return text


def _port(number: int) -> int:
    _check_port(str(number))
    return number


def _origin(text: str) -> str:
    """An origin exactly as browsers send it, since it is compared as a whole string.

    https://www.rfc-editor.org/rfc/rfc6454#section-6.2
    """
    how = "an origin is scheme://host or scheme://host:port"
    if text == "null" or "*" in text:
        raise ValueError(f"{how}; name each one, there is no wildcard and no null")
    parts = _split_url(text, how)
    if parts.path or parts.query or parts.fragment or text.endswith(("?", "#")):
        raise ValueError(f"{how}, without a path or a slash at the end")
    if text != text.lower():
        raise ValueError(f"browsers send it in lower case: write {text.lower()}")
    if parts.port == _DEFAULT_PORTS[parts.scheme]:
        raise ValueError(f"browsers leave out port {parts.port}: take it away")
    return text


def _url(text: str) -> str:
    how = "a URL here is http(s)://host[:port][/path]"
    parts = _split_url(text, how)
    if parts.query or parts.fragment or text.endswith(("?", "#")):
        raise ValueError(f"{how}, without ? and #")
    return text.rstrip("/")


def _split_url(text: str, how: str) -> SplitResult:
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise ValueError(f"{how}, in printable ASCII (an international name as xn--...)")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(how) from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError(how)
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"{how}, without a user or password in it")
    if port == 0 or parts.netloc.endswith(":"):
        raise ValueError("has no real port")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    _check_host(host)
    return parts


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        pass
    else:
        return text
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError("not an address or network such as 10.0.0.0/8") from None
    raise ValueError(f"has bits set outside its mask: write {network}")


def _listen(text: str) -> str:
    return str(Address.parse(text))


def _interface(text: str) -> str:
    if text not in ("*", "-::*") and not is_ip(text.removeprefix("-")):
        raise ValueError("not an address, and not * for all of IPv4 or -::* for all of IPv6")
    return text


Port = Annotated[int, BeforeValidator(no_bool), AfterValidator(_port)]
Host = Annotated[str, AfterValidator(_host)]
HostPort = Annotated[
    Address,
    PlainValidator(Address.parse),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "examples": ["redis-1:6379"]}),
]
Addresses = Annotated[tuple[HostPort, ...], AfterValidator(_addresses)]
Listen = Annotated[str, AfterValidator(_listen)]
Interface = Annotated[str, AfterValidator(_interface)]
Bind = Annotated[str, AfterValidator(_bind)]
Network = Annotated[str, AfterValidator(_network)]
Origin = Annotated[str, AfterValidator(_origin)]
Url = Annotated[str, AfterValidator(_url)]
