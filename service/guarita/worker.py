"""The gunicorn worker. Importing it loads gevent, so only gunicorn does."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Any

import gevent
from gevent.server import StreamServer
from gunicorn.workers.ggevent import GeventWorker

from guarita.http1 import Limits, Refusal, Server, base_environ, unaccepted
from guarita.server import BACKLOG, patching

CROWD = 128  # connections that wait to be accepted
ACCEPTED_OF_A_CROWD = 64  # at a time


class Acceptor(StreamServer):  # type: ignore[misc]
    """Accepts one connection per turn of the event loop, as gunicorn's own, but more of a crowd.

    One per turn shares them evenly among the workers. But a turn lasts up to 5 ms while greenlets
    are ready (`gevent.getswitchinterval`): while thousands of callers are let on, those who arrive
    would fill the kernel's queue, and whom it has no room for is reset in the end.
    """

    max_accept = 1

    def do_handle(self, *args: Any) -> None:
        self.max_accept = ACCEPTED_OF_A_CROWD if unaccepted(self.socket) > CROWD else 1
        super().do_handle(*args)

    def close(self) -> None:
        """Take in whom the kernel has let in already: when the last one closes, it resets them.

        At most a full queue of them, so that it comes to an end. That nobody is let in meanwhile
        is the arbiter's part (`guarita.server.gunicorn`): the queue is that of all workers, and
        one that starts anew closes as well.
        """
        if not self.closed:
            with suppress(OSError):  # somebody has gone by himself
                for _ in range(BACKLOG):
                    if self.full() or (accepted := self.do_read()) is None:
                        break
                    super().do_handle(*accepted)
        super().close()


class Worker(GeventWorker):  # type: ignore[misc]
    """gevent's worker with our loop over HTTP in place of gunicorn's.

    gunicorn keeps processes, sockets, signals, the limit of connections and the graceful stop.
    """

    limits = Limits()
    sweep_s = 1.0

    def patch(self) -> None:
        with patching():
            super().patch()

    def run(self) -> None:
        self._http = Server(
            self.wsgi,
            refuse=_refusal,
            report=lambda exc: self.log.error("a request failed in the server", exc_info=exc),
            limits=replace(self.limits, keep_alive_s=self.cfg.keepalive),
        )
        self._bases: dict[Any, dict[str, Any]] = {}
        sweeping = gevent.spawn(self._sweep)
        try:
            super().run()
        finally:
            sweeping.kill()

    def server_class(self, listener: Any, *, spawn: Any, **_of_pywsgi: Any) -> StreamServer:
        return Acceptor(listener, handle=partial(self.handle, listener), spawn=spawn)

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        client.setblocking(1)
        base = self._bases.get(listener)
        if base is None:
            base = base_environ(
                listener.getsockname(), errors=sys.stderr, is_multiprocess=self.cfg.workers > 1
            )
            self._bases[listener] = base
        self._http.serve(client, addr, base)

    def _sweep(self) -> None:
        while True:
            self._http.is_stopping = not self.alive
            self._http.sweep()
            gevent.sleep(self.sweep_s)


def _refusal(status: int) -> Refusal:
    """One of our problems: no word of the request in it, and nothing of it is logged."""
    from guarita.api.middleware import SAFE_HEADERS
    from guarita.api.problems import CONTENT_TYPE
    from guarita.api.request import new_request_id

    problem = _problem(status)
    headers = {
        "Content-Type": CONTENT_TYPE,
        "X-Request-Id": new_request_id(),
        **SAFE_HEADERS,
    }
    return Refusal(f"{status} {problem.title}", [*headers.items()], problem.body())


def _problem(status: int) -> Any:
    from guarita.api.problems import INTERNAL, Problem

    texts = {
        408: "The request took too long to arrive.",
        417: "This server knows no other expectation than 100-continue.",
        431: "The request's headers are too long.",
    }
    if status in texts:
        return Problem(f"http-{status}", status, HTTPStatus(status).phrase, texts[status])
    if status == 400:
        text = "This is not an HTTP request that can be read."
        return Problem("malformed", 400, "Malformed request", text)
    return INTERNAL
