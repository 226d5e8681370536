"""The service as a WSGI application, and under gunicorn with gevent workers.

What reads metrics, speaks Falcon or opens the store is imported in the worker: gevent has to patch
the standard library first, and prometheus-client decides at its import how it counts.
"""

from __future__ import annotations

import errno
import math
import os
import resource
import secrets
import shutil
import socket
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import structlog
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from guarita import logs
from guarita.config import Address, Settings
from guarita.errors import TopologyError

if TYPE_CHECKING:
    from guarita.api.app import App
    from guarita.sessions import Sessions

GRACE_S = 5  # beyond the deadline of the last request, before a worker that stops is killed
SPARE_CONNECTIONS = 1024  # for probes and metrics while everyone else waits for the store
KEEP_ALIVE_S = 5
MAX_REQUEST_LINE = 8190

log = structlog.stdlib.get_logger("guarita.server")


def build(settings: Settings) -> App:
    """The service for any WSGI server. Opens its store, so call it after any fork.

    The server's process has to call `guarita.logs.configure` if the logs are wanted.
    """
    from guarita.api.app import create_app

    return create_app(settings, open_sessions(settings, _secret(settings)))


def open_sessions(settings: Settings, secret: bytes) -> Sessions:
    """The sessions over the configured store; `store.close()` gives it back."""
    from guarita.sessions import Policy, Sessions
    from guarita.stores.connect import new_cache, open_store

    limits = settings.sessions
    cache = new_cache(settings.store, limits)
    policy = Policy(
        secret=secret,
        ticket_ttl_s=limits.ticket_ttl_s,
        session_ttl_s=limits.session_ttl_s,
        replay_window_s=limits.replay_window_s,
        max_sessions=limits.max_sessions,
        revoke_on_replay=limits.revoke_on_replay,
        region=settings.region.name,
    )
    return Sessions(open_store(settings.store, limits, cache=cache), policy, cache=cache)


def serve(settings: Settings) -> NoReturn:
    """Serve until SIGTERM or SIGINT, then end the process with status 0.

    Raises `ConfigError` when a log file cannot be written, and `TopologyError` when the address
    is taken.
    """
    logs.configure(settings)
    check_address(settings.server.bind)
    _allow_open_files(_connections(settings))
    secret = _secret(settings)
    metrics_dir = Path(tempfile.mkdtemp(prefix="guarita-metrics-"))
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics_dir)
    parent = os.getpid()
    try:
        _Server(settings, secret, metrics_dir).run()
    finally:
        if os.getpid() == parent:  # workers leave through here too
            shutil.rmtree(metrics_dir, ignore_errors=True)
    raise SystemExit(0)


def check_address(bind: str) -> None:
    """Raises `TopologyError` with one sentence when nothing can listen at `bind`."""
    if bind.startswith("unix:"):
        folder = Path(bind.removeprefix("unix:")).parent
        if not os.access(folder, os.W_OK):
            raise TopologyError(f"server.bind: {bind}: {folder} is no directory to write to")
        return
    address = Address.parse(bind)
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as exc:
        if exc.errno == errno.EADDRINUSE:
            hint = "is taken by another process; stop it, or set server.bind to a free port"
        else:
            hint = f"cannot be listened at: {exc.strerror}"
        raise TopologyError(f"server.bind: {bind}: {hint}") from exc


class _Server(BaseApplication):  # type: ignore[misc]
    """gunicorn as the settings want it; each worker builds its own application."""

    def __init__(self, settings: Settings, secret: bytes, metrics_dir: Path) -> None:
        self._settings = settings
        self._secret = secret
        self._metrics_dir = metrics_dir
        self._sessions: Sessions | None = None
        super().__init__(prog="guarita")

    def load_config(self) -> None:
        server = self._settings.server
        options = {
            "bind": server.bind,
            "workers": server.workers,
            "worker_class": "guarita.worker.Worker",
            "worker_connections": _connections(self._settings),
            "logger_class": Log,
            "loglevel": "debug",  # ours decides
            "graceful_timeout": math.ceil(self._settings.store.deadline_s) + GRACE_S,
            "keepalive": KEEP_ALIVE_S,
            "limit_request_line": MAX_REQUEST_LINE,
            "forwarded_allow_ips": "",  # server.trusted_proxies is ours
            "control_socket_disable": True,
            "proc_name": "guarita",
            "worker_exit": self._close,
            "child_exit": _forget_metrics,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> App:
        from guarita.api.app import create_app

        self._sessions = open_sessions(self._settings, self._secret)
        return create_app(self._settings, self._sessions, metrics_dir=self._metrics_dir)

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


def _secret(settings: Settings) -> bytes:
    configured = settings.security.current_secret()
    if configured is not None:
        return configured.encode()
    log.warning(
        "security.secret is not set: a random one is used, so a create or redeem from before a "
        "restart cannot be repeated after it"
    )
    return secrets.token_bytes(32)


def _connections(settings: Settings) -> int:
    """Per worker: all who may wait for the store, and room for those who do not."""
    return settings.store.max_waiting + SPARE_CONNECTIONS


def _allow_open_files(wanted: int) -> None:
    """Raise the soft limit: 1024 is usual, and every caller who waits holds a socket."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = wanted + SPARE_CONNECTIONS
    if hard != resource.RLIM_INFINITY:
        target = min(target, hard)
    if soft != resource.RLIM_INFINITY and soft < target:
        with suppress(ValueError, OSError):  # macOS has a lower limit that it does not tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
