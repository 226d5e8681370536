"""Connections to servers as the settings have them: credentials, TLS, time limits, no retries."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.retry import Retry

from guarita.config import Credentials, TlsSettings

Address = tuple[str, int]
Argument = bytes | str | int


def client(
    address: Address, credentials: Credentials, connect_timeout_s: float, io_timeout_s: float
) -> redis.Redis:
    """A client of one data node or Sentinel; it connects when it is first used."""
    return redis.Redis.from_pool(pool(address, credentials, connect_timeout_s, io_timeout_s))


def pool(
    address: Address,
    credentials: Credentials,
    connect_timeout_s: float,
    io_timeout_s: float,
    **more: Any,
) -> redis.ConnectionPool:
    """Connections without redis-py's own retries: ours is the one layer that repeats."""
    connection_class, tls = _connection_class(credentials)
    return redis.ConnectionPool(
        connection_class=connection_class,
        host=address[0],
        port=address[1],
        credential_provider=_SignIn(credentials) if _signs_in(credentials) else None,
        socket_connect_timeout=connect_timeout_s,
        socket_timeout=io_timeout_s,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 0),
        protocol=2,  # RESP3 costs a round trip on connect and brings nothing here
        driver_info=None,
        **tls,
        **more,
    )


def local_connection(path: Path, credentials: Credentials, io_timeout_s: float | None) -> Any:
    """One connection to the server that listens at this Unix socket; None: answers may take long.

    A path that is not absolute may be longer than the system's limit for such paths (100 bytes).
    """
    connection: Any = redis.UnixDomainSocketConnection
    return connection(
        path=str(path),
        credential_provider=_SignIn(credentials) if _signs_in(credentials) else None,
        socket_timeout=io_timeout_s,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        driver_info=None,
    )


def agent_connection(address: Address, tls: TlsSettings, timeout_s: float) -> HTTPConnection:
    """To a node's agent, which speaks TLS where its server does: `tls` is that of the data nodes.

    Raises `OSError` where a file is wrong.
    """
    if not tls.enabled:
        return HTTPConnection(*address, timeout=timeout_s)
    context = ssl.create_default_context(cafile=_path(tls.ca_file))
    context.check_hostname = tls.verify_names
    if tls.cert_file is not None:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    return HTTPSConnection(*address, timeout=timeout_s, context=context)


def exchange(connection: Any, commands: Sequence[tuple[Argument, ...]]) -> list[Any]:
    """All commands at once, and their answers. Raises the first error among these.

    The connection can not be used after an error.
    """
    connection.send_packed_command(connection.pack_commands(commands), check_health=False)
    return [connection.read_response() for _ in commands]


class _SignIn(CredentialProvider):
    """Reads the password for each connection, so that it can be changed while all goes on."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        password = self._credentials.current_password() or ""
        username = self._credentials.username
        return (username, password) if username else (password,)


def _connection_class(credentials: Credentials) -> tuple[type[redis.Connection], dict[str, Any]]:
    tls = credentials.tls
    if not tls.enabled:
        return redis.Connection, {}
    return redis.SSLConnection, {
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": tls.verify_names,
        "ssl_ca_certs": _path(tls.ca_file),
        "ssl_certfile": _path(tls.cert_file),
        "ssl_keyfile": _path(tls.key_file),
    }


def _signs_in(credentials: Credentials) -> bool:
    return bool(credentials.username) or credentials.is_set


def _path(path: Path | None) -> str | None:
    return str(path) if path else None
