"""No secret stands in the arguments of a process, where everybody on the machine can read it."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from guarita.testing.document import RUN_SERVER, Layout, Place, Secrets, document

import kit

DEPLOY = Path(__file__).parents[2] / "deploy"
SECRETS = Secrets("the-api-key", "the-secret", "the-password", "of-the-sentinels")
SERVER = """#!/bin/sh
[ "$1" = --version ] && echo "Valkey server v=8.1.1" && exit
file=$1
shift
echo "$@, password ${PASSWORD-in no variable}"
while read -r line; do echo "$line"; done <"$file"
"""


def words_of(service: dict[str, Any]) -> str:
    """What is on the command lines of a container."""
    lines = (service.get(name) for name in ("entrypoint", "command", "healthcheck"))
    return str(list(lines))


@pytest.mark.parametrize(
    "layout",
    [
        Layout("standalone"),
        Layout("cluster", nodes=6),
        Layout("sentinel", nodes=3, sentinels=3, users=True),
    ],
    ids=lambda each: each.topology,
)
def test_installations_for_tests_have_none(layout: Layout) -> None:
    ports = dict.fromkeys(layout.everybody, 1)
    written = document(layout, SECRETS, Place("p", "me", "10.1.2", ports))
    secrets = [*dataclasses.astuple(SECRETS), *map(SECRETS.of_role, ("service", "agent"))]
    for service in written["services"].values():
        assert not [each for each in secrets if each in words_of(service)]


@pytest.mark.parametrize("name", kit.KITS)
def test_kits_have_none(name: str) -> None:
    document = yaml.safe_load((DEPLOY / f"compose.{name}.yaml").read_text())
    asked = {
        variable
        for service in document["services"].values()
        for variable in re.findall(r"\$\{(\w+)", words_of(service))
    }
    assert asked <= {"SERVER"}


def test_a_server_gets_its_password_by_a_file_of_its_own(tmp_path: Path) -> None:
    program = tmp_path / "valkey-server"
    program.write_text(SERVER)
    program.chmod(0o755)
    told = subprocess.run(
        [sys.executable, "-c", RUN_SERVER, "--port", "6379"],
        env={"PATH": str(tmp_path), "TMPDIR": str(tmp_path), "PASSWORD": "x-y"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.splitlines() == [
        "--port 6379, password in no variable",
        "requirepass x-y",
        "masterauth x-y",
    ]
    [file] = tmp_path.glob("*.conf")
    assert file.stat().st_mode & 0o077 == 0
