"""gevent's event loop as one of asyncio's, as much of it as granian uses.

granian hands each request to a loop of asyncio. This one is gevent's hub, so that the application
can wait in greenlets, as it does under gunicorn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TextIO

import gevent
import structlog
from gevent import monkey
from gevent.event import Event

_let_others_run: Callable[[float], None] = monkey.get_original("time", "sleep")
_thread: Callable[[], int] = monkey.get_original("_thread", "get_ident")

log = structlog.stdlib.get_logger("guarita.server")


class HubLoop:
    """Calls back in the hub of the thread that made it."""

    def __init__(self) -> None:
        self._hub = gevent.get_hub()
        self._ready: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._wake = self._hub.loop.async_()
        self._wake.start(self._run_ready)
        self._signals: list[Any] = []

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, **_context: Any
    ) -> None:
        """Each greenlet has a context of its own, so the caller's is not kept."""
        self._ready.append((callback, args))
        self._wake.send()

    call_soon = call_soon_threadsafe

    def create_task(self, main: Coroutine[Any, Any, object], **_name: Any) -> None:
        """Begins at once, and goes on when what it awaits is done."""
        try:
            awaited = main.send(None)
        except StopIteration:
            return
        awaited.add_done_callback(lambda _: self.create_task(main))

    def run_until_complete(self, main: Coroutine[Any, Any, object]) -> None:
        """To be called outside the hub."""
        asyncio._set_running_loop(self)  # type: ignore[arg-type]
        done = Event()

        async def run() -> None:
            await main
            done.set()

        self.create_task(run())
        done.wait()

    def add_signal_handler(self, number: int, callback: Callable[..., object], *args: Any) -> None:
        watcher = self._hub.loop.signal(number)
        watcher.start(callback, *args)
        self._signals.append(watcher)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)  # type: ignore[arg-type]

    def get_debug(self) -> bool:
        return False

    def _run_ready(self) -> None:
        ready, known = self._ready, 0
        while len(ready) > known:  # granian's thread hands on what it has while it is let
            known = len(ready)
            _let_others_run(0)
        for _ in range(known):  # who comes meanwhile waits for the next turn
            callback, args = ready.popleft()
            try:
                callback(*args)
            except Exception:  # the others go on
                log.exception("a request failed in the server")


class TurnLog:
    """A stream for lines of the log: those of one turn of the loop are written at its end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._hub = gevent.get_hub()
        self._lines: list[str] = []

    def write(self, line: str) -> None:
        if _thread() != self._hub.thread_ident:
            self._stream.write(line)  # granian's threads
            return
        if not self._lines:
            self._hub.loop.run_callback(self.flush)
        self._lines.append(line)

    def flush(self) -> None:
        if self._lines:
            lines, self._lines = self._lines, []
            with suppress(OSError, ValueError):  # a log that fails fails nobody
                self._stream.write("".join(lines))

    def isatty(self) -> bool:
        return self._stream.isatty()
