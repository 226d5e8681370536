"""The loop over the requests of a connection, and all connections of a process."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import IO, Any

from guarita.http1.answer import Answer, Headers
from guarita.http1.body import MalformedBodyError, open_body
from guarita.http1.head import RefusedError, read_head
from guarita.http1.wire import MAX_DISCARDED_BYTES, GoneError, LateError, Limits, Wire

_UNREAD = {"REQUEST_METHOD": "GET", "SERVER_PROTOCOL": "HTTP/1.1"}

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer to what the application does not answer."""

    status: str
    headers: Headers
    body: bytes


def base_environ(
    address: Any, *, errors: IO[str], is_multiprocess: bool, scheme: str = "http"
) -> dict[str, Any]:
    """What all requests to a listener at this address share; a Unix socket's is text."""
    name, port = (address[0], address[1]) if isinstance(address, tuple) else ("localhost", 80)
    return {
        "SCRIPT_NAME": "",
        "SERVER_NAME": name,
        "SERVER_PORT": str(port),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.errors": errors,
        "wsgi.multithread": True,
        "wsgi.multiprocess": is_multiprocess,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }


class Server:
    """Serves one application on connections that others accept, each in a thread or greenlet.

    Whoever runs it calls `sweep` about once a second: time limits end there and nowhere else,
    which spares every request a timer.
    """

    def __init__(
        self,
        application: Application,
        *,
        refuse: Callable[[int], Refusal],
        report: Callable[[BaseException], None],
        limits: Limits,
    ) -> None:
        """`refuse` makes the answer to a status, `report` logs what the application did wrong."""
        self._application = application
        self._refuse = refuse
        self._report = report
        self._limits = limits
        self._wires: set[Wire] = set()
        self.is_stopping = False

    def sweep(self) -> None:
        """End what takes too long. When stopping, also the connections without a request, but not
        at once: one may be under way, and its caller would not know what became of it.
        """
        now = time.monotonic()
        wires = list(self._wires)
        if self.is_stopping:  # all of them, before a close lets another thread answer meanwhile
            for wire in wires:
                wire.is_last = True
                if wire.is_idle:
                    wire.expires = min(wire.expires, now + self._limits.parting_s)
        for wire in wires:
            if wire.expires < now:
                wire.expire()

    def serve(self, connection: socket.socket, address: Any, base: dict[str, Any]) -> None:
        """Answer the requests of a connection and close it."""
        base = base.copy()
        base["REMOTE_ADDR"] = ""
        if isinstance(address, tuple):
            base["REMOTE_ADDR"], base["REMOTE_PORT"] = address[0], str(address[1])
        wire = Wire(connection, self._limits)
        wire.is_last = self.is_stopping
        self._wires.add(wire)
        try:
            while self._serve_next(wire, base):
                if wire.held:
                    time.sleep(0)  # who sends many requests at once is not the only one
            wire.linger()
        except GoneError:
            pass
        except Exception as exc:  # noqa: BLE001 - told by our log, which hides secrets, or by none
            self._report(exc)
        finally:
            self._wires.discard(wire)
            wire.close()

    def _serve_next(self, wire: Wire, base: dict[str, Any]) -> bool:
        """Answer one request; whether another one may follow. Raises `GoneError`."""
        try:
            head = read_head(wire, base)
        except RefusedError as exc:
            return self._answer_refusal(wire, exc.status)
        except LateError:
            return self._answer_refusal(wire, 408)
        environ = head.environ
        body, length = None, head.length
        if length is not None and length <= len(wire.held) and not head.expects_continue:
            environ["wsgi.input"] = io.BytesIO(wire.held[:length])  # it is here already, or none
            wire.held = wire.held[length:]
        else:
            body = open_body(wire, head.length, expects_continue=head.expects_continue)
            environ["wsgi.input"] = io.BufferedReader(body)
        answer = Answer(wire, environ, keeps_alive=head.keeps_alive)
        answer.request_body = body
        status = self._ask(environ, answer)
        if status and not answer.is_sent:
            return self._answer_refusal(wire, status, environ)
        if answer.keeps_alive and not status:
            return body is None or body.drain(MAX_DISCARDED_BYTES)
        if head.keeps_alive or wire.held or not (body is None or body.is_complete):
            return False
        raise GoneError("the caller has nothing more to send")

    def _ask(self, environ: dict[str, Any], answer: Answer) -> int:
        """Send the application's answer, or return the status that says why there is none."""
        try:
            result = self._application(environ, answer.start)
            try:
                if isinstance(result, list | tuple) and len(result) < 2:
                    answer.total = len(result[0]) if result else 0
                for data in result:
                    if data:
                        answer.write(data)
                answer.finish()
            finally:
                close = getattr(result, "close", None)
                if close is not None:
                    close()
        except GoneError:
            raise
        except LateError:
            return 408
        except MalformedBodyError:
            return 400
        except Exception as exc:  # noqa: BLE001 - whatever it is, the other connections go on
            self._report(exc)
            return 500
        return 0

    def _answer_refusal(
        self, wire: Wire, status: int, environ: dict[str, Any] | None = None
    ) -> bool:
        refusal = self._refuse(status)
        answer = Answer(wire, environ or _UNREAD, keeps_alive=False)
        answer.start(refusal.status, refusal.headers)
        answer.total = len(refusal.body)
        answer.write(refusal.body)
        return False
