"""What an agent answers over HTTP: every state of the node, its server and the Sentinels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

import redis

from guarita.node.endpoint import Answer
from guarita.node.own import Attached, Observer, Own
from guarita.node.peers import Role, State
from guarita.node.status import Status
from guarita.stores.durability import Address

from .facts import ME, A, B, own, words

REASON = "what is waited for"
FRESH = Attached(A, True, 100, 1)
SILENT = Attached(B, True, 100, 2)
LOADS = Attached(B, False, 100, 0)


class Seen(Observer):
    """What an observer saw last, without a thread and a server."""

    def __init__(self, last: Own | None) -> None:
        super().__init__(lambda: None, b"counters", lambda: None)
        self.last = last

    def now(self, **_: object) -> Own | None:
        return self.last


@dataclass(frozen=True)
class Process:
    """A server's process: one that runs has a pid."""

    pid: int | None


@dataclass(frozen=True)
class Scene:
    """A node in good order: a replica that runs."""

    state: State = State.RUNNING
    runs: bool = True
    answers: bool = True
    loaded: bool = True
    role: Role = Role.REPLICA
    link_up: bool = True
    replicas: tuple[Attached, ...] = ()
    heard: tuple[Address, ...] = (A, A, A)
    reason: str = ""
    waits: bool = False

    @property
    def node(self) -> Own:
        node = own(self.role, link_up=self.link_up, replicas=self.replicas)
        return node if self.loaded else replace(node, history=None)

    def status(self) -> Status:
        process = Process(4242 if self.runs else None)
        status = Status(ME, process, lambda: words(*self.heard), self.look)  # type: ignore[arg-type]
        status.state, status.reason, status.is_waiting = self.state, self.reason, self.waits
        status.observer = Seen(self.node if self.answers else None)
        return status

    def look(self) -> Own:
        if not self.answers:
            raise redis.TimeoutError("frozen")
        return self.node

    def ask(self, path: str) -> tuple[int, str]:
        answer: Answer = self.status().routes()[path]()
        return answer.status, answer.body.decode().removesuffix("\n")


YESNO = (True, False)
ALL = {
    "state": State,
    "runs": YESNO,
    "answers": YESNO,
    "loaded": YESNO,
    "role": Role,
    "link_up": YESNO,
    "reason": ("", REASON),
    "waits": YESNO,
}
OF_ITS_ROLE = {
    "state": State,
    "answers": YESNO,
    "loaded": YESNO,
    "role": Role,
    "replicas": ((), (FRESH,), (SILENT,), (LOADS,), (SILENT, FRESH)),
    "heard": ((), (ME,), (ME, A), (ME, A, B), (ME, ME), (ME, A, ME), (A, ME, A), (A, A, A)),
}


def every(choices: Mapping[str, Iterable]) -> Iterator[Scene]:
    for values in product(*choices.values()):
        yield Scene(**dict(zip(choices, values, strict=True)))


def test_a_server_that_loads_is_alive_and_not_ready():
    loading = Scene(State.BOOTING, loaded=False)
    assert loading.ask("/livez") == (200, "alive")
    assert loading.ask("/readyz") == (503, "the server loads its data")


def test_a_node_is_alive_while_its_server_runs_or_it_waits_without_one_and_never_else():
    for scene in every(ALL):
        alive = scene.runs or scene.waits
        assert scene.ask("/livez")[0] == (200 if alive else 503), scene


def test_a_node_is_ready_where_nothing_is_in_the_way_and_else_says_what_is_first():
    for scene in every(ALL):
        in_the_way = {
            scene.reason: scene.waits,
            "the server does not answer": not scene.answers,
            "the server loads its data": not scene.loaded,
            ": ".join(filter(None, (scene.state, scene.reason))): scene.state != "running",
            "the link to its primary is down": scene.role == "replica" and not scene.link_up,
        }
        reason = next((why for why, holds in in_the_way.items() if holds), None)
        assert scene.ask("/readyz") == ((200, "ready") if reason is None else (503, reason)), scene


def test_before_its_server_was_ever_started_a_node_is_nothing_yet():
    status = Scene(runs=False).status()
    status.observer = None
    answers = {path: status.routes()[path]().status for path in ("/livez", "/readyz", "/role")}
    assert answers == {"/livez": 503, "/readyz": 503, "/role": 503}
    assert status.role() is status.confirmed_role() is None


def test_load_balancers_are_sent_to_whom_a_majority_names_or_else_to_whom_a_replica_listens():
    for scene in every(OF_ITS_ROLE):
        primary = scene.answers and scene.role == "primary" and scene.state != "booting"
        named_me, named_other = scene.heard.count(ME) >= 2, scene.heard.count(A) >= 2
        is_it = primary and (named_me or (not named_other and FRESH in scene.replicas))
        status, text = scene.ask("/role")
        assert status == (200 if is_it else 503), scene
        assert text == ("primary" if is_it else "replica" if scene.answers else "unknown")


def test_its_pod_is_labelled_primary_only_while_a_majority_names_it():
    for scene in every(OF_ITS_ROLE):
        status = scene.status()
        primary = scene.answers and scene.role == "primary" and scene.state != "booting"
        label = status.confirmed_role()
        assert (label == "primary") == (primary and scene.heard.count(ME) >= 2), scene
        if not scene.answers:
            assert label is None
        elif scene.role == "replica" or scene.heard.count(A) >= 2:
            assert label == "replica", scene


def test_peers_are_told_what_the_node_is_at_this_moment_and_nothing_while_its_server_is_silent():
    for scene in every(ALL):
        status = scene.status()
        status.observer = Seen(own(offset=7))  # from before
        answer = status.routes()["/node"]()
        assert answer.status == (200 if scene.answers else 503)
        if scene.answers:
            told = json.loads(answer.body)
            assert (told["state"], told["role"]) == (scene.state, scene.role)
            assert (told["history"] is not None) == scene.loaded
