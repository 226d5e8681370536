"""The service under granian, whose HTTP is Rust; its workers call the application on threads."""

from __future__ import annotations

import io
import logging
import multiprocessing
import os
import re
import signal
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings

from guarita import logs
from guarita.config import Settings
from guarita.errors import StoreUnavailable
from guarita.server import BACKLOG, KEEP_ALIVE_S, connections, settle, stop_s
from guarita.server.address import UNIX, ip_and_port
from guarita.wsgi import Service

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MOST_WAITING = 512
"""Requests of one process that may wait for the store: each holds a thread."""
SPARE_THREADS = 64  # for probes and metrics while everyone else waits for the store
MOST_BODIES = 256  # on their way at once: granian waits for the rest of a body without end
BODY_TURN_S = 2  # for one of them to be there; what is sent at once is in milliseconds
MAX_HEAD = 16 * 1024
UNIX_MODE = 0o777  # as under gunicorn: who may connect is up to the folder

log = structlog.stdlib.get_logger("guarita.server")

# Handlers and formatters of the process stay as they are: only ours print.
_LOGGING = {
    "incremental": True,
    "formatters": {},
    "handlers": {},
    "loggers": {"_granian": {"propagate": True}, "granian.access": {"propagate": False}},
}


def run(service: Service) -> None:
    """Serve until SIGTERM or SIGINT. Ends the process with status 1 if workers keep dying."""
    settings = service.settings
    logging.getLogger("_granian").addFilter(_is_no_advice)
    server = Granian(
        "guarita",
        **_listener(settings.server.bind),
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        loop=Loops.asyncio,
        websockets=False,
        workers=settings.server.workers,
        respawn_failed_workers=True,
        workers_kill_timeout=stop_s(settings),
        blocking_threads=_threads(settings),
        backlog=BACKLOG,
        backpressure=connections(settings),
        # Also the time that an idle connection is kept.
        http1_settings=HTTP1Settings(
            header_read_timeout=KEEP_ALIVE_S * 1000, max_buffer_size=MAX_HEAD
        ),
        log_dictconfig=_LOGGING,
        log_access=False,
    )
    server.serve(target_loader=_Loader(service), wrap_loader=False)


def most_waiting(settings: Settings) -> int:
    """`store.max_waiting`, as far as there are threads to wait on."""
    return min(settings.store.max_waiting, MOST_WAITING)


def _threads(settings: Settings) -> int:
    """Those who wait may do so for a write and for a read: each has a limit of its own."""
    return 2 * most_waiting(settings) + MOST_BODIES + SPARE_THREADS


def _listener(bind: str) -> dict[str, Any]:
    if not bind.startswith(UNIX):
        host, port = ip_and_port(bind)
        return {"address": host, "port": port}
    path = Path(bind.removeprefix(UNIX))
    if path.is_socket():
        path.unlink()  # of a service that was killed
    return {"uds": path, "uds_permissions": UNIX_MODE}


def _is_no_advice(record: logging.LogRecord) -> bool:
    """The number of threads is meant."""
    return not str(record.msg).startswith("Configuration allows spawning up to")


@dataclass(frozen=True, slots=True)
class _Loader:
    """Called in each worker, as its copy or unpickled, for the application."""

    service: Service

    def __call__(self) -> WSGIApplication:
        settings = self.service.settings
        _end_when_told()
        logs.configure(settings)
        _end_with_parent()
        _drop_header_variables()
        if self.service.metrics_dir is not None:
            _forget_metrics_of_the_dead(self.service.metrics_dir)
        sessions, app = _with_most_waiting(self.service).open()
        Finalize(None, sessions.store.close, exitpriority=0)
        settle()
        return _Whole(app)


def _with_most_waiting(service: Service) -> Service:
    settings = service.settings
    store = settings.store.model_copy(update={"max_waiting": most_waiting(settings)})
    capped = settings.model_copy(update={"store": store})
    return Service(capped, service.secret, service.metrics_dir)


def _end_when_told() -> None:
    """Until granian listens to signals here: the parent's handlers, left by the fork, are deaf."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def _end_with_parent() -> None:
    """A worker whose parent was killed would go on for ever."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="guarita-parent", daemon=True).start()


def _drop_header_variables() -> None:
    """granian puts the environment into each request's, where `HTTP_X` is a header X."""
    for name in [name for name in os.environ if name.startswith("HTTP_")]:
        del os.environ[name]


def _forget_metrics_of_the_dead(metrics_dir: Path) -> None:
    """Gauges are of living workers only; nobody tells when one has died, only that it is new."""
    from prometheus_client.multiprocess import mark_process_dead

    pids = {
        int(found[1])
        for file in metrics_dir.glob("gauge_live*.db")
        if (found := re.search(r"_(\d+)\.db$", file.name))
    }
    for pid in pids:
        try:
            os.kill(pid, 0)
        except PermissionError:
            continue  # another user's process has the number now
        except ProcessLookupError:
            with suppress(FileNotFoundError):  # another worker was faster
                mark_process_dead(pid)  # type: ignore[no-untyped-call]


class _Whole:
    """The application with each body taken in before it is called.

    granian takes a body that breaks off for a whole one, and waits for a slow one for ever. The
    one is an error here, and only so many threads wait for the other.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app
        self._bodies = threading.BoundedSemaphore(MOST_BODIES)

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        is_chunked = "HTTP_TRANSFER_ENCODING" in environ
        environ["wsgi.input_terminated"] = is_chunked
        if is_chunked or "CONTENT_LENGTH" in environ:
            if not self._bodies.acquire(timeout=BODY_TURN_S):
                log.warning("a request was refused: too many bodies are on their way")
                return _answer_busy(start)
            try:
                environ["wsgi.input"] = _taken_in(environ)
            finally:
                self._bodies.release()
        return self._app(environ, start)


def _taken_in(environ: WSGIEnvironment) -> io.BytesIO:
    """The body, as much of it as the application would ask for."""
    from guarita.api.request import MAX_DRAINED_BYTES

    data = environ["wsgi.input"].read(MAX_DRAINED_BYTES)
    announced = environ.get("CONTENT_LENGTH", "1")  # nobody sends chunks that are none
    is_whole = len(data) >= min(int(announced), MAX_DRAINED_BYTES)
    return io.BytesIO(data) if is_whole else _Broken()


class _Broken(io.BytesIO):
    """A body that did not come as announced."""

    def read(self, _size: int | None = -1, /) -> bytes:
        raise OSError("the body ended early")


def _answer_busy(start: StartResponse) -> Iterable[bytes]:
    """As the application would where it cannot wait; its body unread, the connection ends."""
    from guarita.api.middleware import SAFE_HEADERS
    from guarita.api.problems import CONTENT_TYPE, problem_of
    from guarita.api.request import new_request_id

    problem = problem_of(StoreUnavailable("too many bodies are on their way"))
    body = problem.body()
    headers = {
        "Connection": "close",
        "Content-Type": CONTENT_TYPE,
        "Content-Length": str(len(body)),
        "X-Request-Id": new_request_id(),
        **problem.headers(),
        **SAFE_HEADERS,
    }
    start(f"{problem.status} {problem.title}", [*headers.items()])
    return [body]
