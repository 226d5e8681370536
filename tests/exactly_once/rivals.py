"""One service of the harness: a process with its own network and store.

It creates tickets and redeems its share of them, each ticket by three rivals of two services.
"""

from __future__ import annotations

import hashlib
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any
from uuid import UUID

import structlog

from guarita.config import Settings
from guarita.deadline import Deadline
from guarita.errors import StoreError, StoreUnavailable
from guarita.ids import uuid4_from
from guarita.stores import guard
from guarita.stores.base import Created, Grant, Record, Redeem, Redeemed, Store
from guarita.stores.connect import open_store
from guarita.stores.durability import Address, Decision, View

from . import cuts
from .history import NOBODY, SOMEBODY_ELSE, Answer, Outcome, Truth

SERVICES = 2
RIVALS = 3
STRANGER = RIVALS  # an attempt that is made after the end only
# By turns: one that lies short in the store, and one that does not.
GRANTS = (Grant(), Grant(tenant="acme", origin="https://acme.example"))
TTL_S = 24 * 3600
CALL_S = 5.0  # one call's deadline: it ends in an error while a fault lasts
PATIENCE_S = 90.0  # how long a caller repeats its call

CREATORS = 12  # threads of one service
REDEEMERS = 3 * CREATORS

_OUTCOMES = {
    Redeemed.ADMITTED: Outcome.ACKNOWLEDGED,
    Redeemed.REPLAYED: Outcome.ACKNOWLEDGED,
    Redeemed.USED: Outcome.USED,
    Redeemed.UNKNOWN: Outcome.MISSING,
    Redeemed.DOUBTED: Outcome.DOUBTED,
}


def id_of(number: int) -> UUID:
    return uuid4_from(hashlib.sha256(f"ticket {number}".encode()).digest())


def attempt_of(number: int, rival: int) -> bytes:
    return hashlib.sha256(f"ticket {number}, attempt {rival}".encode()).digest()


