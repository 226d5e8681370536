"""What an answer means, and how a client repeats: against a server that answers as it is told."""

from __future__ import annotations

import asyncio
import random

import pytest

from guarita.drill.history import Answer, Kind, Outcome
from guarita.drill.workload.asking import Asker, Told, told_by
from guarita.drill.workload.client import Client, Reply, request_of

UNAVAILABLE = Reply(503, b'{"type": "urn:guarita:problem:store-unavailable", "retry_after_ms": 1}')
IN_DOUBT = Reply(503, b'{"type": "urn:guarita:problem:outcome-unknown", "retry_after_ms": 1}')
ADMITTED = Reply(200, b'{"session_token": "s"}')
REFUSED = Reply(401, b"{}")
HANG_UP = None


@pytest.mark.parametrize(
    ("kind", "reply", "outcome", "answer"),
    [
        (Kind.REDEEM, ADMITTED, Outcome.OK, Answer.ADMITTED),
        (Kind.REDEEM, REFUSED, Outcome.OK, Answer.REFUSED),
        (Kind.VERIFY, REFUSED, Outcome.OK, Answer.REFUSED),
        (Kind.CREATE, REFUSED, Outcome.UNKNOWN, Answer.STRANGE),
        (Kind.CREATE, UNAVAILABLE, Outcome.FAIL, Answer.UNAVAILABLE),
        (Kind.CREATE, IN_DOUBT, Outcome.UNKNOWN, Answer.IN_DOUBT),
        (Kind.CREATE, Reply(503, b"a proxy's own"), Outcome.UNKNOWN, Answer.NO_ANSWER),
        (Kind.CREATE, Reply(503, b"[]"), Outcome.UNKNOWN, Answer.NO_ANSWER),
        (Kind.CREATE, Reply(504, b""), Outcome.UNKNOWN, Answer.NO_ANSWER),
        (Kind.CREATE, Reply(429, b"{}"), Outcome.FAIL, Answer.LIMITED),
        (Kind.REVOKE, Reply(204, b""), Outcome.OK, Answer.REVOKED),
        (Kind.REDEEM, Reply(409, b"{}"), Outcome.UNKNOWN, Answer.STRANGE),
        (Kind.REDEEM, Reply(500, b"{}"), Outcome.UNKNOWN, Answer.STRANGE),
    ],
)
def test_each_answer_is_one_outcome(
    kind: Kind, reply: Reply, outcome: Outcome, answer: Answer
) -> None:
    told = told_by(kind, reply)
    assert (told.outcome, told.answer) == (outcome, answer)


def ask(replies: list[Reply | None], *, tries: int, lost: float = 0.0) -> tuple[Told, Asker, int]:
    """Ask for a redeem of a server that answers with these, one after another."""
    left = list(replies)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"}"):
                reply = left.pop(0)
                if reply is None:
                    return
                head = f"HTTP/1.1 {reply.status} x\r\nContent-Length: {len(reply.body)}\r\n\r\n"
                writer.write(head.encode() + reply.body)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async def play() -> tuple[Told, Asker]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        asker = Asker("s", Client(server.sockets[0].getsockname()[1]), random.Random(1))
        asker.lost_share = lost
        told = await asker.ask(Kind.REDEEM, request_of("POST", "/x", {"a": 1}), tries=tries)
        await asker.end()
        server.close()
        await server.wait_closed()
        return told, asker

    told, asker = asyncio.run(play())
    return told, asker, len(replies) - len(left)


def test_a_client_repeats_until_it_is_told() -> None:
    told, asker, asked = ask([UNAVAILABLE, IN_DOUBT, HANG_UP, ADMITTED], tries=4)
    assert (told.outcome, told.answer, told.retries) == (Outcome.OK, Answer.ADMITTED, 3)
    assert (asked, asker.failed_tries) == (4, 3)


def test_it_repeats_so_often_and_no_more() -> None:
    told, _, asked = ask([UNAVAILABLE, UNAVAILABLE, ADMITTED], tries=2)
    assert (told.outcome, told.answer, asked) == (Outcome.FAIL, Answer.UNAVAILABLE, 2)


def test_certainly_not_applied_is_unknown_after_a_try_that_perhaps_was() -> None:
    told, _, _ = ask([HANG_UP, UNAVAILABLE], tries=2)
    assert (told.outcome, told.answer) == (Outcome.UNKNOWN, Answer.UNAVAILABLE)


def test_a_refusal_is_an_answer_and_is_not_repeated() -> None:
    told, asker, asked = ask([REFUSED, ADMITTED], tries=4)
    assert (told.answer, asked, asker.failed_tries) == (Answer.REFUSED, 1, 0)


def test_an_answer_that_the_drill_loses_is_asked_for_again() -> None:
    told, asker, asked = ask([ADMITTED, ADMITTED], tries=2, lost=1.0)
    assert (told.outcome, told.answer, asked) == (Outcome.UNKNOWN, Answer.NO_ANSWER, 2)
    assert asker.failed_tries == 0  # the service did answer
    assert asker.lost_answers > 0


def test_without_a_server_nothing_was_sent() -> None:
    async def play() -> Told:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        asker = Asker("s", Client(port), random.Random(1))
        return await asker.ask(Kind.CREATE, request_of("POST", "/x"))

    told = asyncio.run(play())
    assert (told.outcome, told.answer) == (Outcome.FAIL, Answer.NOT_SENT)
