"""`guarita health`: asks a running service how it is, for container health checks."""

from __future__ import annotations

import socket
import sys
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

import click

from guarita.cli import Invocation, config_option
from guarita.config import Address

TIMEOUT_S = 5.0
_URL = "write http(s)://host[:port]"
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - asked for, not listened at


@click.command("health")
@config_option
@click.option("--url", help="Address of the service (else the one it is configured to listen at).")
@click.option("--deep", is_flag=True, help="Ask for the store too; a failover makes it unhealthy.")
@click.pass_obj
def command(invocation: Invocation, url: str | None, deep: bool) -> None:
    """Exit with 0 if the service answers that it is well, else with 1."""
    path = "/healthz/deep" if deep else "/livez"
    connection = to_url(url) if url is not None else _to_bind(invocation.settings().server.bind)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, HTTPException) as exc:
        click.echo(f"unhealthy: the service does not answer: {exc}", err=True)
        sys.exit(1)
    finally:
        connection.close()
    if status != 200:
        click.echo(f"unhealthy: {path} answered {status}", err=True)
        sys.exit(1)
    click.echo("healthy")


class _UnixConnection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(self._path)


def _to_bind(bind: str) -> HTTPConnection:
    """A connection to where `server.bind` listens."""
    if bind.startswith("unix:"):
        return _UnixConnection(bind.removeprefix("unix:"))
    address = Address.parse(bind)
    host = _ANY_ADDRESS.get(address.host, address.host)
    return HTTPConnection(host, address.port, timeout=TIMEOUT_S)


def to_url(url: str) -> HTTPConnection:
    """A connection to a URL. Raises `click.BadParameter`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise click.BadParameter(_URL, param_hint="--url") from None
    if not host or parts.scheme not in ("http", "https"):
        raise click.BadParameter(_URL, param_hint="--url")
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    return kind(host, port, timeout=TIMEOUT_S)
