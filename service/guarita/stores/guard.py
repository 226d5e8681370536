"""What a process knows of who has a primary's writes: fed by the prober, asked by the pipeline.

It keeps the readings and the nodes; the rule itself is `guarita.stores.durability`.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable

from guarita.config import Durability
from guarita.stores.durability import Address, Decision, Round, View, decide
from guarita.stores.pipeline import Written

_REPLICA = re.compile(rb"slave\d+:ip=([^,]*),port=(\d+),state=([^,]+),offset=(\d+)")
_HISTORY = 128  # rounds; at ten a second more than any decision looks back


class Guard:
    """The durability of the writes to one primary at a time."""

    def __init__(
        self,
        durability: Durability,
        configured: frozenset[Address],
        *,
        watched: bool,
        may_stand_alone: bool,
        on_doubt: Callable[[], None],
    ) -> None:
        self._durability = durability
        self._configured = configured
        self._watched = watched
        self._may_stand_alone = may_stand_alone
        self._on_doubt = on_doubt
        self._lock = threading.Lock()
        self._rounds: deque[Round] = deque(maxlen=_HISTORY)
        self._known: set[Address] = set(configured)
        self._attached: frozenset[Address] = frozenset()
        self._attached_at_s: dict[Address, float] = {}
        self._primary: Address = ("", 0)
        self._satisfied = True

    @property
    def in_doubt(self) -> bool:
        """Whether the last writes are not acknowledged yet: readings matter now."""
        return not self._satisfied

    @property
    def decision(self) -> Decision:
        """Who must have a write now, and why."""
        with self._lock:
            return self._decide()

    @property
    def doubts(self) -> str:
        """In words, whom the last writes still wait for; empty where for nobody."""
        if self._satisfied:
            return ""
        decision = self.decision
        awaited = ", ".join(f"{host}:{port}" for host, port in sorted(decision.required))
        return f": {awaited or 'at least one replica'} must have it"

    def begin(self, primary: Address) -> None:
        """Writes go to another primary from here on."""
        with self._lock:
            self._known |= {primary, self._primary} - {("", 0)}
            self._primary = primary
            self._attached = frozenset()
            self._attached_at_s.clear()

    def observe(self, round: Round) -> None:
        """A new reading of all watchers."""
        with self._lock:
            self._rounds.append(round)
            for reading in round.readings:
                self._known |= {reading.primary, *reading.replicas}
            if self._configured:
                self._known &= self._configured

    # What the pipeline asks

    def to_wait_for(self) -> int | None:
        if self._durability is Durability.FAST or not self._watched:
            return None
        with self._lock:
            return len(self._decide().required & self._attached) or len(self._attached)

    def holds(self, written: Written) -> bool:
        online = frozenset(_address(ip, port) for ip, port, _ in written.role[2])
        offset = int(written.role[1])
        has = {
            _address(ip, port): int(acknowledged) >= offset and state == b"online"
            for ip, port, state, acknowledged in _REPLICA.findall(written.replication)
        }
        with self._lock:
            self._note_attached(online | has.keys())
            decision = self._decide()
            satisfied = _enough(decision, written.acknowledged, has)
            doubts = self._satisfied and not satisfied
            self._satisfied = satisfied
        if doubts:
            self._on_doubt()
        return satisfied

    def _note_attached(self, attached: frozenset[Address]) -> None:
        now_s = time.monotonic()
        self._attached = attached
        self._known |= attached
        for node in attached:
            self._attached_at_s[node] = now_s

    def _decide(self) -> Decision:
        view = View(
            written_to=self._primary,
            attached=self._attached,
            known=frozenset(self._known),
            rounds=self._rounds,
            attached_at_s=self._attached_at_s,
            watched=self._watched,
            may_stand_alone=self._may_stand_alone,
        )
        return decide(self._durability, view, self._configured, time.monotonic())


def _enough(decision: Decision, acknowledged: int, has: dict[Address, bool]) -> bool:
    if not decision.required:
        return decision.alone_is_enough
    if not decision.check_identities and acknowledged >= decision.count:
        return True
    return all(has.get(node, False) for node in decision.required)


def _address(ip: bytes, port: bytes) -> Address:
    return ip.decode(), int(port)
