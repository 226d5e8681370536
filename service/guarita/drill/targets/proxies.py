"""TCP proxies in front of nodes: links can be cut where a drill cannot have a network of its own.

Each node listens at 127.0.0.1 and is announced at 127.0.0.2, where its proxy passes connections on.
A proxy knows whose a connection is by the directory that the process at its other end works in.
What is cut off is accepted and hears nothing. Only TCP between processes of one drill is cut, and a
caller who is nobody of the drill is hung up on.

`python -m guarita.drill.targets.proxies DIRECTORY NODE PORT...` runs that of one node until the end
of its input. Each line of that is all that is cut from now on, and is answered.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import IO

from guarita.drill.targets.base import Shape
from guarita.errors import TopologyError
from guarita.processes import has_socket
from guarita.topology.local.ports import HOST as BEHIND

HOST = "127.0.0.2"
BLOCK = 65_536
_PROC = Path("/proc")
# Of linux/netlink.h and linux/inet_diag.h.
_SOCK_DIAG, _BY_FAMILY, _REQUEST = 4, 20, 1
_HEADER, _INODE_AT = 16, 84
_EVERY_STATE = 0xFFFFFFFF
_RESET = struct.pack("ii", 1, 0)  # of SO_LINGER: closed by a reset, whatever was said or not

Link = tuple[str, str]
"""From whom, to whom."""


def lacking(shape: Shape) -> str | None:
    """Why there cannot be proxies in between, in words."""
    if sys.platform != "linux":
        return "proxies in between need Linux, which tells whose a connection is"
    if shape.topology != "sentinel" or not shape.agents:
        return "only nodes of a Sentinel installation under agents can have proxies in between"
    return None if _tells_callers() else "this machine does not tell whose a connection is"


def _tells_callers() -> bool:
    here = Path.cwd()
    try:
        with (
            socket.create_server((HOST, 0)) as server,
            socket.create_connection(server.getsockname()),
            server.accept()[0] as accepted,
        ):
            return Callers(here.parent).name_of(accepted) == here.name
    except OSError:  # such as where sandboxes do not offer sock_diag(7)
        return False


class Proxies:
    """Those of one installation, in processes that end with this one: each node has one, so that it
    is not kept waiting by what passes to others."""

    def __init__(self, directory: Path) -> None:
        """`directory` holds those of nodes and services, by their names."""
        self._directory = directory
        self._log = directory / "proxies.log"
        self._processes: list[subprocess.Popen[str]] = []
        self._cuts: set[Link] = set()

    def start(self, ports: Mapping[str, Sequence[int]]) -> None:
        """Listen for these nodes, instead of others before. Raises `TopologyError`."""
        self.close()
        with self._log.open("ab") as log:
            self._processes = [self._process(node, numbers, log) for node, numbers in ports.items()]
        self._tell()

    def _process(self, node: str, ports: Sequence[int], log: IO[bytes]) -> subprocess.Popen[str]:
        words = [str(self._directory.resolve()), node, *map(str, ports)]
        return subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", __name__, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )

    def cut(self, some: Iterable[str], others: Iterable[str], *, one_way: bool = False) -> None:
        """Nothing passes any more from some to the others, nor back unless `one_way`."""
        pairs = list(product(some, others))
        self._cuts.update(pairs)
        if not one_way:
            self._cuts.update((to, source) for source, to in pairs)
        self._tell()

    def mend(self) -> None:
        """Everything passes again, also what was held back."""
        if self._cuts:
            self._cuts.clear()
            self._tell()

    def close(self) -> None:
        """End them; repeatable."""
        processes, self._processes = self._processes, []
        for each in processes:
            each.kill()
        for each in processes:
            with suppress(OSError), each:  # what it was told last has nobody to read it
                pass

    def _tell(self) -> None:
        """All of them, and then hear from all."""
        if not self._processes:
            raise TopologyError("the proxies were not started")
        with suppress(OSError):
            for each in self._processes:
                print(json.dumps(sorted(self._cuts)), file=each.stdin, flush=True)
            if all(each.stdout and each.stdout.readline() for each in self._processes):
                return
        self.close()
        raise TopologyError(f"the proxies in between have ended: see {self._log}")


# Their process


class Relay:
    """The proxies of one node, and what is cut."""

    def __init__(self, directory: Path) -> None:
        self._callers = Callers(directory)
        self._cuts: set[Link] = set()
        self._changed = asyncio.Condition()

    async def serve(self, node: str, port: int) -> None:
        """Raises `OSError` where somebody listens there already."""

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                await self._join(node, port, reader, writer)
            writer.transport.abort()  # as by a server that is not there

        await asyncio.start_server(connected, HOST, port, backlog=1024)

    async def change(self, cuts: Iterable[Link]) -> None:
        """What is cut from now on."""
        async with self._changed:
            self._cuts = set(cuts)
            self._changed.notify_all()

    async def _join(
        self, node: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        accepted = writer.get_extra_info("socket")
        caller = self._callers.name_of(accepted)
        if not caller:
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            return
        there, back = (caller, node), (node, caller)
        if not self._cuts.isdisjoint((there, back)):  # to shake hands takes both ways
            await self._passes(there, back)
            return  # what was said in vain is not passed on later
        far_reader, far_writer = await asyncio.open_connection(BEHIND, port)
        try:
            await asyncio.gather(
                self._pass_on(reader, far_writer, there), self._pass_on(far_reader, writer, back)
            )
        finally:
            far_writer.transport.abort()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: Link
    ) -> None:
        """All bytes, and then the end, which does not pass a cut either."""
        with suppress(OSError):
            while data := await reader.read(BLOCK):
                await self._passes(link)
                writer.write(data)
                await writer.drain()
        await self._passes(link)
        writer.close()

    async def _passes(self, *links: Link) -> None:
        """Return when none of these is cut."""
        if self._cuts.isdisjoint(links):
            return
        async with self._changed:
            await self._changed.wait_for(lambda: self._cuts.isdisjoint(links))


class Callers:
    """Whose connections are, by the directories that processes work in."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._processes: dict[Path, str] = {}
        """Those that were met, with the names of their directories."""

    def name_of(self, accepted: socket.socket) -> str | None:
        """The node or service whose process holds the other end; None where that cannot be told: it
        is somebody else, or gone already."""
        inode = inode_of(accepted.getpeername(), accepted.getsockname())
        if not inode:
            return None
        return self._holder(self._processes, inode) or self._holder(self._unmet(), inode)

    def _holder(self, processes: Mapping[Path, str], inode: int) -> str | None:
        for process, name in list(processes.items()):
            try:
                if has_socket(process, inode):
                    return name
            except OSError:  # gone meanwhile, or another user's
                self._processes.pop(process, None)
        return None

    def _unmet(self) -> Mapping[Path, str]:
        """All of them anew: a process may work elsewhere than when it was met."""
        self._processes.clear()
        for process in _PROC.glob("[0-9]*"):
            with suppress(OSError, ValueError):  # gone meanwhile, another user's, or elsewhere
                place = (process / "cwd").readlink().relative_to(self._directory)
                self._processes[process] = place.parts[0] if place.parts else ""
        return self._processes


