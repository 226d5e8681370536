"""A node on duty, look after look: its clock is moved by hand, and its server only notes."""

from __future__ import annotations

import math
import socketserver
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import redis

from guarita.clients import client
from guarita.config import Credentials
from guarita.node.duty import Duty
from guarita.node.own import Attached, Own
from guarita.node.peers import PeerState
from guarita.node.words import Words
from guarita.stores.durability import Address

from .facts import ME, NODES, A, B, peer

INTERVAL_S = 0.125  # between two looks: sums of it are exact


class Clock:
    """In place of the module `time`."""

    now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s

    time = monotonic


class Told:
    """In place of the server that is told what to do: notes it, and may not answer."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.answers = True

    def follow(self, primary: Address) -> None:
        self._note("follow", primary)

    def lead(self) -> None:
        self._note("lead")

    def be_promotable(self, promotable: bool) -> None:
        self._note("promotable", promotable)

    def cut(self, silent: Iterable[Address], replicas: Sequence[Attached]) -> None:
        self._note("cut", frozenset(silent), replicas)

    def _note(self, *call: object) -> None:
        self.calls.append(call)
        if not self.answers:
            raise redis.TimeoutError("frozen")


class Handler(socketserver.StreamRequestHandler):
    """Answers INFO with what the server is to say, and hangs up where that is nothing."""

    server: Primary

    def handle(self) -> None:
        while line := self.rfile.readline():
            for _ in range(2 * int(line[1:])):
                self.rfile.readline()
            self.server.asked += 1
            if not self.server.info:
                return
            self.wfile.write(b"$%d\r\n%b\r\n" % (len(self.server.info), self.server.info))


class Primary(socketserver.ThreadingTCPServer):
    """What the node follows, as it is seen over its port."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = 0
        self.info = b""

    def says(self, offset: int = 100, *, lists: bool = True, role: str = "master") -> None:
        me = f"slave0:ip={ME[0]},port={ME[1]},state=online,offset=100,lag=0\r\n" if lists else ""
        other = f"slave1:ip={B[0]},port={B[1]},state=online,offset=100,lag=0\r\n"
        self.info = (
            f"# Replication\r\nrole:{role}\r\nconnected_slaves:2\r\n{me}{other}"
            f"master_replid:stream\r\nmaster_repl_offset:{offset}\r\n"
        ).encode()

    def is_gone(self) -> None:
        self.info = b""


class Scene:
    """A node, and all that its duty sees and does."""

    def __init__(self, primary: Primary, clock: Clock) -> None:
        self.primary, self.clock = primary, clock
        self.peers: Mapping[Address, PeerState | None] = {A: peer(A), B: peer(B)}
        self.peers_asked = 0
        self.words_now: Words | None = None
        """What the Sentinels say when they are asked anew, where that is something else."""
        self.clients_of: list[Address] = []

    def begin(self, *, leads: bool) -> None:
        self.server = Told()
        self.duty = Duty(
            ME,
            self.server,  # type: ignore[arg-type]
            peers=NODES - {ME},
            ask_peers=self._ask_peers,
            ask_words=lambda: self.words_now or self._heard,
            client_of=self._client_of,
            leads=leads,
        )

    def look(self, node: Own, heard: Words, *, after_s: float = INTERVAL_S) -> bool:
        """The next look at the server, which answers at once."""
        self.clock.now_s += after_s
        return self.look_of(self.clock.now_s, node, heard)

    def look_of(self, asked_s: float, node: Own, heard: Words) -> bool:
        self._heard = heard
        return self.duty.look(replace(node, asked_s=asked_s, seen_s=asked_s), heard)

    def look_for(self, seconds: float, node: Own, heard: Words) -> None:
        """Looks at the beginning of this time and all through it, but for its very end."""
        for _ in range(math.ceil(seconds / INTERVAL_S)):
            self.look(node, heard)

    def done(self) -> list[tuple[object, ...]]:
        """What the server was told since this was asked last."""
        calls, self.server.calls = self.server.calls, []
        return calls

    def _ask_peers(self, peers: frozenset[Address]) -> Mapping[Address, PeerState | None]:
        assert peers == {A, B}
        self.peers_asked += 1
        return self.peers

    def _client_of(self, address: Address) -> redis.Redis:
        self.clients_of.append(address)
        return client(("127.0.0.1", self.primary.server_address[1]), Credentials(), 5.0, 5.0)
