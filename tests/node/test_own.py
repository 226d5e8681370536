"""What the observer of a server says where the server does not take what it says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import exceptions

from guarita.node.own import Observer
from guarita.processes import wait_until

INFO = b"role:master\r\nmaster_repl_offset:7\r\nmaster_replid:a\r\n" + (
    b"master_replid2:b\r\nsecond_repl_offset:-1\r\nloading:0\r\nserver_time_usec:5000000\r\n"
)


class Connection:
    """To a server that answers as one that is well."""

    def __init__(self) -> None:
        self._answers: list[Any] = []

    def pack_commands(self, commands: Any) -> Any:
        return list(commands)

    def send_packed_command(self, commands: Any, *, check_health: bool) -> None:
        assert not check_health
        self._answers = [INFO if each[0] == "INFO" else [b"1"] for each in commands]

    def read_response(self) -> Any:
        return self._answers.pop(0)

    def disconnect(self) -> None: ...


Start = Callable[[Callable[[], Any]], Observer]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[Observer] = []

    def start(connect: Callable[[], Any]) -> Observer:
        observer = Observer(connect, b"counters", lambda: None)
        observer.start()
        started.append(observer)
        return observer

    yield start
    for each in started:
        each.close()
        each._thread.join(10)


@pytest.mark.parametrize(
    "error",
    [
        exceptions.AuthenticationError("WRONGPASS"),
        exceptions.NoPermissionError("no permissions to run INFO"),
        ValueError("/run/secrets/agent: is not there"),
    ],
)
def test_a_server_that_refuses_its_agent_is_told_of_until_it_answers(
    start: Start, error: Exception
) -> None:
    is_right = threading.Event()

    def connect() -> Connection:
        if not is_right.is_set():
            raise error
        return Connection()

    observer = start(connect)
    assert wait_until(lambda: str(error) in observer.refusal, timeout_s=10)
    assert not observer.answered
    is_right.set()
    assert wait_until(lambda: observer.answered, timeout_s=10)
    assert observer.refusal == ""


@pytest.mark.parametrize("error", [ConnectionRefusedError(), exceptions.TimeoutError("late")])
def test_one_that_is_not_up_yet_refuses_nothing(start: Start, error: Exception) -> None:
    tried = threading.Semaphore(0)

    def connect() -> Connection:
        tried.release()
        raise error

    observer = start(connect)
    assert tried.acquire(timeout=10)
    assert tried.acquire(timeout=10)  # the first one has been judged
    assert observer.refusal == ""
