"""Names for the nodes of a drill, and a name server that can forget them, be late or be silent.

It is for a process that has mounts of its own, as `network.apart` gives it: what stands in
/etc/resolv.conf there is for this drill alone.
"""

from __future__ import annotations

import socket
import socketserver
import struct
import subprocess
import threading
import time
from collections.abc import Mapping
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from guarita.drill.targets.base import Shape, Spoilt
from guarita.errors import TopologyError

ZONE = "drill"
_PORT = 53
_RESOLV_CONF = Path("/etc/resolv.conf")
_HEADER = struct.Struct(">6H")
_ANSWER = struct.Struct(">3HIH4s")
_A, _INTERNET, _TTL_S = 1, 1, 1
_NO_SUCH_NAME = 3
_RESPONSE = 0x8580  # authoritative, and whatever was asked for: RFC 1035 section 4.1.1
_NAME_OF_QUESTION = 0xC00C  # a pointer to it


def lacking(shape: Shape) -> str | None:
    """Why nodes cannot have names here, in words."""
    if shape.names and not _RESOLV_CONF.exists():
        return f"there is no {_RESOLV_CONF} that could name a server of names"
    return None


def name_of(node: str) -> str:
    return f"{node}.{ZONE}"


class Names:
    """The name server, and the resolver of every process of this drill that asks it."""

    def __init__(self, addresses: Mapping[str, str], directory: Path, *, at: str) -> None:
        """It listens at this address. Raises `TopologyError`."""
        self._addresses = {name_of(node): address for node, address in addresses.items()}
        self._how = Spoilt()
        names = self

        class Asked(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                question, server = self.request
                if (told := names._answer(question)) is not None:
                    server.sendto(told, self.client_address)

        self._server = socketserver.ThreadingUDPServer((at, _PORT), Asked)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self._mount(directory, at)

    def spoil(self, how: Spoilt) -> None:
        """From now on; `Spoilt()` makes them good."""
        self._how = how

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        _run("umount", str(_RESOLV_CONF))

    def _mount(self, directory: Path, at: str) -> None:
        """Have this resolver used, and see that it is."""
        directory.mkdir(parents=True, exist_ok=True)
        mine = directory / "resolv.conf"
        mine.write_text(f"nameserver {at}\n")
        _run("mount", "--bind", str(mine), str(_RESOLV_CONF))
        for name, address in self._addresses.items():
            try:
                found = {each[4][0] for each in socket.getaddrinfo(name, None, socket.AF_INET)}
            except OSError as exc:
                raise TopologyError(f"{name} cannot be resolved in this drill: {exc}") from exc
            if found != {address}:
                raise TopologyError(f"{name} is {found} in this drill, not {address}")

    def _answer(self, question: bytes) -> bytes | None:
        """To a question of one name, as RFC 1035 has it; None: no answer."""
        how = self._how
        if how.silent or (asked := _asked(question)) is None:
            return None
        name, kind, end = asked
        time.sleep(how.late_ms / 1000)
        is_gone = name in map(name_of, how.gone)
        address = None if is_gone else self._addresses.get(name)
        answers = b""
        if address and kind == _A:
            packed = IPv4Address(address).packed
            answers = _ANSWER.pack(_NAME_OF_QUESTION, _A, _INTERNET, _TTL_S, len(packed), packed)
        told = _RESPONSE | (0 if address else _NO_SUCH_NAME)
        number = struct.unpack_from(">H", question)[0]
        header = _HEADER.pack(number, told, 1, bool(answers), 0, 0)
        return header + question[_HEADER.size : end] + answers


def _asked(question: bytes) -> tuple[str, int, int] | None:
    """The name and the kind of record that are asked for, and where the question ends."""
    labels, at = [], _HEADER.size
    try:
        while length := question[at]:
            labels.append(question[at + 1 : at + 1 + length].decode("ascii").lower())
            at += 1 + length
        (kind,) = struct.unpack_from(">H", question, at + 1)
    except (IndexError, UnicodeDecodeError, struct.error):
        return None
    return ".".join(labels), kind, at + 5


def _run(*argv: Any) -> None:
    ended = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    if ended.returncode != 0:
        raise TopologyError(f"{' '.join(argv)}: {ended.stderr.strip()}")
