"""What the Sentinels' answers are taken for: who is primary, and who is down by whose word."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import pytest
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as Late

from guarita.config import Durability
from guarita.stores.discovery import NotFound
from guarita.stores.durability import Address
from guarita.stores.guard import Guard, Rule
from guarita.stores.lane import Lane
from guarita.stores.prober import Prober
from guarita.stores.sentinel import SentinelMajority, _reading

P: Address = ("n1", 1)
A: Address = ("n2", 2)
B: Address = ("n3", 3)
SENTINELS: list[Address] = [("s1", 1), ("s2", 2), ("s3", 3)]


def flat(fields: dict[str, str]) -> list[bytes]:
    return [word.encode() for pair in fields.items() for word in pair]


def master(primary: Address = P, **changes: str) -> dict[str, str]:
    host, port = primary
    well = {"ip": host, "port": str(port), "flags": "master", "last-ok-ping-reply": "10"}
    return well | {name.replace("_", "-"): value for name, value in changes.items()}


def replica(node: Address, **changes: str) -> dict[str, str]:
    heard = {"runid": "r" * 40, "last-ping-sent": "0"}
    well = {"ip": node[0], "port": str(node[1]), "flags": "slave", **heard}
    return well | {name.replace("_", "-"): value for name, value in changes.items()}


@dataclass
class Pool:
    def disconnect(self, *, inuse_connections: bool) -> None: ...


class Sentinel:
    """Answers as a Sentinel that sees all well; `may_answer` holds it up."""

    connection_pool = Pool()

    def __init__(self, names: Address = P, replicas: tuple[Address, ...] = (A, B)) -> None:
        self.names, self.replicas = names, replicas
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.error: Exception | None = None
        self.refuses = ""  # one of the words
        self.flags_a: dict[str, str] = {}  # what it says of A otherwise

    @contextmanager
    def pipeline(self, *, transaction: bool) -> Iterator[Self]:
        assert not transaction
        self.asked: list[str] = []
        yield self

    def execute_command(self, _sentinel: str, word: str, _name: str) -> None:
        self.asked.append(word)

    def execute(self, *, raise_on_error: bool) -> list[Any]:
        assert not raise_on_error
        self.may_answer.wait(10)
        if self.error:
            raise self.error
        answers = {
            "GET-MASTER-ADDR-BY-NAME": [self.names[0].encode(), str(self.names[1]).encode()],
            "MASTER": flat(master(self.names)),
            "REPLICAS": [
                flat(replica(each, **(self.flags_a if each == A else {}))) for each in self.replicas
            ],
        }
        refused = ResponseError(f"no {self.refuses} for you")
        return [refused if word == self.refuses else answers[word] for word in self.asked]


Majority = Callable[..., SentinelMajority]


@pytest.fixture
def majority() -> Iterator[Majority]:
    made: list[tuple[SentinelMajority, tuple[Sentinel, ...]]] = []

    def majority(*sentinels: Sentinel) -> SentinelMajority:
        clients: Any = dict(zip(SENTINELS, sentinels, strict=True))
        found = SentinelMajority(clients, "guarita", patience_s=5)
        made.append((found, sentinels))
        return found

    yield majority
    for found, sentinels in made:
        for each in sentinels:
            each.may_answer.set()
        found.close()


def guard() -> Guard:
    return Guard(Rule(Durability.BALANCED), b"stats", on_doubt=lambda: None)


def look_once(finder: SentinelMajority, guard: Guard) -> None:
    """As the prober does; nobody is primary for it."""

    def nobody(_address: Address, _lane: Lane) -> Any:
        raise Late("does not answer")

    prober = Prober(finder, nobody)
    prober._lanes = [Lane("", max_waiting=1, guard=guard, on_trouble=lambda: None)]
    with ThreadPoolExecutor(1) as prober._executor:
        prober._look()


def test_all_that_two_sentinels_list_is_known_before_the_third_has_answered(
    majority: Majority,
) -> None:
    """A process that has just started must not go by the primary's own list alone."""
    slow = Sentinel()
    slow.may_answer.clear()
    finder = majority(Sentinel(), Sentinel(replicas=(A,)), slow)
    finding = finder.find(urgent=True)
    assert finding.primary_of("") == P
    assert finding.round_of("") is None  # not all have answered: nobody is voted out by it
    assert finding.nodes == {P, A, B}
    slow_again = majority(Sentinel(), Sentinel(), slow)
    knows = guard()
    look_once(slow_again, knows)
    assert knows.knows(A)
    assert knows.knows(B)


