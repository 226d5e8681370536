"""`guarita certs`: certificates for an installation that has no authority of its own."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@click.group("certs")
def command() -> None:
    """Make certificates where there is no authority to ask."""


@command.command("init")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.argument("certificates", nargs=-1, required=True, metavar="NAME[=HOST,...]...")
def init(directory: Path, certificates: tuple[str, ...]) -> None:
    """Make an authority in DIRECTORY, and a certificate for each NAME; keep what is there.

    NAME.crt and NAME.key are good for the host NAME, or for those behind `=`:

      guarita certs init tls valkey-1 valkey-2 proxy=localhost,127.0.0.1
    """
    try:
        # Late: the command line must not wait for what it does not need.
        from guarita import certs
    except ModuleNotFoundError as exc:
        if exc.name != "cryptography":
            raise
        raise click.UsageError("needs the extra: pip install 'guarita[certs]'") from exc
    leaves = tuple(certs.Leaf(*_named(text)) for text in certificates)
    try:
        made = certs.init(directory, leaves)
    except OSError as exc:
        click.echo(f"{exc.filename}: {exc.strerror}", err=True)
        sys.exit(1)
    except ValueError as exc:
        click.echo(str(exc), err=True)
        sys.exit(1)
    for path in made:
        click.echo(path)


def _named(text: str) -> tuple[str, tuple[str, ...]]:
    name, _, hosts = text.partition("=")
    if not _NAME.fullmatch(name) or name == "ca" or (hosts == "") != ("=" not in text):
        raise click.BadParameter(f"{text}: write NAME or NAME=HOST,...; ca is the authority's")
    return name, tuple(hosts.split(",")) if hosts else (name,)
