"""What a process knows of who has a primary's writes: fed by the prober, asked by the pipeline.

It keeps readings, nodes and what was acknowledged; the rule is `guarita.stores.durability`.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from redis.exceptions import ReadOnlyError

from guarita.config import Durability
from guarita.stores.durability import Address, Decision, Round, View, decide, why_required

Command = tuple[bytes | str | int, ...]

WAIT_MS = 30  # then it is decided anew who must have the write
TALLIES = ("total_created", "total_used", "total_repeated", "total_refused", "total_revokes")

_REPLICA = re.compile(rb"slave\d+:ip=([^,]*),port=(\d+),state=([^,]+),offset=(\d+)")
_HISTORY = 256  # rounds; at 25 a second more than any decision looks back


@dataclass(frozen=True, slots=True)
class History:
    """Where a primary stands: its stream of writes by id and offset, and how many were counted.

    The stream's id survives a promotion (as the second one, valid up to `second_offset`) but not
    a restart; the tallies of the scripts survive both.
    """

    id: bytes
    offset: int
    tallied: int
    second_id: bytes = b""
    second_offset: int = -1

    @classmethod
    def read(cls, replication: bytes, tallies: Sequence[bytes | None]) -> History:
        """From INFO replication and HMGET of `TALLIES`."""
        fields = dict(line.split(b":", 1) for line in replication.split() if b":" in line)
        return cls(
            fields[b"master_replid"],
            int(fields[b"master_repl_offset"]),
            sum(int(each) for each in tallies if each),
            fields[b"master_replid2"],
            int(fields[b"second_repl_offset"]),
        )

    def lacks(self, acknowledged: History) -> str | None:
        """In words, why it can not hold all that was acknowledged; None if it may."""
        if self.tallied < acknowledged.tallied:
            return f"it has counted {self.tallied} changes, not {acknowledged.tallied}"
        if self.second_id == acknowledged.id and self.second_offset <= acknowledged.offset:
            return f"it left the old stream at {self.second_offset}, not {acknowledged.offset}"
        if self.id == acknowledged.id and self.offset < acknowledged.offset:
            return f"it is at {self.offset} of the same stream, not {acknowledged.offset}"
        return None


@dataclass(frozen=True, slots=True)
class Rule:
    """What the settings say of acknowledgement."""

    durability: Durability
    configured: frozenset[Address] = frozenset()
    watched: bool = True
    may_stand_alone: bool = False

    @property
    def needs_nobody(self) -> bool:
        return self.durability is Durability.FAST or not self.watched


class Guard:
    """What outlives a primary: the nodes ever seen, the readings, and what was acknowledged."""

    def __init__(self, rule: Rule, counters: bytes, *, on_doubt: Callable[[], None]) -> None:
        self.rule = rule
        self.counters = counters
        self.on_doubt = on_doubt
        self._lock = threading.Lock()
        self._rounds: deque[Round] = deque(maxlen=_HISTORY)
        self._known: set[Address] = set(rule.configured)
        self._acknowledged: History | None = None

    def observe(self, round: Round) -> None:
        """A new reading of all watchers."""
        seen = {node for reading in round.readings for node in reading.nodes}
        with self._lock:
            self._rounds.append(round)
            self._known |= seen

    def observe_nobody(self) -> None:
        """The watchers name no primary: from now on nobody's earlier word leaves anybody out."""
        now_s = time.monotonic()
        with self._lock:
            if not self._rounds or self._rounds[-1].readings:
                self._rounds.append(Round(now_s, now_s, ()))

    def note(self, nodes: frozenset[Address]) -> None:
        """Nodes that were seen."""
        with self._lock:
            self._known |= nodes

    def knows(self, node: Address) -> bool:
        """Whether it was ever seen, or is configured."""
        with self._lock:
            return node in self._known

    def remember(self, acknowledged: History) -> None:
        """Where the stream stood when everybody who must have it had all of it."""
        with self._lock:
            self._acknowledged = acknowledged

    def loss_in(self, history: History) -> str | None:
        """In words, what the primary with this history lacks of what was acknowledged here."""
        with self._lock:
            acknowledged = self._acknowledged
        return history.lacks(acknowledged) if acknowledged else None

    def decide(self, writes: Writes) -> Decision:
        view, configured = self._view(writes), self.rule.configured
        decision = decide(self.rule.durability, view, configured, time.monotonic())
        if configured and not view.known <= configured:
            counted = configured | decision.required | decision.left_out.keys()
            self._forget(view.known - counted - {writes.primary})
        return decision

    def _forget(self, gone: frozenset[Address]) -> None:
        """Nodes that were taken away: once their word is no longer to be had, it is not missed."""
        with self._lock:
            self._known -= gone

    def explain(self, writes: Writes) -> tuple[dict[Address, str], Mapping[Address, str]]:
        """Who must have a write and who is left out, each with the reason in words."""
        view, now_s = self._view(writes), time.monotonic()
        decision = decide(self.rule.durability, view, self.rule.configured, now_s)
        return why_required(self.rule.durability, view, decision, now_s), decision.left_out

    def _view(self, writes: Writes) -> View:
        with self._lock:
            return View(
                written_to=writes.primary,
                attached=writes.attached,
                # Slots and replicas move between the nodes of a Cluster: it says whose they are.
                known=frozenset() if self.rule.may_stand_alone else frozenset(self._known),
                rounds=tuple(self._rounds),
                attached_at_s=writes.attached_at_s,
                watched=self.rule.watched,
                may_stand_alone=self.rule.may_stand_alone,
            )


