"""`guarita kubernetes`: what Jobs of the Helm chart do from within a cluster."""

from __future__ import annotations

import sys

import click

from guarita.errors import TopologyError

REFUSED = 3


@click.group("kubernetes")
def command() -> None:
    """What the Helm chart needs done from within a pod."""


def _label(
    _: click.Context, __: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    pairs = []
    for text in values:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{text}: write NAME=VALUE")
        pairs.append((name, value))
    return tuple(pairs)


label_option = click.option(
    "--label",
    "labels",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_label,
    help="Label of a Secret that is made, once for each.",
)


@command.command("secret")
@click.argument("name")
@click.argument("keys", nargs=-1, required=True)
@click.option("--acl", metavar="KEY", help="Make standalone.acl too, for the password of this KEY.")
@label_option
def secret(
    name: str, keys: tuple[str, ...], acl: str | None, labels: tuple[tuple[str, str], ...]
) -> None:
    """Make the Secret NAME with a random value for each of KEYS, and keep what is there.

    As the pod's service account, in its namespace. Status 3 where that is refused.
    """
    from guarita.kubernetes import secret as secrets
    from guarita.kubernetes.api import Api

    make = secrets.random_values(keys)
    if acl:
        make = secrets.with_acl(make, acl)
    try:
        added = secrets.ensure(Api(), name, make, dict(labels))
    except TopologyError as exc:
        click.echo(str(exc), err=True)
        sys.exit(REFUSED)
    click.echo(f"{name}: {'made ' + ', '.join(added) if added else 'nothing is missing'}")
