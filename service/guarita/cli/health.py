"""`guarita health`: asks a running service or agent how it is, for container health checks."""

from __future__ import annotations

import socket
import ssl
import sys
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

import click

from guarita.cli import Invocation, config_option
from guarita.config import Address, NodeSettings, TlsSettings

TIMEOUT_S = 5.0
_URL = "write http(s)://host[:port]"
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - asked for, not listened at


@click.command("health")
@config_option
@click.option(
    "--url", help="Address of the service or agent (else what is configured to run here)."
)
@click.option("--deep", is_flag=True, help="Ask for the store too; a failover makes it unhealthy.")
@click.pass_obj
def command(invocation: Invocation, url: str | None, deep: bool) -> None:
    """Exit with 0 if the service answers that it is well, else with 1.

    With node.announce, which only a data node or a Sentinel has, its agent is asked.
    """
    who, deep_path = "the service", "/healthz/deep"
    if url is not None:
        connection = to_url(url)
    elif (settings := invocation.settings()).node.announce is None:
        connection = _to_bind(settings.server.bind)
    else:
        who, deep_path = "the agent", "/readyz"
        connection = _to_agent(settings.node, settings.store.data.tls)
    path = deep_path if deep else "/livez"
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, HTTPException) as exc:
        click.echo(f"unhealthy: {who} does not answer: {exc}", err=True)
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


class _NamedConnection(HTTPConnection):
    """HTTPS to somebody whose certificate is for another name than the one that is dialled."""

    def __init__(self, address: Address, name: str, tls: TlsSettings) -> None:
        super().__init__(address.host, address.port, timeout=TIMEOUT_S)
        self._name = name
        self._tls = tls

    def connect(self) -> None:
        context = ssl.create_default_context(cafile=self._tls.ca_file)
        context.check_hostname = self._tls.verify_names
        super().connect()
        self.sock = context.wrap_socket(self.sock, server_hostname=self._name)


def _to_bind(bind: str) -> HTTPConnection:
    """A connection to where `server.bind` listens."""
    if bind.startswith("unix:"):
        return _UnixConnection(bind.removeprefix("unix:"))
    address = _dialled(bind)
    return HTTPConnection(address.host, address.port, timeout=TIMEOUT_S)


def _to_agent(node: NodeSettings, tls: TlsSettings) -> HTTPConnection:
    """A connection to where `node.http` listens, checked as the other agents check it: `tls` is
    that of the data nodes, and the certificate is for the host of `node.announce`."""
    address = _dialled(node.http)
    if node.tls.cert_file is None or node.announce is None:
        return HTTPConnection(address.host, address.port, timeout=TIMEOUT_S)
    return _NamedConnection(address, node.announce.host, tls)


def _dialled(bind: str) -> Address:
    """From here, where somebody listens there."""
    address = Address.parse(bind)
    return Address(_ANY_ADDRESS.get(address.host, address.host), address.port)


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
