"""One connection to a primary that all requests of a process share.

Whatever waits goes out as one pipeline with one WAIT behind it (group commit), and each caller
gets its own answer. One thread (a greenlet under gevent) sends and reads; callers queue and wait.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hiredis import pack_command
from redis.exceptions import NoScriptError, RedisError, ResponseError

from guarita.deadline import Deadline
from guarita.stores.scripts import Script

Argument = bytes | str | int

PAUSE_S = 0.01  # before looking again, where not everybody who must have a write is attached
MOST_IN_A_BATCH = 512
MOST_WOKEN = 32  # callers at once: thousands keep the prober from its readings for seconds


class Unanswered(Exception):
    """No answer came. `late` where the caller's deadline was the reason, not the connection."""

    def __init__(self, text: str, *, late: bool = False) -> None:
        super().__init__(text)
        self.late = late


class NotSent(Unanswered):
    """The call had certainly no effect."""


class Lost(Unanswered):
    """The call was sent, and its answer or its acknowledgement did not come."""


class Full(Exception):
    """Too many calls wait already."""


class Durable(Protocol):
    """Says whether everybody who must have a batch of writes has it."""

    def questions(self) -> list[tuple[Argument, ...]]:
        """What to ask behind the batch, on its connection; nothing: an answer is enough."""

    def holds(self, answers: Sequence[Any]) -> bool: ...


class Call:
    """One caller's command, and where its answer is put."""

    __slots__ = ("_done", "acknowledge", "answer", "deadline", "error", "script", "sent", "words")

    def __init__(
        self,
        words: tuple[Argument, ...],
        *,
        script: Script | None = None,
        acknowledge: bool = False,
        deadline: Deadline,
    ) -> None:
        self.words = words
        self.script = script
        self.acknowledge = acknowledge
        self.deadline = deadline
        self.sent = False
        self.answer: Any = None
        self.error: Exception | None = None
        self._done = threading.Lock()  # cheaper than an Event, and there is one a request
        self._done.acquire()

    def settle(self, error: Exception | None = None) -> None:
        """Give the caller its answer, or `error`. Called once."""
        self.error = error
        self._done.release()

    def wait(self) -> bool:
        """Whether it was settled before the deadline."""
        while not self._done.acquire(timeout=self.deadline.remaining_s):
            if self.deadline.passed:
                return False
        return True


@dataclass(frozen=True, slots=True)
class Batch:
    """What was sent, and is not answered yet."""

    calls: list[Call]
    questions: int  # asked behind it