class Writes:
    """The acknowledgement of the writes on one connection to one primary."""

    def __init__(self, guard: Guard, primary: Address) -> None:
        self.primary = primary
        self.attached: frozenset[Address] = frozenset()
        self.attached_at_s: dict[Address, float] = {}
        self.in_doubt = False
        """Whether the last writes are not acknowledged yet."""
        self._guard = guard
        guard.note(frozenset([primary]))

    @property
    def decision(self) -> Decision:
        """Who must have a write now, and why."""
        return self._guard.decide(self)

    @property
    def reasons(self) -> tuple[dict[Address, str], Mapping[Address, str]]:
        """Who must have a write now and who is left out, each with the reason in words."""
        return self._guard.explain(self)

    @property
    def awaited(self) -> str:
        """In words, who must have the last writes; empty where they are acknowledged."""
        if not self.in_doubt:
            return ""
        nodes = ", ".join(f"{host}:{port}" for host, port in sorted(self.decision.required))
        return f"{nodes or 'at least one replica'} must have it"

    def questions(self) -> list[Command]:
        """What to send behind a batch that ends in a write; nothing where that is enough."""
        if self._guard.rule.needs_nobody:
            return []
        return [
            ("HMGET", self._guard.counters, *TALLIES),
            ("ROLE",),
            ("WAIT", len(self.attached), WAIT_MS),  # each of them is required
            ("INFO", "replication"),
        ]

    def holds(self, answers: Sequence[Any]) -> bool:
        """Whether everybody who must have the batch has it, by the answers to `questions`.

        Raises `ReadOnlyError` where the node is no primary any more: nobody knows then.
        """
        tallies, role, acknowledged, replication = answers
        if role[0] != b"master":
            raise ReadOnlyError("it is a replica now")
        offset = int(role[1])
        links = _REPLICA.findall(replication)
        online = frozenset(_address(ip, port) for ip, port, _ in role[2] if _listens(port))
        has = {
            _address(ip, port): state == b"online" and int(position) >= offset
            for ip, port, state, position in links
            if _listens(port)
        }
        attached = online | has.keys()
        # One that stays attached may be voted out meanwhile, but counts until it is gone.
        self.attached_at_s.update(dict.fromkeys(attached - self.attached, time.monotonic()))
        self.attached = attached
        decision = self.decision
        # WAIT counts links: one that broke unnoticed counts beside the one that replaced it.
        counted = acknowledged if len(has) == len(links) and len(online) == len(role[2]) else 0
        satisfied = _enough(decision, counted, has)
        self._guard.note(self.attached)
        if satisfied and _all_have_it(decision, has):
            # WAIT counts who has our last write. Others may have written since, and what they
            # wrote is in the offset and the tallies, but perhaps on no replica yet.
            history = History.read(replication, tallies)
            self._guard.remember(replace(history, offset=offset))
        self.in_doubt = not satisfied
        if self.in_doubt:
            self._guard.on_doubt()
        return satisfied


def _enough(decision: Decision, counted: int, has: dict[Address, bool]) -> bool:
    if not decision.required:
        return decision.alone_is_enough
    if counted >= len(decision.required):
        return True
    return _all_have_it(decision, has)


def _all_have_it(decision: Decision, has: dict[Address, bool]) -> bool:
    return all(has.get(node, False) for node in decision.required)


def _listens(port: bytes) -> bool:
    """Not so a tool that only takes a copy (`redis-cli --rdb`): nobody can promote it."""
    return int(port) > 0


def _address(ip: bytes, port: bytes) -> Address:
    return ip.decode(), int(port)
