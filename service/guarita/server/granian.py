"""The service under granian, whose HTTP is Rust; its workers wait in greenlets (`rsgi.py`)."""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gevent import monkey
from granian import Granian, loops
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings

from guarita import logs
from guarita.config import Settings
from guarita.server import (
    BACKLOG,
    KEEP_ALIVE_S,
    connections,
    patching,
    settle,
    stop_s,
)
from guarita.server.address import UNIX, ip_and_port
from guarita.wsgi import Service

if TYPE_CHECKING:
    from guarita.server.rsgi import Rsgi

MAX_HEAD = 16 * 1024
UNIX_MODE = 0o777  # as under gunicorn: who may connect is up to the folder

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
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        loop=Loops.auto,
        websockets=False,
        workers=settings.server.workers,
        respawn_failed_workers=True,
        workers_kill_timeout=stop_s(settings),
        backlog=BACKLOG,
        backpressure=connections(settings),
        # Also the time that an idle connection is kept.
        http1_settings=HTTP1Settings(
            header_read_timeout=KEEP_ALIVE_S * 1000, max_buffer_size=MAX_HEAD
        ),
        log_dictconfig=_LOGGING,
        log_access=False,
    )
    loader: Any = _Loader(service)  # of an object, where granian's type says a function
    server.serve(target_loader=loader, wrap_loader=False)


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


@loops.register("auto")
def _loop() -> Any:
    """Called first in each worker: what is imported from now on waits in greenlets."""
    with patching():
        monkey.patch_all()
    from guarita.server.hub import HubLoop

    return HubLoop()


@dataclass(frozen=True, slots=True)
class _Loader:
    """Called in each worker, as its copy or unpickled, for the application."""

    service: Service

    def __call__(self) -> Rsgi:
        from guarita.server.hub import TurnLog
        from guarita.server.rsgi import Rsgi

        settings = self.service.settings
        _end_when_told()
        lines: Any = TurnLog(sys.stderr)
        Finalize(None, lines.flush, exitpriority=-1)
        logs.configure(settings, stream=lines)
        _end_with_parent()
        if self.service.metrics_dir is not None:
            _forget_metrics_of_the_dead(self.service.metrics_dir)
        sessions, app = self.service.open()
        Finalize(None, sessions.store.close, exitpriority=0)
        settle()
        return Rsgi(app, _base(settings), before_sending=lines.flush)


def _base(settings: Settings) -> dict[str, Any]:
    """What the environments of all requests share."""
    from guarita.http1 import base_environ

    bind = settings.server.bind
    address: Any = bind if bind.startswith(UNIX) else ip_and_port(bind)
    return base_environ(address, errors=sys.stderr, is_multiprocess=settings.server.workers > 1)


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
