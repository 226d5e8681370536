"""Names for the nodes of a drill, and a name server that can forget them, be late or be silent.

They are for a process that has mounts of its own, as `network.apart` gives it: what stands in
/etc/resolv.conf and /etc/hosts there is for this drill alone.
"""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import dns.message
from dns.exception import DNSException
from dns.rcode import NXDOMAIN
from dns.rdataclass import IN
from dns.rdatatype import A
from dns.rrset import from_text

from guarita.drill.targets.base import Shape, Spoilt
from guarita.drill.targets.network import run
from guarita.errors import TopologyError

ZONE = "drill"
_PORT = 53
RESOLV_CONF = Path("/etc/resolv.conf")
HOSTS = Path("/etc/hosts")
_TTL_S = 1


def lacking(shape: Shape) -> str | None:
    """Why nodes cannot have names here, in words."""
    missing = [str(each) for each in (RESOLV_CONF, HOSTS) if not each.exists()]
    return f"there is no {' and no '.join(missing)} here" if shape.names and missing else None


def name_of(node: str) -> str:
    return f"{node}.{ZONE}"


class Names:
    """The name server, and the resolver of every process of this drill that asks it."""

    def __init__(self, addresses: Mapping[str, str], directory: Path, *, at: str) -> None:
        """It listens at this address, and tells what is in `addresses` when it is asked. Raises
        `TopologyError`."""
        self._nodes = {name_of(node): node for node in addresses}
        self._addresses = addresses
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
        with suppress(TopologyError):  # the mounts end with this process as well
            run("umount", str(RESOLV_CONF), str(HOSTS))

    def _mount(self, directory: Path, at: str) -> None:
        """Have this resolver used, and see that it is."""
        directory.mkdir(parents=True, exist_ok=True)
        for path, text in ((RESOLV_CONF, f"nameserver {at}\n"), (HOSTS, "127.0.0.1\tlocalhost\n")):
            mine = directory / path.name
            mine.write_text(text)
            run("mount", "--bind", str(mine), str(path))
        for name, node in self._nodes.items():
            address = self._addresses[node]
            try:
                found = {each[4][0] for each in socket.getaddrinfo(name, None, socket.AF_INET)}
            except OSError as exc:
                raise TopologyError(f"{name} cannot be resolved in this drill: {exc}") from exc
            if found != {address}:
                raise TopologyError(f"{name} is {found} in this drill, not {address}")

    def _answer(self, question: bytes) -> bytes | None:
        """To a question for one name; None: no answer."""
        how = self._how
        if how.silent:
            return None
        try:
            asked = dns.message.from_wire(question)
            (wanted,) = asked.question
        except (DNSException, ValueError):
            return None
        time.sleep(how.late_ms / 1000)
        reply = dns.message.make_response(asked)
        name = wanted.name.to_text(omit_final_dot=True).lower()
        node = self._nodes.get(name)
        if node is not None and node not in how.gone:
            if wanted.rdtype == A:
                reply.answer.append(from_text(wanted.name, _TTL_S, IN, A, self._addresses[node]))
        else:
            reply.set_rcode(NXDOMAIN)
        return reply.to_wire()