class Pipeline:
    """Calls in, answers out, over one connection; ends with it. Safe for threads and greenlets."""

    def __init__(
        self,
        connection: Any,
        durable: Durable,
        *,
        most_waiting: int,
        on_end: Callable[[str], None],
        name: str,
    ) -> None:
        """`connection` is connected; `on_end` is told why it ended.

        `most_waiting` calls may wait to be sent or acknowledged; the next one is refused.
        """
        self._most_waiting = most_waiting
        self._connection = connection
        self._durable = durable
        self._on_end = on_end
        self._queue: deque[Call] = deque()
        self._unacknowledged: list[Call] = []
        self._in_flight: deque[Call] = deque()
        self._settled: list[tuple[Call, Exception | None]] = []
        """Whose answers are known, and who are woken once the next batch is out."""
        self._changed = threading.Condition(threading.Lock())
        self._ended: str | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def unacknowledged(self) -> int:
        """Calls that were answered and wait for the acknowledgement."""
        return len(self._unacknowledged)

    def ask(self, call: Call) -> Any:
        """Queue a call and wait for its answer until its deadline.

        Raises `NotSent`, `Lost`, `Full`, or the server's `ResponseError`.
        """
        with self._changed:
            if self._ended is not None:
                raise NotSent(self._ended)
            if (waiting := len(self._queue) + len(self._unacknowledged)) >= self._most_waiting:
                raise Full(f"{waiting} calls wait for the store already")
            self._queue.append(call)
            if len(self._queue) == 1:  # it waits only while the queue is empty
                self._changed.notify()
        if not call.wait():
            with self._changed:  # whether it was sent is decided under this lock
                if not call.sent:
                    raise NotSent("it was not sent until the deadline", late=True)
            raise Lost("it was not answered and acknowledged until the deadline", late=True)
        if call.error is not None:
            raise call.error
        return call.answer

    def end(self, reason: str) -> None:
        """Give every caller its error now, or the answer that there is; the thread ends when its
        connection lets it."""
        with self._changed:
            if self._ended is not None:
                return
            self._ended = reason
            calls = [*self._in_flight, *self._unacknowledged, *self._queue]
            for each in (self._in_flight, self._unacknowledged, self._queue):
                each.clear()
            self._changed.notify()
        self._wake()
        for call in calls:
            call.settle(Lost(reason) if call.sent else NotSent(reason))

    def _run(self) -> None:
        reason = "closed"
        batch: Batch | None = None
        try:
            while batch or self._wait():
                batch = self._receive(batch) if batch else self._send()
        except (RedisError, OSError) as exc:
            reason = str(exc)
        finally:
            self._connection.disconnect()
            self.end(reason)
            self._on_end(reason)

    def _wait(self) -> bool:
        """Until there is something to send; False at the end."""
        if self._unacknowledged and not self._queue:
            time.sleep(PAUSE_S)
        with self._changed:
            while not (self._queue or self._unacknowledged or self._ended is not None):
                self._changed.wait()
        time.sleep(0)  # let others who are about to call join the batch
        return self._ended is None

    def _send(self) -> Batch | None:
        """What waits, and the questions behind it; None where nobody waits any more."""
        with self._changed:
            self._unacknowledged = [
                call for call in self._unacknowledged if not call.deadline.passed
            ]
            while self._queue and len(self._in_flight) < MOST_IN_A_BATCH:
                call = self._queue.popleft()
                if not call.deadline.passed:  # who does not wait any more is not sent for
                    call.sent = True
                    self._in_flight.append(call)
            calls = list(self._in_flight)
        questions: list[tuple[Argument, ...]] = []
        if self._unacknowledged or any(call.acknowledge for call in calls):
            questions = self._durable.questions()
        if not calls and not questions:
            return None
        packed = b"".join(
            pack_command(words)  # type: ignore[arg-type]  # it says a tuple of one
            for words in [*map(_command, calls), *questions]
        )
        self._connection.send_packed_command([packed], check_health=False)
        return Batch(calls, len(questions))

    def _receive(self, batch: Batch) -> Batch | None:
        """Give callers their answers; the next batch, where one waits.

        That goes out first: the server works on it while these callers go on.
        """
        answers = [self._answer() for _ in batch.calls]
        self._deliver(batch.calls, answers, hold=batch.questions > 0)
        if batch.questions:
            self._wake()
            self._acknowledge([self._connection.read_response() for _ in range(batch.questions)])
        following = self._send() if self._queue else None
        self._wake()
        return following

    def _answer(self) -> Any:
        """One answer; an error of the server is an answer too, a lost connection is not."""
        try:
            return self._connection.read_response()
        except ResponseError as exc:
            return exc

    def _deliver(self, calls: list[Call], answers: list[Any], *, hold: bool) -> None:
        with self._changed:
            if self._ended is not None:
                return
            self._in_flight.clear()
            for call, answer in zip(calls, answers, strict=True):
                if isinstance(answer, NoScriptError) and call.script is not None:
                    self._again(call)
                elif isinstance(answer, Exception):
                    self._settled.append((call, answer))
                else:
                    call.answer = answer
                    if hold and call.acknowledge:
                        self._unacknowledged.append(call)
                    else:
                        self._settled.append((call, None))

    def _again(self, call: Call) -> None:
        """The server forgot its scripts (SCRIPT FLUSH): send this one spelled out."""
        if call.script is not None:
            call.words = ("EVAL", call.script.text, *call.words)
            call.script, call.sent = None, False
            self._queue.appendleft(call)

    def _acknowledge(self, answers: list[Any]) -> None:
        if self._ended is not None or not self._durable.holds(answers):
            return
        with self._changed:
            self._settled += [(call, None) for call in self._unacknowledged]
            self._unacknowledged = []

    def _wake(self) -> None:
        with self._changed:
            settled, self._settled = self._settled, []
        for number, (call, error) in enumerate(settled, 1):
            call.settle(error)
            if number % MOST_WOKEN == 0:
                time.sleep(0)


def _command(call: Call) -> tuple[Argument, ...]:
    return ("EVALSHA", call.script.sha1, *call.words) if call.script else call.words
