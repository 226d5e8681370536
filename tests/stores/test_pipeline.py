"""One connection for all callers: in which order it is written to, and who is told when."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import redis

from guarita.deadline import Deadline
from guarita.stores.pipeline import Call, Lost, NotSent, Pipeline
from guarita.topology.local import LocalStandalone

from .conftest import Servers
from .test_contract import eventually


class Noting(redis.Connection):
    """Notes what is sent, and can be made to fail at that, or to stand still first."""

    told: list[str]
    fails = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reached, self.go = threading.Event(), threading.Event()
        self.go.set()

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        self.reached.set()
        self.go.wait(10)
        if self.fails:
            raise redis.ConnectionError("cut off")
        self.told.append("sent")
        super().send_packed_command(command, check_health=check_health)


class Noted(Call):
    """Notes when its caller is woken."""

    told: list[str]

    def settle(self, error: Exception | None = None) -> None:
        self.told.append("woken")
        super().settle(error)


class Held:
    """Says that a batch is acknowledged once it is let go."""

    error: Exception | None = None

    def __init__(self) -> None:
        self.asked, self.go = threading.Event(), threading.Event()
        self.says: list[bool] = []

    def questions(self) -> list[tuple[bytes | str | int, ...]]:
        return [("PING",)]

    def holds(self, answers: Sequence[Any]) -> bool:
        self.asked.set()
        self.go.wait(10)
        if self.error:
            raise self.error
        return self.says.pop(0) if self.says else True


class Scene:
    """A pipeline whose first batch waits for its acknowledgement, and a caller who came later."""

    def __init__(self, installation: LocalStandalone, executor: ThreadPoolExecutor) -> None:
        [node] = installation.nodes
        self.told: list[str] = []
        self.connection = Noting(node.host, node.port, password=installation.password)
        self.connection.told = []
        self.connection.connect()
        self.connection.told = self.told
        self.held = Held()
        self.pipeline = Pipeline(
            self.connection, self.held, most_waiting=10, on_end=lambda reason: None, name="test"
        )
        self.first = self._ask(executor)
        assert self.held.asked.wait(10)
        self.second = self._ask(executor)
        eventually(lambda: len(self.pipeline._queue) == 1)

    def _ask(self, executor: ThreadPoolExecutor) -> Future[Any]:
        words = ("SET", "order", "1", "PX", 1000)
        call = Noted(words, acknowledge=True, deadline=Deadline.after(10))
        call.told = self.told
        return executor.submit(self.pipeline.ask, call)


@pytest.fixture
def scene(servers: Servers) -> Iterator[Scene]:
    installation = servers.get("standalone")
    assert isinstance(installation, LocalStandalone)
    with ThreadPoolExecutor(2) as executor:
        scene = Scene(installation, executor)
        yield scene
        scene.held.go.set()
        scene.pipeline.end("over")


def test_what_waits_goes_out_before_those_who_were_answered_go_on(scene: Scene) -> None:
    scene.held.go.set()
    assert (scene.first.result(), scene.second.result()) == (b"OK", b"OK")
    assert scene.told == ["sent", "sent", "woken", "woken"]


def test_a_connection_that_fails_at_the_next_batch_takes_no_answer_from_the_one_before(
    scene: Scene,
) -> None:
    scene.connection.fails = True
    scene.held.go.set()
    assert scene.first.result() == b"OK"
    with pytest.raises(Lost, match="cut off"):
        scene.second.result()


def test_nobody_is_woken_before_the_acknowledgement_though_the_next_batch_is_out(
    scene: Scene,
) -> None:
    scene.held.says = [False, True]
    scene.held.go.set()
    assert (scene.first.result(), scene.second.result()) == (b"OK", b"OK")
    assert scene.told == ["sent", "sent", "woken", "woken"]


def test_a_node_that_turns_out_to_be_a_replica_is_sent_nothing_more(scene: Scene) -> None:
    scene.held.error = redis.exceptions.ReadOnlyError("it is a replica now")
    scene.held.go.set()
    with pytest.raises(Lost, match="a replica now"):
        scene.first.result()
    with pytest.raises(NotSent, match="a replica now"):
        scene.second.result()
    assert scene.told == ["sent", "woken", "woken"]


def test_who_was_answered_does_not_wait_for_a_next_batch_that_cannot_be_sent(scene: Scene) -> None:
    scene.connection.reached.clear()
    scene.connection.go.clear()
    scene.held.go.set()
    assert scene.connection.reached.wait(10)
    scene.pipeline.end("closed")
    assert scene.first.result(timeout=5) == b"OK"
    with pytest.raises(Lost, match="closed"):
        scene.second.result(timeout=5)
    scene.connection.go.set()


def test_what_ends_meanwhile_wakes_each_caller_once(scene: Scene) -> None:
    scene.pipeline.end("closed")
    scene.held.go.set()
    with pytest.raises(Lost, match="closed"):
        scene.first.result()
    with pytest.raises(NotSent, match="closed"):
        scene.second.result()
    scene.pipeline._thread.join(10)
    assert scene.told == ["sent", "woken", "woken"]
