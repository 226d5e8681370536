"""Passwords and certificates that change while a server runs: it takes what the files hold.

For each password there may be another one beside it (`Password.accepted_passwords`), so that it can
be changed without a moment in which somebody's is wrong: first all servers take the next one, then
all callers use it, then the previous one is taken away. Files are looked at once a second.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator

import structlog
from redis.exceptions import RedisError

from guarita.clients import Argument
from guarita.config import Settings
from guarita.errors import TopologyError
from guarita.node import metrics
from guarita.node.conf import digests

LOOK_S = 1.0

_log = structlog.get_logger("guarita.node")

Command = tuple[Argument, ...]
Wanted = tuple[Command, str]
"""What a server is to be told, again when the text beside it changes."""


def data_commands(settings: Settings) -> Iterator[Wanted]:
    """What tells a data node. Raises `ValueError` or `OSError` when a file is gone."""
    tls = settings.node.tls
    if tls.cert_file and tls.key_file and tls.ca_file:
        files = {"cert": tls.cert_file, "key": tls.key_file, "ca-cert": tls.ca_file}
        words = [word for name, path in files.items() for word in (f"tls-{name}-file", str(path))]
        yield ("CONFIG", "SET", *words), certificate(settings)
    users = settings.node.users.by_role()
    for user in users.values():
        yield ("ACL", "SETUSER", str(user.username), "resetpass", *digests(user)), ""
    if replica := users.get("replica"):
        yield ("CONFIG", "SET", "masterauth", replica.current_password() or ""), ""


def sentinel_commands(settings: Settings) -> Iterator[Wanted]:
    """The same for a Sentinel."""
    sentinel = settings.store.sentinel
    if sentinel.is_set:
        name = sentinel.username or "default"
        yield ("ACL", "SETUSER", name, "resetpass", *digests(sentinel)), ""
        password = sentinel.current_password() or ""
        yield ("SENTINEL", "CONFIG", "SET", "sentinel-pass", password), ""
    sign_in = signing_in(settings)
    if sign_in[-1]:
        yield sign_in, ""


def signing_in(settings: Settings) -> Command:
    """What tells a Sentinel how to sign in at data nodes; it closes its connections to them then,
    and makes them anew. Raises `ValueError` or `OSError` when a file is gone."""
    user = settings.node.users.by_role().get("sentinel")
    password = (user or settings.store.data).current_password() or ""
    return ("SENTINEL", "SET", settings.store.sentinel.primary_name, "auth-pass", password)


def certificate(settings: Settings) -> str:
    """A digest of the files of TLS as they are now; empty where there are none.

    Raises `OSError`.
    """
    tls = settings.node.tls
    files = [each for each in (tls.cert_file, tls.key_file, tls.ca_file) if each]
    return (
        hashlib.sha256(b"".join(each.read_bytes() for each in files)).hexdigest() if files else ""
    )


class Passwords:
    """Of one server: those that it was started with, until the files hold others."""

    def __init__(self, commands: Callable[[], Iterator[Wanted]]) -> None:
        """`commands` reads the files; all that it yields can be said again."""
        self._commands = commands
        self._told = tuple(commands())
        self._due_s = 0.0

    def mind(self, tell: Callable[[tuple[Command, ...]], object]) -> None:
        """Look at the files, if it is time, and `tell` the server what is new in them."""
        now_s = time.monotonic()
        if now_s < self._due_s:
            return
        self._due_s = now_s + LOOK_S
        try:
            wanted = tuple(self._commands())
            if new := tuple(each[0] for each in wanted if each not in self._told):
                tell(new)
                metrics.ACTIONS.labels("passwords").inc()
                _log.warning("passwords", reason="the files hold others", count=len(new))
            self._told = wanted
        except (RedisError, OSError, ValueError, TopologyError) as exc:
            _log.warning("the passwords stay as they were", reason=str(exc))