def inode_of(local: tuple[str, int], remote: tuple[str, int]) -> int | None:
    """Of the socket of this machine with these ends, as sock_diag(7) has it; 0 where its process
    has closed it already, None where there is none.

    /proc/net/tcp tells it too, after a walk through all sockets that there could be.
    """
    ends = (
        struct.pack("!HH", local[1], remote[1])
        + socket.inet_aton(local[0]).ljust(16, b"\0")
        + socket.inet_aton(remote[0]).ljust(16, b"\0")
    )
    question = struct.pack("=BBxxI", socket.AF_INET, socket.IPPROTO_TCP, _EVERY_STATE) + ends
    question += struct.pack("=III", 0, _EVERY_STATE, _EVERY_STATE)  # any interface, no cookie
    header = struct.pack("=IHHII", _HEADER + len(question), _BY_FAMILY, _REQUEST, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as asking:
        asking.send(header + question)
        answer = asking.recv(4096)
    kind = struct.unpack_from("=H", answer, 4)[0]
    return struct.unpack_from("=I", answer, _INODE_AT)[0] if kind == _BY_FAMILY else None


async def run(directory: Path, node: str, ports: Iterable[int]) -> None:
    """Until the end of the input."""
    relay = Relay(directory)
    for port in ports:
        await relay.serve(node, port)
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        await relay.change((source, to) for source, to in json.loads(line))
        print("done", flush=True)  # noqa: T201 - to who asked


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2], map(int, sys.argv[3:])))
