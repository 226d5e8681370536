"""`guarita sessions`: looks at tickets in the store. Never prints what would open a session."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.table import Table

from guarita import logs
from guarita.cli import Invocation, config_option
from guarita.config import Level, LogSettings, Settings, Topology
from guarita.deadline import Deadline
from guarita.errors import Malformed, StoreError
from guarita.ids import TicketId
from guarita.stores.base import Record
from guarita.stores.connect import open_store

NOT_FOUND = 1
STORE_DOWN = 3


@click.group("sessions")
def command() -> None:
    """Look at tickets and sessions."""


@command.command("show")
@config_option
@click.argument("id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def show(invocation: Invocation, id: str, as_json: bool) -> None:
    """Print the record of one ticket; status 1 if there is none, 3 if the store is down."""
    settings = invocation.settings()
    try:
        ticket = TicketId.parse(id)
    except Malformed as exc:
        raise click.BadParameter(str(exc), param_hint="ID") from exc
    if ticket.region != settings.region.name:
        home = ticket.region or "no region"
        raise click.BadParameter(f"its home is {home}; ask there", param_hint="ID")
    # Not into the service's own files, and nothing but trouble.
    logs.configure(settings.model_copy(update={"logs": LogSettings(level=Level.WARNING)}))
    try:
        record = _read(settings, ticket)
    except StoreError as exc:
        click.echo(f"the store cannot answer: {exc}", err=True)
        sys.exit(STORE_DOWN)
    if record is None:
        click.echo("no such ticket: it was never created, or has expired", err=True)
        sys.exit(NOT_FOUND)
    _print(document(record, ticket), as_json=as_json)


def document(record: Record, id: TicketId) -> dict[str, object]:
    """The record as people read it; times are RFC 3339 in UTC."""
    grant = record.grant
    expires_at_ms = record.session_expires_at_ms if record.used else record.ticket_expires_at_ms
    members: dict[str, object] = {
        "session_id": str(id),
        "created_at": _time(record.created_at_ms),
        "expires_at": _time(expires_at_ms),
        "used": record.used,
        "iframe_opened": record.iframe_opened,
        "used_at": _time(record.used_at_ms) if record.used else None,
    }
    if record.revoked:
        members["revoked"] = True
    if grant.origin:
        members["origin"] = grant.origin
    if grant.subject:
        members["subject"] = grant.subject
    if grant.claims:
        members["claims"] = json.loads(grant.claims)
    return members


def _read(settings: Settings, ticket: TicketId) -> Record | None:
    if settings.store.topology is Topology.MEMORY:
        raise click.UsageError("the memory store lives inside the service: nobody else can read it")
    store = open_store(settings.store, settings.sessions)
    try:
        return store.read(ticket.uuid, deadline=Deadline.after(settings.store.deadline_s))
    finally:
        store.close()


def _print(members: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(members, ensure_ascii=False, indent=2))
        return
    table = Table(show_header=False, box=None)
    for name, value in members.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        table.add_row(name, text)
    Console(markup=False, highlight=False).print(table)


def _time(ms: int) -> str:
    text = datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