def home_of(number: int, rival: int) -> int:
    """The service that this rival calls; the first one where the ticket was made."""
    return (number, number + 1, number // SERVICES)[rival] % SERVICES


def redeem_of(number: int, rival: int) -> Redeem:
    return Redeem(
        id_of(number),
        attempt_sha256=attempt_of(number, rival),
        token_sha256=hashlib.sha256(b"token of " + attempt_of(number, rival)).digest(),
        session_ttl_s=TTL_S,
        replay_window_s=TTL_S,
    )


def persist(call: Callable[[Deadline], Outcome]) -> Answer:
    """Repeat a call while the store fails it, as a page does that has time."""
    started_s, perhaps = time.monotonic(), False
    patience = Deadline.after(PATIENCE_S)
    while not patience.passed:
        try:
            outcome = call(Deadline.after(min(CALL_S, patience.remaining_s)))
        except StoreError as exc:
            perhaps = perhaps or not isinstance(exc, StoreUnavailable)
        else:
            return Answer(outcome, started_s, time.monotonic())
    outcome = Outcome.UNKNOWN if perhaps else Outcome.FAILED
    return Answer(outcome, started_s, time.monotonic())


@dataclass(slots=True)
class Part:
    """What one service saw in a round: creates by ticket, redeems by ticket and rival."""

    created: dict[int, Answer] = field(default_factory=dict)
    redeemed: dict[tuple[int, int], Answer] = field(default_factory=dict)


class Pace:
    """Lets callers on at a rate; what a stall held up is not made up for."""

    def __init__(self, rate: float) -> None:
        self._every_s = 1 / rate
        self._lock = threading.Lock()
        self._due_s = time.monotonic()

    def next(self) -> None:
        with self._lock:
            now_s = time.monotonic()
            self._due_s = max(self._due_s + self._every_s, now_s)
            delay_s = self._due_s - now_s
        time.sleep(delay_s)


class Service:
    """Runs rounds of load; the other service is told of each ticket that is there."""

    def __init__(self, index: int, store: Store, peer: Connection) -> None:
        self._index = index
        self._store = store
        self._peer = peer
        self._telling = threading.Lock()
        self._jobs: SimpleQueue[tuple[int, int] | None] = SimpleQueue()
        self._peer_is_done = threading.Semaphore(0)
        threading.Thread(target=self._listen, daemon=True).start()

    def run(self, first: int, least: int, rate: float, stop: threading.Event) -> Part:
        """Create tickets from number `first` on until told to stop, at least so many; redeem."""
        part, pace = Part(), Pace(rate)
        numbers = iter(range(first + self._index, sys.maxsize, SERVICES))
        enough = first + self._index + least * SERVICES
        drawing = threading.Lock()

        def creator() -> None:
            while True:
                pace.next()
                with drawing:
                    number = next(numbers)
                    if stop.is_set() and number >= enough:
                        return
                part.created[number] = persist(lambda left, n=number: self._create(n, left))
                self._tell(number)

        def redeemer() -> None:
            while (job := self._jobs.get()) is not None:
                part.redeemed[job] = persist(lambda left, job=job: self._redeem(*job, left))

        redeemers = _started(redeemer, REDEEMERS)
        for each in _started(creator, CREATORS):
            each.join()
        self._send(None)
        self._peer_is_done.acquire()
        for _ in redeemers:
            self._jobs.put(None)
        for each in redeemers:
            each.join()
        return part

    def look(self, asked: Iterable[tuple[int, int]]) -> dict[int, Truth]:
        """The truth of tickets, each with the rival that was told of its admission, or nobody."""
        asked = list(asked)
        with ThreadPoolExecutor(REDEEMERS) as executor:
            truths = executor.map(lambda each: self._look(*each), asked)
            return dict(zip((number for number, _ in asked), truths, strict=True))

    def _look(self, number: int, admitted: int) -> Truth:
        """Reads first: on a ticket that lost its admission, the redeems are new ones."""
        record = self._store.read(id_of(number), deadline=Deadline.after(PATIENCE_S))
        again = stranger = None
        if admitted != NOBODY:
            again = persist(lambda left: self._redeem(number, admitted, left)).outcome
            stranger = persist(lambda left: self._redeem(number, STRANGER, left)).outcome
        return Truth(record is not None, _used_by(number, record), again, stranger)

    def _create(self, number: int, deadline: Deadline) -> Outcome:
        grant = GRANTS[number // RIVALS % len(GRANTS)]
        created = self._store.create(
            id_of(number), grant, ttl_s=TTL_S, max_sessions=0, deadline=deadline
        )
        made = created in (Created.NEW, Created.REPEATED)
        return Outcome.ACKNOWLEDGED if made else Outcome.OTHER

    def _redeem(self, number: int, rival: int, deadline: Deadline) -> Outcome:
        result = self._store.redeem(redeem_of(number, rival), deadline=deadline)
        return _OUTCOMES.get(result.outcome, Outcome.OTHER)

    def _tell(self, number: int) -> None:
        self._send(number)
        self._take(number)

    def _send(self, number: int | None) -> None:
        with self._telling:
            self._peer.send(number)

    def _take(self, number: int) -> None:
        for rival in range(RIVALS):
            if home_of(number, rival) == self._index:
                self._jobs.put((number, rival))

    def _listen(self) -> None:
        while True:
            try:
                number = self._peer.recv()
            except EOFError:
                return
            if number is None:
                self._peer_is_done.release()
            else:
                self._take(number)


def _used_by(number: int, record: Record | None) -> int:
    if record is None or not record.used:
        return NOBODY
    attempts = [attempt_of(number, rival) for rival in range(RIVALS)]
    if record.attempt_sha256 not in attempts:
        return SOMEBODY_ELSE
    return attempts.index(record.attempt_sha256)


def _started(target: Callable[[], None], count: int) -> list[threading.Thread]:
    threads = [threading.Thread(target=target, daemon=True) for _ in range(count)]
    for each in threads:
        each.start()
    return threads


def trust_the_primary(_durability: Any, view: View, _nodes: frozenset[Address], _s: float) -> Any:
    """What must not be the rule: whoever the primary itself lists must have the write."""
    return Decision(view.attached)


def serve(index: int, control: Connection, peer: Connection, log: str) -> None:
    """The process of a service: does what `control` says until it is closed."""
    cuts.leave()
    control.send("left")
    control.recv()
    cuts.settle_in(index)
    control.send("settled")
    settings, trusting = control.recv()
    if trusting:
        guard.decide = trust_the_primary
    with open(log, "a", buffering=1) as file:
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(file))
        store = open_store(settings.store, settings.sessions)
        service = Service(index, store, peer)
        while True:
            try:
                command, *arguments = control.recv()
            except EOFError:
                break
            if command == "run":
                control.send(_run(service, control, *arguments))
            else:
                control.send(service.look(*arguments))
        store.close()


def _run(service: Service, control: Connection, first: int, least: int, rate: float) -> Part:
    stop = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        running = executor.submit(service.run, first, least, rate, stop)
        control.recv()  # the word to stop
        stop.set()
        return running.result()


def settings_for(sentinel: cuts.IslandSentinel, durability: str) -> Settings:
    """What a service of this installation is configured with."""
    return Settings.model_validate(
        {
            "store": {
                "topology": "sentinel",
                "durability": durability,
                "data_nodes": [str(node) for node in sentinel.nodes],
                "data": {"password": sentinel.password},
                "sentinel": {
                    "nodes": [str(node) for node in sentinel.sentinels],
                    "password": sentinel.sentinel_password,
                },
            }
        }
    )
