"""The steps of a planned switch, where something goes wrong on the way; servers are scripted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from redis import exceptions

from guarita.node import handover
from guarita.node.handover import HandOver
from guarita.node.own import Attached, Own
from guarita.node.peers import Role
from guarita.node.words import Words

from .facts import ME, A, B, own, words

BOTH = (Attached(A, True, 100, 0), Attached(B, True, 100, 0))


@dataclass
class Node:
    """The own server: what it was told."""

    told: list[str] = field(default_factory=list)
    resume_error: Exception | None = None

    def pause_writes(self, _for_s: float) -> None:
        self.told.append("pause")

    def resume_writes(self) -> None:
        self.told.append("resume")
        if self.resume_error:
            raise self.resume_error

    def follow(self, primary: object) -> None:
        self.told.append(f"follow {primary}")


@dataclass
class Replica:
    """Has everything; becomes primary when it is promoted."""

    offset: int = 100
    leads: bool = False
    follows: list[object] = field(default_factory=list)

    def execute_command(self, *command: Any) -> Any:
        if command[0] == "REPLICAOF":
            self.follows.append(command[1:])
            return b"OK"
        if self.leads:
            return [b"master", self.offset, []]
        return [b"slave", b"n1", 1, b"connected", self.offset]


@dataclass
class Sentinel:
    """Would promote A; does as it is asked."""

    replicas: dict[Any, Replica]
    names: Any = ME
    promotes: bool = True
    error: Exception | None = None
    asked: list[str] = field(default_factory=list)

    def execute_command(self, *command: Any) -> Any:
        match command[1]:
            case "REPLICAS":
                good = {
                    "ip": "n2",
                    "port": "2",
                    "flags": "slave",
                    "master-link-status": "ok",
                    "slave-priority": "100",
                }
                return [[word.encode() for pair in good.items() for word in pair]]
            case "GET-MASTER-ADDR-BY-NAME":
                host, port = self.names
                return [host.encode(), str(port).encode()]
        self.asked.append(command[1])
        self.replicas[A].leads = self.promotes
        if self.error:
            raise self.error
        return b"OK"


@dataclass
class Stage:
    """A primary with two replicas that have everything, and a Sentinel."""

    node: Node
    replicas: dict[Any, Replica]
    sentinel: Sentinel
    looks: list[Own]
    heard: Words
    leaving: set[Any] = field(default_factory=set)
    told_later: list[set[Any]] = field(default_factory=list)

    def ask_leaving(self) -> set[Any]:
        return self.told_later.pop(0) if self.told_later else self.leaving

    def look(self) -> Own:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def hand_over(self) -> object:
        return HandOver(
            ME,
            self.node,  # type: ignore[arg-type]
            self.look,
            [self.sentinel],  # type: ignore[list-item]
            "guarita",
            self.replicas.__getitem__,  # type: ignore[arg-type]
            lambda: self.heard,
            self.ask_leaving,
        ).run(0.0)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(handover, "EQUAL_S", 0.05)
    monkeypatch.setattr(handover, "PROMOTION_S", 0.05)
    replicas = {A: Replica(), B: Replica()}
    primary = own(Role.PRIMARY, replicas=BOTH)
    return Stage(Node(), replicas, Sentinel(replicas), [primary], words(ME, ME, ME))


def test_the_replica_that_was_promoted_is_followed_by_all(stage: Stage) -> None:
    assert stage.hand_over() == A
    assert stage.node.told == ["pause", f"follow {A}", "resume"]
    assert stage.replicas[B].follows == [A]
    assert stage.replicas[A].follows == []


def test_where_others_have_switched_meanwhile_nobody_is_failed_over(stage: Stage) -> None:
    """To ask the Sentinel then would fail over the new primary, which is well."""
    for change in ("named", "attached", "role", "the Sentinel's own word"):
        stage.looks = [own(Role.PRIMARY, replicas=BOTH)]
        stage.heard, stage.sentinel.names = words(ME, ME, ME), ME
        match change:
            case "named":
                stage.heard = words(A, A, ME)
            case "attached":
                stage.looks = [*2 * stage.looks, own(Role.PRIMARY)]
            case "role":
                stage.looks = [*2 * stage.looks, own(Role.REPLICA)]
            case _:
                stage.sentinel.names = A
        assert stage.hand_over() is None, change
        assert stage.sentinel.asked == [], change
    assert stage.node.told.count("pause") == stage.node.told.count("resume")


def test_where_a_replica_lacks_something_nobody_is_failed_over(stage: Stage) -> None:
    stage.replicas[B].offset = 99
    assert stage.hand_over() is None
    assert stage.sentinel.asked == []
    assert stage.node.told == ["pause", "resume"]


def test_nobody_hands_over_to_one_that_is_to_stop_as_well(stage: Stage) -> None:
    stage.leaving = {A}  # whom the Sentinel would promote, since it has not heard of it yet
    assert stage.hand_over() is None
    stage.leaving = {A, B}
    assert stage.hand_over() is None
    assert stage.sentinel.asked == []
    assert stage.node.told == []


def test_one_that_is_to_stop_as_well_behind_its_closed_door_is_not_waited_for(stage: Stage) -> None:
    stage.replicas[B].offset = 99
    stage.leaving = {B}
    assert stage.hand_over() == A


def test_one_that_is_to_stop_as_well_follows_too_since_services_wait_for_it(stage: Stage) -> None:
    stage.leaving = {B}
    assert stage.hand_over() == A
    assert stage.replicas[B].follows == [A]


def test_one_that_is_told_to_stop_while_a_sentinel_is_waited_for_is_not_handed_over_to(
    stage: Stage,
) -> None:
    stage.told_later = [set(), {A}]
    assert stage.hand_over() is None
    assert stage.sentinel.asked == []
    stage.told_later = [{B}, {A}]
    assert stage.hand_over() is None
    assert stage.node.told == []


def test_a_sentinel_that_refuses_ends_it(stage: Stage) -> None:
    stage.sentinel.error, stage.sentinel.promotes = exceptions.ResponseError("INPROG"), False
    assert stage.hand_over() is None
    assert stage.node.told == ["pause", "resume"]


@pytest.mark.parametrize(
    "error", [exceptions.ConnectionError("reset"), exceptions.TimeoutError("late")]
)
def test_where_the_answer_is_lost_the_replicas_tell_what_was_done(
    stage: Stage, error: Exception
) -> None:
    stage.sentinel.error = error
    assert stage.hand_over() == A
    stage.sentinel.promotes = False
    stage.replicas[A].leads = False
    assert stage.hand_over() is None
    assert stage.node.told[-2:] == ["pause", "resume"]


def test_a_pause_whose_end_gets_no_answer_does_not_hide_the_new_primary(stage: Stage) -> None:
    stage.node.resume_error = exceptions.TimeoutError("late")
    assert stage.hand_over() == A
