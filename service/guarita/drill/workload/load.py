"""The load: hosts create, pages redeem with rivals, guests verify, somebody reads the status.

At a fixed rate, whether or not earlier requests have been answered, as users do.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import secrets
import ssl
import threading
import time
from collections import deque
from collections.abc import Coroutine, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

from guarita.drill.clock import Clock
from guarita.drill.history import Answer, Kind, Operation, Outcome
from guarita.drill.lines import Writer
from guarita.drill.workload.asking import Asker, Told
from guarita.drill.workload.client import Client, request_of
from guarita.drill.workload.tickets import Ticket, Tickets, token_hash
from guarita.processes import wait_until

REDEEM_TRIES = 4  # of a page: it asks again with the same attempt
LOOK_TRIES = 60
LOOKERS = 32
STEADY_S = 2.0  # so long without a gap of GAP_S, and callers are served again
GAP_S = 0.4
BEHIND_S = 0.5  # what the load is late by at most: it does not catch up on more
STATUS_EVERY_S = 1.0
DRAIN_S = 60.0
# Shares of the requests; the status is read besides. While few tickets are open, fewer are redeemed
# and more are made.
_CREATE, _REDEEM, _REVOKE = 0.28, 0.5, 0.01
_REDEEM_OF_FEW = 0.25
_CLEAR = (Answer.UNAVAILABLE, Answer.IN_DOUBT)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Place:
    """A service that clients call."""

    name: str
    host: str
    port: int
    tls: bool = False


class Load:
    """Begins with `start`; `drain` ends it; `look` asks for each ticket once more."""

    def __init__(
        self,
        places: Sequence[Place],
        clock: Clock,
        writer: Writer,
        *,
        rate: float,
        seed: int,
        api_key: str,
    ) -> None:
        self._clock = clock
        self._writer = writer
        self._rate = rate
        self._rng = random.Random(seed)  # noqa: S311 - nothing here is a secret
        # Not by the seed: an installation that lives on would know the tickets of the last time.
        self._tag = secrets.token_hex(4)
        self._key = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._askers = [Asker(e.name, _client_of(e), self._rng) for e in places]
        self._tickets = Tickets(self._rng)
        self._ids = itertools.count()
        self._numbers = itertools.count()
        self.unclear_failures = 0
        """Requests that failed in the end, and were not told so by a 503 of the service."""
        self.refusal = "nothing was answered"
        """How a create was answered last that did not succeed."""
        self.has_written = False
        self._successes: deque[float] = deque(maxlen=5000)
        self._pending: set[asyncio.Task[None]] = set()
        self._errors: list[BaseException] = []
        self._stopping = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._pacing: Future[None] | None = None

    # From any thread

    def start(self) -> None:
        self._thread.start()
        self._pacing = asyncio.run_coroutine_threadsafe(self._pace(), self._loop)

    def stop_asking(self) -> None:
        """Begin nothing more; what is under way goes on."""
        self._stopping.set()

    def drain(self) -> None:
        """Return when all that was begun has ended, or was given up as open. Repeatable."""
        self.stop_asking()
        if self._pacing is not None:
            self._pacing.result()
        self._call(self._end_pending())
        if self._errors:
            raise self._errors[0]

    def look(self) -> None:
        """After `drain`: what became of each acknowledged ticket."""
        self._call(self._look_at_all())

    def close(self) -> None:
        """End its thread; what is under way is cut off."""
        self.stop_asking()
        if not self._thread.is_alive():
            return
        if self._pacing is not None:
            self._pacing.result()
        self._call(self._end_all())
        for each in self._askers:
            self._call(each.end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def lose_answers(self, share: float) -> None:
        """From now on, this share of the answers to redeems does not reach its page."""
        for each in self._askers:
            each.lost_share = share

    def wait_steady(self, timeout_s: float) -> bool:
        """Whether writes succeed without a gap again, within so long."""
        since_s = time.monotonic()
        return wait_until(lambda: self._is_steady(since_s), timeout_s=timeout_s, pause_s=0.05)

    @property
    def failed_tries(self) -> int:
        """Requests that got no answer, or 503, whatever became of their repeats."""
        return sum(each.failed_tries for each in self._askers)

    @property
    def lost_answers(self) -> int:
        """Answers to redeems that were lost because a fault wanted that."""
        return sum(each.lost_answers for each in self._askers)

    @property
    def acknowledged(self) -> int:
        """How many tickets there are."""
        return len(self._tickets.all)

    def _is_steady(self, since_s: float) -> bool:
        now_s = time.monotonic()
        recent = [each for each in tuple(self._successes) if each > now_s - STEADY_S]
        gaps = (later - earlier for earlier, later in pairwise([now_s - STEADY_S, *recent, now_s]))
        return now_s > since_s + STEADY_S and max(gaps) < GAP_S

    def _call(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    # In the loop's thread

    async def _pace(self) -> None:
        due_s = status_s = time.monotonic()
        while not self._stopping.is_set():
            now_s = time.monotonic()
            if now_s >= status_s:
                status_s += STATUS_EVERY_S
                self._spawn(self._status())
            due_s = max(due_s, now_s - BEHIND_S)
            while due_s <= now_s:
                due_s += self._begin() / self._rate
            await asyncio.sleep(max(0.001, due_s - now_s))

    def _begin(self) -> int:
        """Begin what is next by chance; returns how many requests that is."""
        chance = self._rng.random()
        redeem = _REDEEM_OF_FEW if self._tickets.are_few else _REDEEM
        if chance < _REVOKE and (session := self._tickets.draw_last_session()):
            self._spawn(self._revoke(session))
            return 1
        if chance < _REVOKE + redeem and (drawn := self._tickets.draw_redeem()):
            ticket, attempts = drawn
            for attempt in attempts:
                self._spawn(self._redeem(ticket, attempt))
            return len(attempts)
        session = self._tickets.draw_session()
        if session is None or chance < _REVOKE + _REDEEM + _CREATE:
            self._spawn(self._create())
        else:
            self._spawn(self._verify(session))
        return 1

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._pending.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._pending.discard(task)
        if not task.cancelled() and (error := task.exception()):  # a fault of the load itself
            self._errors.append(error)

    async def _end_pending(self, within_s: float = DRAIN_S) -> None:
        if self._pending:
            await asyncio.wait(self._pending, timeout=within_s)
        await _cancel(self._pending)

    async def _end_all(self) -> None:
        """Also a last look that was begun."""
        await _cancel(asyncio.all_tasks() - {asyncio.current_task()})

    # Clients

    async def _create(self) -> None:
        number = next(self._numbers)
        name = f"t{number:06}"
        headers = {**self._key, "Idempotency-Key": f"drill-{self._tag}-{number}"}
        request = request_of("POST", "/auth/create-session", **headers)
        told = await self._ask(Kind.CREATE, request, client=f"host-{number % 8}", ticket=name)
        if told.answer is Answer.CREATED and told.reply:
            self._tickets.add(name, told.reply.json["session_id"])

    async def _redeem(self, ticket: Ticket, attempt: str) -> None:
        told = await self._ask(
            Kind.REDEEM,
            redeem_request(ticket, attempt),
            client=f"page-{attempt}",
            ticket=ticket.name,
            attempt=attempt,
            tries=REDEEM_TRIES,
        )
        token = _token(told)
        ticket.note(attempt, told.outcome, token)
        if token:
            self._tickets.admitted(ticket)

    async def _verify(self, ticket: Ticket) -> None:
        await self._ask(
            Kind.VERIFY,
            verify_request(ticket),
            client="guest",
            ticket=ticket.name,
            attempt=ticket.attempt,
        )

    async def _revoke(self, ticket: Ticket) -> None:
        body = {"session_id": ticket.id}
        request = request_of("POST", "/auth/revoke", body, **self._key)
        await self._ask(Kind.REVOKE, request, client="host-revoke", ticket=ticket.name)

    async def _status(self, client: str = "status", tries: int = 1) -> None:
        request = request_of("GET", "/auth/session-status", **self._key)
        await self._ask(Kind.STATUS, request, client=client, tries=tries)

    async def _ask(
        self,
        kind: Kind,
        request: bytes,
        *,
        client: str,
        ticket: str | None = None,
        attempt: str | None = None,
        tries: int = 1,
    ) -> Told:
        """Ask one service, by chance, and record it."""
        asker = self._rng.choice(self._askers)
        id, started_us = next(self._ids), self._clock.now_us
        told, ended_us = Told(Outcome.UNKNOWN, Answer.NO_ANSWER), None
        try:
            told = await asker.ask(kind, request, tries=tries)
            ended_us = self._clock.now_us
            self.unclear_failures += told.outcome is not Outcome.OK and told.answer not in _CLEAR
        finally:
            counters = told.reply.json if told.answer is Answer.COUNTED and told.reply else {}
            token = _token(told) if kind is Kind.REDEEM else ""
            if token or kind is Kind.CREATE:
                self._note_success(told)
            self._writer.write(
                Operation(
                    id=id,
                    client=client,
                    kind=kind,
                    started_us=started_us,
                    ended_us=ended_us,
                    outcome=told.outcome,
                    answer=told.answer,
                    ticket=ticket,
                    attempt=attempt,
                    status=told.reply.status if told.reply else None,
                    retries=told.retries,
                    place=asker.place,
                    token=token_hash(token) if token else None,
                    total_created=counters.get("total_created"),
                    total_used=counters.get("total_used"),
                )
            )
        return told

    def _note_success(self, told: Told) -> None:
        if told.outcome is Outcome.OK:
            self.has_written = True
            self._successes.append(time.monotonic())
        else:
            how = f"with status {told.reply.status}" if told.reply else f"as {told.answer}"
            self.refusal = f"the last create ended {how}"

    # The last look

    async def _look_at_all(self) -> None:
        left = iter(self._tickets.all)

        async def looker() -> None:
            for ticket in left:
                await self._look(ticket)

        await asyncio.gather(*(looker() for _ in range(LOOKERS)))
        await self._status(client="look", tries=LOOK_TRIES)

    async def _look(self, ticket: Ticket) -> None:
        """A session is verified, and its page asks again; a stranger asks; who was not told how it
        ended asks again."""
        if ticket.token:
            await self._insist(Kind.VERIFY, verify_request(ticket), ticket, ticket.attempt)
            again = redeem_request(ticket, ticket.attempt)
            await self._insist(Kind.REDEEM, again, ticket, ticket.attempt)
        stranger = f"{ticket.name}-look"
        told = await self._insist(Kind.REDEEM, redeem_request(ticket, stranger), ticket, stranger)
        if told.answer is Answer.REFUSED and not ticket.token:
            for attempt in ticket.in_doubt:
                await self._insist(Kind.REDEEM, redeem_request(ticket, attempt), ticket, attempt)

    async def _insist(self, kind: Kind, request: bytes, ticket: Ticket, attempt: str) -> Told:
        return await self._ask(
            kind, request, client="look", ticket=ticket.name, attempt=attempt, tries=LOOK_TRIES
        )


async def _cancel(tasks: Iterable[asyncio.Task[Any] | None]) -> None:
    left = [each for each in tasks if each is not None]
    for each in left:
        each.cancel()
    await asyncio.gather(*left, return_exceptions=True)


def _client_of(place: Place) -> Client:
    tls = ssl.create_default_context() if place.tls else None
    return Client(place.port, place.host, tls)


def redeem_request(ticket: Ticket, attempt: str) -> bytes:
    body = {"session_id": ticket.id, "attempt": f"attempt-{attempt}"}
    return request_of("POST", "/auth/redeem", body)


def verify_request(ticket: Ticket) -> bytes:
    return request_of("GET", "/auth/verify", Authorization=f"Bearer {ticket.token}")


def _token(told: Told) -> str:
    if told.answer is not Answer.ADMITTED or told.reply is None:
        return ""
    return str(told.reply.json["session_token"])