def test_where_no_majority_agrees_all_that_they_list_is_known_and_no_vote_counts(
    majority: Majority,
) -> None:
    silent = Sentinel()
    silent.error = Late("late")
    finder = majority(Sentinel(), Sentinel(names=A, replicas=(P, B)), silent)
    with pytest.raises(NotFound, match="2 of 3 Sentinels must agree") as caught:
        finder.find(urgent=False)
    assert caught.value.nodes == {P, A, B}
    knows = guard()
    look_once(finder, knows)
    assert all(knows.knows(each) for each in (P, A, B))
    assert [each.readings for each in knows._rounds] == [()]


@pytest.mark.parametrize("word", ["GET-MASTER-ADDR-BY-NAME", "MASTER", "REPLICAS"])
def test_a_sentinel_that_refuses_one_question_says_nothing(majority: Majority, word: str) -> None:
    refusing = Sentinel()
    refusing.refuses = word
    finder = majority(refusing, Sentinel(), refusing)
    with pytest.raises(NotFound, match=f"s1:1 no {word} for you"):
        finder.find(urgent=False)


def test_a_primary_is_well_by_the_word_of_a_sentinel_that_hears_it_now() -> None:
    def healthy(**changes: str) -> bool:
        return _reading("s", P, master(**changes), [replica(A)]).primary_healthy

    assert healthy()
    assert healthy(last_ok_ping_reply="2000")
    assert not healthy(last_ok_ping_reply="2001")
    for flag in ("s_down", "o_down", "failover_in_progress", "disconnected"):
        assert not healthy(flags=f"master,{flag}")
    # Between two answers it has switched.
    assert not _reading("s", P, master(A), [replica(P)]).primary_healthy
    assert not _reading("s", P, master(), [replica(P)]).primary_healthy


def test_a_replica_is_up_or_down_or_was_never_heard() -> None:
    rows = [replica(A, flags="slave,s_down,disconnected"), replica(B, runid="")]
    reading = _reading("s", P, master(), rows)
    assert (reading.down, reading.up, reading.unheard) == ({A}, frozenset(), {B})
    assert reading.nodes == {P, A, B}
    well = _reading("s", P, master(), [replica(A), replica(B, flags="slave,promoted")])
    assert (well.down, well.up, well.chosen) == (frozenset(), {A, B}, B)
    assert _reading("s", P, master(flags="master,failover_in_progress"), []).failover


def test_a_sentinel_tells_since_when_a_replica_leaves_it_without_an_answer() -> None:
    rows = [replica(A, flags="slave,s_down", last_ping_sent="2250"), replica(B)]
    assert _reading("s", P, master(last_ok_ping_reply="250"), rows).unanswered_s == {A: 2.25}


def test_a_replica_that_a_cut_hides_with_the_primary_does_not_pass_for_silent() -> None:
    """It was asked just before the cut, the primary had answered just before it."""
    rows = [replica(A, flags="slave,s_down", last_ping_sent="1900")]
    assert _reading("s", P, master(last_ok_ping_reply="1890"), rows).unanswered_s == {}
    rows = [replica(A, flags="slave,s_down", last_ping_sent="2100")]
    assert _reading("s", P, master(last_ok_ping_reply="101"), rows).unanswered_s == {}
    assert _reading("s", P, master(last_ok_ping_reply="100"), rows).unanswered_s == {A: 2.1}


def test_where_a_sentinel_does_not_answer_a_replica_must_have_been_reported_down(
    majority: Majority,
) -> None:
    silent = Sentinel()
    finder = majority(Sentinel(), Sentinel(), silent)
    for each in finder._sentinels.values():
        each.flags_a = {"flags": "slave,s_down", "last_ping_sent": "2500"}  # type: ignore[attr-defined]

    def told() -> list[Any]:
        round = finder.find(urgent=False).round_of("")  # all are waited for
        assert round
        return [each.unanswered_s for each in round.readings]

    assert told() == [{A: 2.5}] * 3
    silent.error = Late("no answer")
    assert told() == [{}] * 2


def test_who_has_answered_is_not_down_though_it_is_still_flagged() -> None:
    rows = [replica(A, flags="slave,s_down", last_ping_sent="0")]
    reading = _reading("s", P, master(), rows)
    assert (reading.down, reading.up) == (frozenset(), {A})
