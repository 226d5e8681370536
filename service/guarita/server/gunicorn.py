"""The service under gunicorn with gevent workers (`guarita.worker`)."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from guarita.http1 import let_nobody_in
from guarita.server import BACKLOG, KEEP_ALIVE_S, connections, settle, stop_s
from guarita.wsgi import Service

if TYPE_CHECKING:
    from guarita.api.app import App
    from guarita.sessions import Sessions


HANDSHAKE_S = 0.2  # for callers whose connection has begun; more than most round trips


def run(service: Service) -> None:
    """Serve until SIGTERM or SIGINT; ends the process."""
    _Server(service).run()


class _Arbiter(Arbiter):  # type: ignore[misc]
    """gunicorn's, which lets nobody in before its workers take in the last ones and close."""

    def stop(self, graceful: bool = True) -> None:
        if self._has_listeners_alone():
            for listener in self.LISTENERS:
                let_nobody_in(listener.sock)
            if graceful and self.LISTENERS:
                time.sleep(HANDSHAKE_S)
        super().stop(graceful)

    def _has_listeners_alone(self) -> bool:
        """Nobody goes on with them: no other arbiter that was executed anew, not the one whose
        child failed to be that, and not systemd."""
        is_only = self.reexec_pid == self.master_pid == 0 and self.pid == os.getpid()
        return is_only and not self.systemd


class _Server(BaseApplication):  # type: ignore[misc]
    """gunicorn as the settings want it; each worker builds its own application."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._sessions: Sessions | None = None
        super().__init__(prog="guarita")

    def load_config(self) -> None:
        settings = self._service.settings
        options = {
            "bind": settings.server.bind,
            "workers": settings.server.workers,
            "worker_class": "guarita.worker.Worker",
            "worker_connections": connections(settings),
            "backlog": BACKLOG,
            "logger_class": Log,
            "loglevel": "debug",  # ours decides
            "graceful_timeout": stop_s(settings),
            "keepalive": KEEP_ALIVE_S,
            "forwarded_allow_ips": "",  # server.trusted_proxies is ours
            "control_socket_disable": True,
            "proc_name": "guarita",
            "reload": settings.server.reload,
            "worker_exit": self._close,
            "child_exit": _forget_metrics,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def run(self) -> None:
        try:
            _Arbiter(self).run()
        except RuntimeError as exc:  # as gunicorn's own
            sys.exit(f"Error: {exc}")

    def load(self) -> App:
        self._sessions, app = self._service.open()
        settle()
        return app

    def _close(self, _server: object, _worker: object) -> None:
        if self._sessions is not None:
            self._sessions.store.close()


def _forget_metrics(_server: object, worker: Any) -> None:
    """Gauges are of living workers only."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


class Log(Logger):  # type: ignore[misc]
    """gunicorn's log as a part of ours; its access log prints queries and referrers, so none."""

    def setup(self, cfg: Any) -> None:
        self.cfg = cfg
        self.error_log.propagate = True
        self.error_log.handlers.clear()
        self.access_log.disabled = True

    def access(self, *_details: object) -> None:
        return
