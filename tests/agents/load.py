"""The load: hosts create, pages redeem with a rival each, others verify, at a fixed rate.

It goes on whether or not earlier requests have been answered, as users do.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import threading
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from itertools import cycle, pairwise
from typing import Any, TypeVar

from guarita.drill.workload.client import AnswerLostError, Client, NotSentError, Reply, request_of
from guarita.processes import wait_until

from ..exactly_once.history import NOBODY, Answer, Outcome, Ticket, Truth
from .counting import Count, History, Verify

RATE = 200.0  # requests a second in all
RIVALS = 2
PATIENCE_S = 60.0  # how long the truth of a ticket is asked for, after the end
LOOKERS = 32
STEADY_S = 2.0  # so long without a gap of GAP_S, and the fault is over for callers
GAP_S = 0.4
# A redeem is two requests, so a place is left out behind it; a third of the tickets stay.
_TURNS = ("create", "redeem", "", "create", "verify", "redeem", "", "create", "verify", "verify")
_COUNT_EVERY = 50

_T = TypeVar("_T")


@dataclass(slots=True)
class _Followed:
    """An acknowledged ticket and what became of it so far."""

    number: int
    id: str
    created: Answer
    rivals: list[Answer] = field(default_factory=list)
    token: str = ""

    def attempt(self, rival: int) -> str:
        return f"ticket-{self.number:08}-rival-{rival}"


class Load:
    """Begins with `start`; after `stop`, `history` is complete and says what is true in the end."""

    def __init__(
        self,
        port: int,
        *,
        rate: float = RATE,
        tls: ssl.SSLContext | None = None,
        api_key: str | None = None,
    ) -> None:
        self._client = Client(port, tls=tls)
        host = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._create_request = request_of("POST", "/auth/create-session", **host)
        self._status_request = request_of("GET", "/auth/session-status", **host)
        self._every_s = 1 / rate
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, daemon=True)
        self._tickets: list[_Followed] = []
        self._unused: list[_Followed] = []
        self._sessions: list[_Followed] = []
        self._creates: list[Answer] = []
        self._verifies: list[Verify] = []
        self._counts: list[Count] = []
        self._successes: list[float] = []
        self._pending: set[asyncio.Task[None]] = set()
        self._errors: list[BaseException] = []
        self._stopping = threading.Event()
        self._ended_s = 0.0
        self.cpu_s = 0.0

    # From any thread

    def start(self) -> None:
        self._began_s = time.monotonic()
        self._thread.start()
        self._pacing = asyncio.run_coroutine_threadsafe(self._pace(), self._loop)

    def stop(self, *, after_s: float = 0.0) -> None:
        """Begin nothing more, and return when everything is answered; repeatable. Not before the
        load has lasted so long."""
        self._stopping.wait(self._began_s + after_s - time.monotonic())
        self._stopping.set()
        self._pacing.result()

    def close(self) -> None:
        """End its thread."""
        self.stop()
        self._call(self._client.end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def wait_steady(self, timeout_s: float, *, since_s: float = 0.0) -> bool:
        """Whether writes succeed without a gap again, within so long."""
        return wait_until(lambda: self._steady(since_s), timeout_s=timeout_s, pause_s=0.05)

    def history(self) -> History:
        """After `stop`: every request, and each acknowledged ticket as it is now."""
        truths = self._call(self._look_at_all())
        return History(
            tuple(
                Ticket(each.number, each.created, tuple(each.rivals), truth)
                for each, truth in zip(self._tickets, truths, strict=True)
            ),
            tuple(self._creates),
            tuple(self._verifies),
            tuple(self._counts),
            self._ended_s,
        )

    def _steady(self, since_s: float) -> bool:
        now_s = time.monotonic()
        recent = [each for each in self._successes[-2000:] if each > now_s - STEADY_S]
        ends = [now_s - STEADY_S, *recent, now_s]
        gaps = (later - earlier for earlier, later in pairwise(ends))
        return now_s > since_s + STEADY_S and max(gaps) < GAP_S

    def _call(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _run_loop(self) -> None:
        began_s = time.thread_time()
        self._loop.run_forever()
        self.cpu_s = time.thread_time() - began_s

    # In the loop's thread

    async def _pace(self) -> None:
        await self._count()
        due_s = time.monotonic()
        for number, turn in enumerate(cycle(_TURNS)):
            if self._stopping.is_set():
                break
            self._begin("count" if number % _COUNT_EVERY == _COUNT_EVERY - 1 else turn)
            due_s += self._every_s
            if (delay_s := due_s - time.monotonic()) > 0:
                await asyncio.sleep(delay_s)
        self._ended_s = time.monotonic()
        while self._pending:
            await asyncio.wait(self._pending)
        if self._errors:
            raise self._errors[0]

    def _begin(self, turn: str) -> None:
        if turn == "redeem" and self._unused:
            ticket = self._draw()
            for rival in range(RIVALS):
                self._spawn(self._redeem(ticket, rival))
        elif turn == "redeem":  # nothing to redeem yet
            self._spawn(self._create())
            self._spawn(self._create())
        elif turn == "create" or (turn == "verify" and not self._sessions):
            self._spawn(self._create())
        elif turn == "verify":
            self._spawn(self._verify(random.choice(self._sessions)))
        elif turn == "count":
            self._spawn(self._count())

    def _draw(self) -> _Followed:
        """Any unused ticket, so that those which stay are of every age."""
        place = random.randrange(len(self._unused))
        self._unused[place], self._unused[-1] = self._unused[-1], self._unused[place]
        return self._unused.pop()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._pending.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._pending.discard(task)
        if error := task.exception():  # a fault of the load itself: `stop` raises it
            self._errors.append(error)

    async def _create(self) -> None:
        answer, reply = await self._ask(self._create_request)
        if reply is None or answer.outcome is not Outcome.ACKNOWLEDGED:
            self._creates.append(answer)
            return
        self._successes.append(answer.ended_s)
        ticket = _Followed(len(self._tickets), reply.json["session_id"], answer)
        self._tickets.append(ticket)
        self._unused.append(ticket)

    async def _redeem(self, ticket: _Followed, rival: int) -> None:
        place = len(ticket.rivals)
        ticket.rivals.append(Answer(Outcome.UNKNOWN, time.monotonic(), 0.0))
        answer, reply = await self._ask(_redeem_of(ticket, rival))
        ticket.rivals[place] = answer
        if reply is not None and answer.outcome is Outcome.ACKNOWLEDGED:
            self._successes.append(answer.ended_s)
            ticket.token = reply.json["session_token"]
            self._sessions.append(ticket)

    async def _verify(self, ticket: _Followed) -> None:
        answer, _ = await self._ask(_verify_of(ticket))
        if answer.outcome is Outcome.USED:  # nobody may be told that of a session
            answer = Answer(Outcome.MISSING, answer.started_s, answer.ended_s)
        self._verifies.append(Verify(ticket.number, answer))

    async def _count(self) -> None:
        answer, reply = await self._ask(self._status_request)
        if reply is None or answer.outcome is not Outcome.ACKNOWLEDGED:
            self._counts.append(Count(answer))
            return
        told = reply.json
        self._counts.append(Count(answer, told["total_created"], told["total_used"]))

    async def _ask(self, request: bytes) -> tuple[Answer, Reply | None]:
        started_s, reply = time.monotonic(), None
        try:
            reply = await self._client.call(request)
        except NotSentError:
            outcome = Outcome.FAILED
        except AnswerLostError:
            outcome = Outcome.UNKNOWN
        else:
            outcome = outcome_of(reply)
        return Answer(outcome, started_s, time.monotonic()), reply

    # The truth in the end

    async def _look_at_all(self) -> list[Truth]:
        truths: dict[int, Truth] = {}
        left = iter(self._tickets)

        async def looker() -> None:
            for ticket in left:
                truths[ticket.number] = await self._look(ticket)

        await asyncio.gather(*(looker() for _ in range(LOOKERS)))
        return [truths[ticket.number] for ticket in self._tickets]

    async def _look(self, ticket: _Followed) -> Truth:
        """A session is verified and a stranger refused; what is unused is redeemed by him."""
        live = bool(ticket.token) and await self._insist(_verify_of(ticket))
        if await self._insist(_redeem_of(ticket, RIVALS)):
            admitted = Outcome.ACKNOWLEDGED if ticket.token else None
            return Truth(exists=True, used_by=NOBODY, stranger=admitted)
        outcomes = [each.outcome for each in ticket.rivals]
        if live:
            return Truth(True, outcomes.index(Outcome.ACKNOWLEDGED), stranger=Outcome.USED)
        # Whoever was not told asks again, and the one who has it is told so.
        untold = (Outcome.UNKNOWN, Outcome.FAILED) if not ticket.token else ()
        for rival, outcome in enumerate(outcomes):
            if outcome in untold and await self._insist(_redeem_of(ticket, rival)):
                return Truth(True, rival, stranger=Outcome.USED)
        return Truth(exists=False)

    async def _insist(self, request: bytes) -> bool:
        """Yes or no, however often it must be asked. Raises `TimeoutError`."""
        give_up_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up_s:
            answer, _ = await self._ask(request)
            if answer.outcome in (Outcome.ACKNOWLEDGED, Outcome.USED):
                return answer.outcome is Outcome.ACKNOWLEDGED
            await asyncio.sleep(0.2)
        raise TimeoutError(f"no yes or no within {PATIENCE_S:g} s after the end")


def outcome_of(reply: Reply) -> Outcome:
    """One status per cause; 401 is the same for used and unknown, so the end decides."""
    match reply.status:
        case 200:
            return Outcome.ACKNOWLEDGED
        case 401:
            return Outcome.USED
        case 503:
            unavailable = reply.json["type"].endswith(":store-unavailable")
            return Outcome.FAILED if unavailable else Outcome.UNKNOWN
    return Outcome.OTHER


def _redeem_of(ticket: _Followed, rival: int) -> bytes:
    body = {"session_id": ticket.id, "attempt": ticket.attempt(rival)}
    return request_of("POST", "/auth/redeem", body)


def _verify_of(ticket: _Followed) -> bytes:
    return request_of("GET", "/auth/verify", Authorization=f"Bearer {ticket.token}")
