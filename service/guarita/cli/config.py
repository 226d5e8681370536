"""`guarita config`: check a configuration, show what is in effect, print its schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import assert_never

import click
import yaml

from guarita.cli import Invocation, config_option
from guarita.config import Address, Loaded, Settings, Topology
from guarita.config.describe import json_schema, reference, visible, visible_at
from guarita.config.problems import dotted

REFERENCE_BEGINS = "<!-- reference: written by `guarita config reference` -->\n"
REFERENCE_ENDS = "<!-- end of reference -->\n"


@click.group("config")
def command() -> None:
    """Check, show and describe the configuration."""


@command.command()
@config_option
@click.pass_obj
def check(invocation: Invocation) -> None:
    """Say whether the configuration is right, or name every mistake in it.

    Checks file, variables and .env as the service would read them, and the files that
    they name. Asks no server. Ends with status 2 if anything is wrong.
    """
    click.echo(f"ok: {summary(invocation.settings())}")


def summary(settings: Settings) -> str:
    """The configuration in one line, without secrets."""
    tenants = " ".join(tenant.name for tenant in settings.security.tenants)
    parts = [
        f"bind {settings.server.bind}",
        _store_summary(settings),
        f"tenants {tenants}" if tenants else "no tenants (open to this machine)",
    ]
    if settings.region.name:
        parts.append(f"region {settings.region.name}")
    return ", ".join(parts)


def _store_summary(settings: Settings) -> str:
    store = settings.store
    match store.topology:
        case Topology.MEMORY:
            return "store memory"
        case Topology.STANDALONE:
            return f"store standalone {Address(store.standalone.host, store.standalone.port)}"
        case Topology.SENTINEL:
            nodes = " ".join(map(str, store.sentinel.nodes))
            return f"store sentinel {store.sentinel.primary_name} at {nodes}"
        case Topology.CLUSTER:
            return f"store cluster at {' '.join(map(str, store.cluster.nodes))}"
    assert_never(store.topology)


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of YAML.")
@click.option("--origin", is_flag=True, help="Only what is set, and where: file or variable.")
@config_option
@click.pass_obj
def show(invocation: Invocation, *, as_json: bool, origin: bool) -> None:
    """Print the settings in effect, with every secret as ***."""
    loaded = invocation.load()
    if origin:
        click.echo(_origins(loaded, as_json=as_json), nl=False)
    elif as_json:
        click.echo(json.dumps(visible(loaded.settings), indent=2))
    else:
        click.echo(_yaml(visible(loaded.settings)), nl=False)


def _origins(loaded: Loaded, *, as_json: bool) -> str:
    rows = [
        (dotted(path), visible_at(loaded.settings, path), origin)
        for path, origin in loaded.origins.items()
    ]
    if as_json:
        found = {path: {"value": value, "origin": origin} for path, value, origin in rows}
        return json.dumps(found, indent=2) + "\n"
    if not rows:
        return "# nothing is set: all values are the defaults\n"
    return "".join(f"{path}: {json.dumps(value)}  # {origin}\n" for path, value, origin in rows)


def _yaml(value: object) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)


@command.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file."""
    click.echo(json_schema(), nl=False)


@command.command("reference", hidden=True)
@click.argument("page", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def write_reference(page: Path) -> None:
    """Write the table of all settings into PAGE, between its two marks."""
    page.write_text(with_reference(page.read_text("utf-8")), "utf-8")


def with_reference(page: str) -> str:
    """The page with the current table between the marks. Raises `ClickException` without them."""
    before, begins, rest = page.partition(REFERENCE_BEGINS)
    _, ends, after = rest.partition(REFERENCE_ENDS)
    if not begins or not ends:
        raise click.ClickException(f"the page lacks {REFERENCE_BEGINS.strip()} or its end")
    return f"{before}{begins}\n{reference()}\n{ends}{after}"
