"""The order in which a node that is to stop does things, where something goes wrong on the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from redis import exceptions

from guarita.node import departure, handover, leave
from guarita.node.departure import Departure
from guarita.node.own import Attached, Own
from guarita.node.peers import PeerState, Role, State
from guarita.node.words import Words

from .facts import ME, A, B, own, peer, says, words

VOTED_OUT = words(*(says(A, down=frozenset({ME})) for _ in range(3)))


@dataclass
class Stage:
    """A replica of A, which the Sentinels vote out once its door is closed."""

    seen: Own = field(default_factory=own)
    heard: Words = field(default_factory=lambda: words(A, A, A))
    peers: dict[Any, PeerState | None] = field(
        default_factory=lambda: {A: peer(A, role=Role.PRIMARY), B: peer(B)}
    )
    told: list[str] = field(default_factory=list)
    stands_still: dict[str, int] = field(default_factory=dict)  # so often, at this command
    ended: threading.Event = field(default_factory=threading.Event)
    successors: list[Any] = field(default_factory=list)  # of one try after the other
    asks: int = 0
    on_ask: Callable[[int], None] = lambda _: None
    on_priority: Callable[[], None] = lambda: None
    on_open: Callable[[], None] = lambda: None
    on_close: Callable[[], None] = lambda: None

    # The server

    def _do(self, command: str) -> None:
        if self.stands_still.get(command, 0):
            self.stands_still[command] -= 1
            raise exceptions.TimeoutError(command)
        self.told.append(command)

    def be_promotable(self, promotable: bool) -> None:
        assert not promotable
        self._do("priority 0")
        self.on_priority()

    def open_door(self) -> None:
        self._do("open")
        self.on_open()

    def close_door(self) -> None:
        self._do("close")
        self.heard = VOTED_OUT
        self.on_close()

    # What is seen and heard

    def look(self) -> Own:
        if self.stands_still.get("look", 0):
            self.stands_still["look"] -= 1
            raise exceptions.TimeoutError("look")
        return self.seen

    def ask_peers(self) -> dict[Any, PeerState | None]:
        self.asks += 1
        self.on_ask(self.asks)
        return self.peers

    def now(self, *, fresh_s: float = 0.0) -> Any:
        return self.seen if fresh_s else self.heard

    def asked_now(self, *, timeout_s: float) -> Words:
        assert timeout_s
        return self.heard

    def hurry(self) -> None: ...

    def depart(self, within_s: float = 20.0) -> None:
        Departure(
            ME,
            self,  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            look=self.look,
            ask_peers=self.ask_peers,
            sentinels=(),
            primary_name="guarita",
            client_of=lambda _: pytest.fail("nobody is asked here"),
            pause=lambda: time.sleep(0.001),
            ended=self.ended,
            down_after_s=0.01,
            deadline_s=time.monotonic() + within_s,
        ).run()


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(departure, "TOLD_S", 0.01)
    monkeypatch.setattr(departure, "NAMED_S", 0.01)
    monkeypatch.setattr(leave, "VOTED_OUT_S", 0.01)
    monkeypatch.setattr(leave, "DETACHED_S", 0.05)
    monkeypatch.setattr(leave, "SILENT_S", 0.05)
    stage = Stage()

    class HandOver:
        def __init__(self, *_: object) -> None: ...

        def run(self, _ready_s: float) -> object:
            stage.told.append("hand over")
            successor = stage.successors.pop(0) if stage.successors else None
            if isinstance(successor, Exception):
                raise successor
            if successor:
                stage.seen, stage.heard = own(follows=successor), words(*3 * [successor])
            return successor

    monkeypatch.setattr(handover, "HandOver", HandOver)
    return stage


def leads() -> Own:
    return own(Role.PRIMARY, replicas=(Attached(A, True, 100, 0),))


def test_a_replica_closes_its_door_and_goes_when_it_is_voted_out(stage: Stage) -> None:
    stage.depart()
    assert stage.told == ["priority 0", "close"]


def test_a_server_that_stands_still_for_a_moment_is_told_again(stage: Stage) -> None:
    stage.stands_still = {"look": 1, "priority 0": 2, "close": 2}
    stage.depart()
    assert stage.told == ["priority 0", "close"]


def test_a_server_that_stands_still_for_good_ends_it_in_time(stage: Stage) -> None:
    stage.stands_still = {"close": 10**9}
    with pytest.raises(exceptions.TimeoutError):
        stage.depart(departure.STOP_S + 0.1)


def test_a_server_that_has_ended_ends_it(stage: Stage) -> None:
    stage.stands_still = {"priority 0": 10**9}
    stage.ended.set()
    with pytest.raises(exceptions.TimeoutError):
        stage.depart()
    assert stage.stands_still["priority 0"] == 10**9 - 1


def test_one_that_is_promoted_then_and_finds_nobody_else_just_goes(stage: Stage) -> None:
    stage.on_priority = lambda: setattr(stage, "seen", leads())
    stage.on_open = lambda: setattr(stage, "heard", words(ME, ME, ME))
    stage.depart()
    assert stage.told == ["priority 0", "open", *departure.HAND_OVERS * ["hand over"]]


@pytest.mark.parametrize("failed", [None, exceptions.TimeoutError("the answer is lost")])
def test_a_hand_over_that_comes_to_nothing_is_tried_again(stage: Stage, failed: object) -> None:
    stage.seen, stage.heard = leads(), words(ME, ME, ME)
    stage.successors = [failed, A]
    stage.depart()
    assert stage.told == ["priority 0", "hand over", "hand over", "close"]


def test_a_primary_that_nobody_can_replace_just_goes(stage: Stage) -> None:
    stage.seen, stage.heard = leads(), words(ME, ME, ME)
    stage.depart()
    assert stage.told == ["priority 0", *departure.HAND_OVERS * ["hand over"]]


def test_a_primary_that_no_sentinel_answers_for_just_goes(stage: Stage) -> None:
    stage.seen, stage.heard = leads(), words()
    stage.depart()
    assert stage.told == ["priority 0"]


def test_one_that_is_promoted_when_it_was_told_to_stop_hands_over(stage: Stage) -> None:
    """By a Sentinel that had not heard of its priority; most do not name it yet."""

    def promote() -> None:
        stage.seen = leads()

    def name() -> None:
        stage.heard = words(ME, ME, ME)

    stage.on_priority, stage.on_open = promote, name
    stage.successors = [A]
    stage.depart()
    assert stage.told == ["priority 0", "open", "hand over", "close"]


def test_one_that_is_promoted_behind_its_closed_door_opens_it_and_hands_over(stage: Stage) -> None:
    closed = []

    def promote() -> None:
        closed.append(True)
        if len(closed) == 1:
            stage.seen, stage.heard = leads(), words(ME, ME, ME)

    stage.on_close = promote
    stage.successors = [A]
    stage.depart()
    assert stage.told == ["priority 0", "close", "open", "hand over", "close"]


def test_a_replica_leaves_as_well_while_a_switch_spreads(stage: Stage) -> None:
    """Nobody is named by a majority then; services wait for it all the same."""
    stage.heard = words(A, B, ME)
    stage.depart()
    assert stage.told == ["priority 0", "close"]


def test_its_door_stays_open_until_its_primary_which_stops_too_has_handed_over(
    stage: Stage,
) -> None:
    stage.peers[A] = peer(A, role=Role.PRIMARY, state=State.LEAVING)

    def switch(asks: int) -> None:
        assert "close" not in stage.told
        if asks == 3:
            stage.peers[A] = None  # its agent is late once
        if asks == 4:
            stage.peers[A] = peer(A, role=Role.PRIMARY, state=State.LEAVING)
        if asks == 5:
            stage.seen = own(follows=B)
            stage.peers |= {A: peer(A, state=State.LEAVING), B: peer(B, role=Role.PRIMARY)}

    stage.on_ask = switch
    stage.depart()
    assert stage.asks >= 5
    assert stage.told == ["priority 0", "close"]


def test_a_link_that_is_down_for_a_moment_after_the_switch_is_no_reason_to_go(
    stage: Stage,
) -> None:
    stage.seen = own(link_up=False)

    def reconnect() -> None:
        stage.heard = words(A, A, A)  # not voted out yet
        threading.Timer(0.01, link_up).start()

    def link_up() -> None:
        stage.seen = replace(stage.seen, link_up=True)
        threading.Timer(0.1, voted_out).start()

    def voted_out() -> None:
        stage.told.append("voted out")
        stage.heard = VOTED_OUT

    stage.on_close = reconnect
    stage.depart()
    assert stage.told == ["priority 0", "close", "voted out"]
