"""Where the service listens: whether it can, and as what the name of a host is reached."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Any

from guarita.config import Address
from guarita.errors import TopologyError

UNIX = "unix:"


def check_address(bind: str) -> None:
    """Raises `TopologyError` with one sentence when nothing can listen at `bind`."""
    if bind.startswith(UNIX):
        folder = Path(bind.removeprefix(UNIX)).parent
        if not os.access(folder, os.W_OK):
            raise TopologyError(f"server.bind: {bind}: {folder} is no directory to write to")
        return
    try:
        family, kind, protocol, _, where = _resolve(bind)
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            hint = "is taken by another process; stop it, or set server.bind to a free port"
        else:
            hint = f"cannot be listened at: {exc.strerror}"
        raise TopologyError(f"server.bind: {bind}: {hint}") from exc


def ip_and_port(bind: str) -> tuple[str, int]:
    """`bind` with its host as an IP address: what `check_address` has tried."""
    where = _resolve(bind)[-1]
    return where[0], where[1]


def _resolve(bind: str) -> tuple[Any, Any, int, str, Any]:
    address = Address.parse(bind)
    return socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
