"""`guarita sessions show` on a real server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guarita.config import Settings
from guarita.deadline import Deadline
from guarita.errors import ServerMissing
from guarita.sessions import Sessions
from guarita.stores.base import Grant
from guarita.topology.local import LocalStandalone
from guarita.topology.local.ports import free_ports
from guarita.wsgi import open_sessions

UNKNOWN_ID = "11111111-2222-4333-8444-555555555555"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    installation = LocalStandalone(tmp_path_factory.mktemp("redis"))
    try:
        installation.__enter__()
    except ServerMissing as exc:
        pytest.skip(str(exc))
    try:
        node = installation.nodes[0]
        yield {"topology": "standalone", "standalone": {"host": node.host, "port": node.port}}
    finally:
        installation.__exit__(None, None, None)


@pytest.fixture
def sessions(store: dict[str, Any]) -> Iterator[Sessions]:
    opened = open_sessions(Settings.model_validate({"store": store}), b"s" * 32)
    yield opened
    opened.store.close()


def show(
    tmp_path: Path, store: dict[str, Any], *arguments: str, **sections: Any
) -> subprocess.CompletedProcess[str]:
    config = tmp_path / "guarita.yaml"
    config.write_text(json.dumps({"store": store, **sections}))
    command = [sys.executable, "-c", "from guarita.cli import main; main()", "sessions", "show"]
    return subprocess.run(
        [*command, "--config", str(config), *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_redeemed_ticket_is_shown_without_its_secrets(
    tmp_path: Path, store: dict[str, Any], sessions: Sessions
) -> None:
    deadline = Deadline.after(10)
    grant = Grant("", "https://acme.example", "Ana", '{"plan":"gold"}')
    id = sessions.create(grant, deadline=deadline)
    sessions.open(id, deadline=deadline)
    token = sessions.redeem(id, "attempt-1", deadline=deadline).token
    result = show(tmp_path, store, str(id), "--json")
    assert result.returncode == 0, result.stderr
    shown = json.loads(result.stdout)
    assert {name: shown[name] for name in shown if not name.endswith("_at")} == {
        "session_id": str(id),
        "used": True,
        "iframe_opened": True,
        "origin": "https://acme.example",
        "subject": "Ana",
        "claims": {"plan": "gold"},
    }
    assert shown["created_at"] <= shown["used_at"] < shown["expires_at"]
    assert token not in result.stdout + result.stderr


def test_a_new_ticket_has_the_six_fields_of_every_record(
    tmp_path: Path, store: dict[str, Any], sessions: Sessions
) -> None:
    id = sessions.create(Grant(), deadline=Deadline.after(10))
    shown = json.loads(show(tmp_path, store, str(id), "--json").stdout)
    assert [*shown] == [
        "session_id",
        "created_at",
        "expires_at",
        "used",
        "iframe_opened",
        "used_at",
    ]
    assert (shown["used"], shown["iframe_opened"], shown["used_at"]) == (False, False, None)


def test_people_get_a_table(tmp_path: Path, store: dict[str, Any], sessions: Sessions) -> None:
    id = sessions.create(Grant(subject="[bold]Ana"), deadline=Deadline.after(10))
    result = show(tmp_path, store, str(id))
    assert result.returncode == 0
    assert "[bold]Ana" in result.stdout
    assert str(id) in result.stdout


def test_a_ticket_that_is_not_there_is_status_1(tmp_path: Path, store: dict[str, Any]) -> None:
    result = show(tmp_path, store, UNKNOWN_ID)
    assert result.returncode == 1
    assert "no such ticket" in result.stderr


def test_a_store_that_is_down_is_status_3_and_never_not_found(tmp_path: Path) -> None:
    [nowhere] = free_ports(1)
    store = {"topology": "standalone", "standalone": {"port": nowhere}, "deadline_s": 0.3}
    result = show(tmp_path, store, UNKNOWN_ID)
    assert result.returncode == 3
    assert "no such ticket" not in result.stderr


def test_what_cannot_be_asked_is_said(tmp_path: Path, store: dict[str, Any]) -> None:
    wrong = show(tmp_path, store, "nonsense")
    assert (wrong.returncode, "UUIDv4" in wrong.stderr) == (2, True)
    foreign = show(tmp_path, store, f"us-east.{UNKNOWN_ID}", region={"name": "eu-west"})
    assert (foreign.returncode, "us-east" in foreign.stderr) == (2, True)
    memory = show(tmp_path, {"topology": "memory"}, UNKNOWN_ID)
    assert (memory.returncode, "memory" in memory.stderr) == (2, True)
