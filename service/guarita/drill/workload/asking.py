"""One request with its repeats, as its client does them, and what came of it."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

from guarita.drill.history import Answer, Kind, Outcome
from guarita.drill.workload.client import AnswerLostError, Client, NotSentError, Reply

RETRY_AT_MOST_S = 1.0  # what a client waits before it asks again, however long it is told to
_YES = {
    Kind.CREATE: (200, Answer.CREATED),
    Kind.REDEEM: (200, Answer.ADMITTED),
    Kind.VERIFY: (200, Answer.LIVE),
    Kind.REVOKE: (204, Answer.REVOKED),
    Kind.STATUS: (200, Answer.COUNTED),
}
_OF_THE_STORE = {
    "urn:guarita:problem:store-unavailable": (Outcome.FAIL, Answer.UNAVAILABLE),
    "urn:guarita:problem:outcome-unknown": (Outcome.UNKNOWN, Answer.IN_DOUBT),
}


@dataclass(frozen=True, slots=True)
class Told:
    """What a client was told at last, after `retries` repeats."""

    outcome: Outcome
    answer: Answer
    reply: Reply | None = None
    retries: int = 0


class Asker:
    """The way to one service. Loses answers where a fault wants that."""

    def __init__(self, place: str, client: Client, rng: random.Random) -> None:
        self.place = place
        self.lost_share = 0.0
        """How many of the answers to redeems are lost on their way, of 1."""
        self.failed_tries = 0
        """Requests that got no answer, or 503: also those whose repeat was answered."""
        self.lost_answers = 0
        """Those that were there, and that a fault had lost on their way."""
        self._client = client
        self._rng = rng

    async def ask(self, kind: Kind, request: bytes, *, tries: int = 1) -> Told:
        """Ask until there is an answer, `tries` times at most."""
        perhaps = False
        for retries in range(tries):
            told = await self._try(kind, request)
            if told.outcome is Outcome.OK or told.answer is Answer.STRANGE:
                break
            perhaps = perhaps or told.outcome is Outcome.UNKNOWN
            if retries + 1 < tries:
                await asyncio.sleep(_pause_s(told))
        outcome = Outcome.UNKNOWN if perhaps and told.outcome is Outcome.FAIL else told.outcome
        return Told(outcome, told.answer, told.reply, retries)

    async def end(self) -> None:
        """Return when its last connection is gone."""
        await self._client.end()

    async def _try(self, kind: Kind, request: bytes) -> Told:
        is_lost = kind is Kind.REDEEM and self._rng.random() < self.lost_share
        try:
            reply = await self._client.call(request)
        except NotSentError:
            self.failed_tries += 1
            return Told(Outcome.FAIL, Answer.NOT_SENT)
        except AnswerLostError:
            self.failed_tries += 1
            return Told(Outcome.UNKNOWN, Answer.NO_ANSWER)
        if is_lost:
            self.lost_answers += 1
            return Told(Outcome.UNKNOWN, Answer.NO_ANSWER)
        told = told_by(kind, reply)
        self.failed_tries += told.outcome is not Outcome.OK
        return told


def told_by(kind: Kind, reply: Reply) -> Told:
    """What an answer means for a request of this kind."""
    yes, answer = _YES[kind]
    if reply.status == yes:
        return Told(Outcome.OK, answer, reply)
    if reply.status == 401 and kind in (Kind.REDEEM, Kind.VERIFY):
        return Told(Outcome.OK, Answer.REFUSED, reply)
    if reply.status == 429:
        return Told(Outcome.FAIL, Answer.LIMITED, reply)
    if reply.status == 503:
        outcome, answer = _OF_THE_STORE.get(_type_of(reply), (Outcome.UNKNOWN, Answer.NO_ANSWER))
        return Told(outcome, answer, reply)
    if reply.status in (502, 504):  # of a gateway on the way
        return Told(Outcome.UNKNOWN, Answer.NO_ANSWER, reply)
    return Told(Outcome.UNKNOWN, Answer.STRANGE, reply)


def _type_of(reply: Reply) -> str:
    try:
        problem = reply.json
    except ValueError:
        return ""
    return str(problem.get("type", "")) if isinstance(problem, dict) else ""


def _pause_s(told: Told) -> float:
    """What the answer asks for; a client that got none asks again soon."""
    if told.reply is None or told.answer not in (Answer.UNAVAILABLE, Answer.IN_DOUBT):
        return 0.1
    wanted_ms = told.reply.json.get("retry_after_ms", 1000)
    return min(RETRY_AT_MOST_S, float(wanted_ms) / 1000)
