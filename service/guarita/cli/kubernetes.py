"""`guarita kubernetes`: what Jobs of the Helm chart do from within a cluster."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from guarita.config import Address
from guarita.errors import TopologyError

REFUSED = 3
TAKEN_WITHIN_S = 240.0  # a file in a pod follows its Secret within a minute or two


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


def _addresses(
    _: click.Context, __: click.Parameter, values: tuple[str, ...]
) -> tuple[Address, ...]:
    try:
        return tuple(map(Address.parse, values))
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from None


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
@label_option
@click.option("--rotation", default="", help="Change passwords, once for each such text.")
@click.option(
    "--node-user",
    "node_users",
    metavar="NAME=KEY",
    multiple=True,
    callback=_label,
    help="User of the data nodes whose password is changed, once for each.",
)
@click.option("--sentinel-key", metavar="KEY", help="Password of the Sentinels, to be changed too.")
@click.option(
    "--ca",
    "ca_file",
    type=click.Path(path_type=Path),
    help="The servers speak TLS, and their authority is in this file.",
)
@click.option("--node", "nodes", multiple=True, callback=_addresses, help="Each data node.")
@click.option("--sentinel", "sentinels", multiple=True, callback=_addresses, help="Each Sentinel.")
def secret(
    name: str,
    keys: tuple[str, ...],
    labels: tuple[tuple[str, str], ...],
    rotation: str,
    **servers: Any,
) -> None:
    """Make the Secret NAME with a random value for each of KEYS, and keep what is there.

    As the pod's service account, in its namespace. With --rotation passwords are changed while all
    goes on. Status 3 where something is refused.
    """
    from guarita.kubernetes import rotation as rotations
    from guarita.kubernetes import secret as secrets
    from guarita.kubernetes.api import Api

    make = secrets.random_values(keys)
    api, change = Api(), Rotation(**servers)
    try:
        added = secrets.ensure(
            api, name, make, dict(labels), {rotations.ROTATION: rotation} if rotation else None
        )
        click.echo(f"{name}: {'made ' + ', '.join(added) if added else 'nothing is missing'}")
        if rotations.retire(api, name, change.keys, time.time()):
            click.echo(f"{name}: the previous passwords are no more")
        if rotation and rotations.rotate(
            api, name, change.keys, rotation, change.wait_taken, time.time()
        ):
            click.echo(f"{name}: the passwords were changed")
    except TopologyError as exc:
        click.echo(str(exc), err=True)
        sys.exit(REFUSED)


@dataclass(frozen=True, slots=True)
class Rotation:
    """Whose passwords change, and which servers have to take them."""

    node_users: tuple[tuple[str, str], ...]
    sentinel_key: str | None
    nodes: tuple[Address, ...]
    sentinels: tuple[Address, ...]
    ca_file: Path | None

    @property
    def keys(self) -> tuple[str, ...]:
        of_sentinels = (self.sentinel_key,) if self.sentinel_key else ()
        return (*(key for _, key in self.node_users), *of_sentinels)

    def wait_taken(self, passwords: Mapping[str, str]) -> None:
        """Raises `TopologyError` where some server does not take them in time."""
        from guarita.kubernetes.rotation import wait_until_taken
        from guarita.node.taken import questions, refusals

        users = [(user, passwords[key]) for user, key in self.node_users]
        asked = list(questions(self.nodes, users))
        if self.sentinel_key:
            asked += questions(self.sentinels, [(None, passwords[self.sentinel_key])])
        wait_until_taken(lambda: refusals(asked, self.ca_file), TAKEN_WITHIN_S)


@command.command("certificate")
@click.argument("name")
@click.argument("hosts", nargs=-1, required=True)
@click.option("--authority", required=True, help="Secret of the authority; made where it is not.")
@click.option("--renewal", default="", help="Another text makes another certificate.")
@label_option
def certificate(
    name: str,
    hosts: tuple[str, ...],
    authority: str,
    renewal: str,
    labels: tuple[tuple[str, str], ...],
) -> None:
    """Make the Secret NAME with a certificate for HOSTS, and its authority.

    It is made anew for other hosts, for another --renewal, and after half of its time.
    """
    from guarita.kubernetes.api import Api
    from guarita.kubernetes.certificate import Wanted, ensure_certificate

    wanted = Wanted(name, authority, hosts, renewal, dict(labels))
    try:
        made = ensure_certificate(Api(), wanted, time.time())
    except TopologyError as exc:
        click.echo(str(exc), err=True)
        sys.exit(REFUSED)
    click.echo(f"{name}: {'made a certificate' if made else 'the certificate is good'}")
