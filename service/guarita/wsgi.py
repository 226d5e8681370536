"""The service as a WSGI application, for any server. `guarita.server` runs it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from guarita.config import Settings

if TYPE_CHECKING:
    from guarita.api.app import App
    from guarita.sessions import Sessions

log = structlog.stdlib.get_logger("guarita.server")


def build(settings: Settings) -> App:
    """The service for any WSGI server. Opens its store, so call it after any fork.

    The server's process has to call `guarita.logs.configure` if the logs are wanted.
    """
    return Service(settings, secret_of(settings)).open()[1]


@dataclass(frozen=True, slots=True)
class Service:
    """What all workers share; each opens it for itself."""

    settings: Settings
    secret: bytes
    metrics_dir: Path | None = None
    """Where worker processes share their metrics."""

    def open(self) -> tuple[Sessions, App]:
        """The sessions, whose `store.close()` gives the store back, and the application."""
        from guarita import hosts
        from guarita.api.app import create_app

        hosts.keep(self.settings)
        sessions = open_sessions(self.settings, self.secret)
        return sessions, create_app(self.settings, sessions, metrics_dir=self.metrics_dir)


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


def secret_of(settings: Settings) -> bytes:
    """`security.secret`, or a random one where none is set, which the log then says."""
    configured = settings.security.current_secret()
    if configured is not None:
        return configured.encode()
    log.warning(
        "security.secret is not set: a random one is used, so a create or redeem from before a "
        "restart cannot be repeated after it"
    )
    return secrets.token_bytes(32)
