"""The store without HTTP: `python -m bench.operations SETTINGS` prints its figures as JSON.

In a process of its own, since gevent replaces the standard library's waiting.
"""

# ruff: noqa: E402 - gevent goes first
from gevent import monkey

monkey.patch_all()

import json
import os
import socket
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import gevent
from gevent.lock import Semaphore

from bench.contestants import ROWS
from bench.results import CALLERS, FLOOR, RATE_PER_S
from guarita.config import load
from guarita.deadline import Deadline
from guarita.ids import TicketId
from guarita.sessions import Sessions
from guarita.stores.base import Grant
from guarita.wsgi import open_sessions

CALLS = 20_000
RATED_S = 10
GRANT = Grant()
SET = b"*3\r\n$3\r\nSET\r\n$11\r\nbench:floor\r\n$1\r\n1\r\n"

Operation = Callable[[], object]


def main(settings: Path) -> None:
    """Measure each operation flat out, and at `RATE_PER_S`."""
    sessions = open_sessions(load(settings), os.urandom(32))
    try:
        figures = {name: _measure(sessions, name) for name in (*ROWS, FLOOR)}
    finally:
        sessions.store.close()
    click.echo(json.dumps(figures))


def _measure(sessions: Sessions, name: str) -> dict[str, float]:
    flat_out = _prepare(sessions, name, CALLS)
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    gevent.joinall(
        [gevent.spawn(_run, flat_out, CALLS // CALLERS) for _ in range(CALLERS)], raise_error=True
    )
    took_s, spent_s = time.monotonic() - began_s, time.process_time() - began_cpu_s
    latencies_ms = _at_rate(_prepare(sessions, name, RATE_PER_S * RATED_S))
    quantiles = statistics.quantiles(latencies_ms, n=1000)
    return {
        "per_s": CALLS / took_s,
        "cpu_us": spent_s * 1e6 / CALLS,
        "p50_ms": quantiles[499],
        "p99_ms": quantiles[989],
    }


def _prepare(sessions: Sessions, name: str, count: int) -> Operation:
    """What to call, `count` times at most."""

    def create() -> TicketId:
        return sessions.create(GRANT, deadline=Deadline.after(10))

    if name == FLOOR:
        return _bare_set(sessions)
    if name == "create":
        return create
    if name == "verify":
        token = sessions.redeem(create(), None, deadline=Deadline.after(10)).token
        return lambda: sessions.verify(token, deadline=Deadline.after(10))
    ids: list[TicketId] = []
    gevent.joinall(
        [
            gevent.spawn(lambda: ids.extend(create() for _ in range(count // CALLERS + 1)))
            for _ in range(CALLERS)
        ],
        raise_error=True,
    )
    return lambda: sessions.redeem(ids.pop(), None, deadline=Deadline.after(10))


def _bare_set(sessions: Sessions) -> Operation:
    """A SET on a connection that nobody shares: what server and machine take by themselves."""
    host, _, port = sessions.store.acknowledgements()[0].primary.rpartition(":")
    idle: list[socket.socket] = []

    def call() -> None:
        connection = idle.pop() if idle else socket.create_connection((host, int(port)))
        connection.sendall(SET)
        connection.recv(16)
        idle.append(connection)

    return call


def _run(operation: Operation, times: int) -> None:
    for _ in range(times):
        operation()


def _at_rate(operation: Operation) -> list[float]:
    """Milliseconds from the moment each call was due, so that no delay is left out."""
    latencies_ms: list[float] = []
    start_s = time.monotonic() + 0.1
    due = [start_s + number / RATE_PER_S for number in range(RATE_PER_S * RATED_S)]

    def call(due_s: float) -> None:
        operation()
        latencies_ms.append((time.monotonic() - due_s) * 1000)

    calls = []
    with _clocked(due) as ticks:
        for due_s in due:
            ticks.acquire()
            calls.append(gevent.spawn(call, due_s))
        gevent.joinall(calls, raise_error=True)
    return latencies_ms


@contextmanager
def _clocked(due: Sequence[float]) -> Iterator[Semaphore]:
    """Released at each of these moments, by a thread: gevent's own timers are late.

    libev waits for whole milliseconds (epoll_wait), a request that comes wakes it at once.
    """
    ticks, pending = Semaphore(0), deque[None]()

    def release() -> None:
        while pending:
            pending.popleft()
            ticks.release()

    def tick() -> None:
        for due_s in due:
            sleep(max(0.0, due_s - time.monotonic()))
            pending.append(None)
            woken.send()

    sleep = monkey.get_original("time", "sleep")
    woken = gevent.get_hub().loop.async_()
    woken.start(release)
    monkey.get_original("_thread", "start_new_thread")(tick, ())
    try:
        yield ticks
    finally:
        woken.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
