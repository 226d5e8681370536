"""What a drill can do to containers, and what it says that it cannot; without an engine."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from guarita.cli import cli
from guarita.drill.faults import FAULTS
from guarita.drill.faults.data import FullDisk
from guarita.drill.scenarios import SCENARIOS
from guarita.drill.targets.base import Breakage, Shape
from guarita.drill.targets.compose import ComposeTarget, lacking
from guarita.testing.document import IMAGE, Place, document


def drill(*arguments: str | Path) -> Any:
    return CliRunner().invoke(cli, ["drill", *map(str, arguments)])


def document_of(target: ComposeTarget) -> dict[str, Any]:
    installation = target.installation
    ports = dict.fromkeys(installation.layout.everybody, 1)
    return document(installation.layout, installation.secrets, Place("p", "me", "10.1.2", ports))


def test_each_scenario_applies_or_says_why_not() -> None:
    reasons = {each.id: lacking(each) for each in SCENARIOS.values()}
    assert {id for id, reason in reasons.items() if reason is None} >= {
        *("D1", "D2", "D4", "D5b", "D6", "D9", "D10", "D18", "D21a", "D22a", "D26", "D28"),
        *("N1", "N3", "N4", "N5b"),
    }
    assert "fixed" in str(reasons["D11a"])
    assert "region" in str(reasons["D27"])


@pytest.mark.parametrize("fault", ["restart-empty", "restart-without-tail", "damaged-aof"])
def test_the_files_of_an_engine_elsewhere_are_out_of_reach(
    monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    target = ComposeTarget.of(Path(), Shape(), IMAGE)
    assert FAULTS[fault]().lacks(target) is None  # type: ignore[call-arg]
    monkeypatch.setenv("DOCKER_HOST", "tcp://elsewhere:2376")
    assert "another machine" in str(FAULTS[fault]().lacks(target))  # type: ignore[call-arg]


def test_a_fault_that_needs_a_small_disk_finds_one_where_there_is_one() -> None:
    assert FullDisk().lacks(ComposeTarget.of(Path(), Shape(), IMAGE)) is not None
    small = ComposeTarget.of(Path(), Shape(small_disk=True), IMAGE)
    assert document_of(small)["volumes"]["node-3"]["driver_opts"]["o"].startswith("size=24m")
    services = document_of(small)["services"]
    assert services["node-3"]["volumes"][0] == "node-3:/data"
    # Or it would be an empty one when its node is started again.
    assert "node-3:/disks/node-3:ro" in services["disks"]["volumes"]


def test_nodes_keep_their_files_where_faults_find_them(tmp_path: Path) -> None:
    target = ComposeTarget.of(tmp_path, Shape(), IMAGE)
    written = document_of(target)["services"]["node-2"]
    assert written["volumes"][0] == f"{target.directory('node-2')}:/data"


def test_with_users_each_role_has_a_password_of_its_own() -> None:
    target = ComposeTarget.of(Path(), Shape(users=True), IMAGE)
    environment = document_of(target)["services"]["node-1"]["environment"]
    passwords = {value for name, value in environment.items() if "NODE__USERS" in name}
    assert len(passwords) == 4


def test_a_broken_service_is_broken_in_its_container() -> None:
    shape = replace(Shape(), breakage=Breakage.NOT_ATOMIC)
    written = document_of(ComposeTarget.of(Path(), shape, IMAGE))["services"]
    assert written["service-1"]["entrypoint"][-2:] == ["guarita.drill.broken", "redeem-not-atomic"]
    assert "entrypoint" not in written["node-1"]


def test_the_list_is_of_the_target_that_is_asked_for() -> None:
    there = {e["id"]: e for e in json.loads(drill("list", "--json", "--target", "compose").output)}
    here = {e["id"]: e for e in json.loads(drill("list", "--json").output)}
    assert there["D11a"]["not_here"] != here["D11a"]["not_here"]
    assert there["N2"]["not_here"] is not None
    assert here["N2"]["not_here"] != there["N2"]["not_here"]


def test_what_cannot_be_played_on_containers_says_why(tmp_path: Path) -> None:
    done = drill("run", "D11", "--target", "compose", "--out", tmp_path)
    assert done.exit_code == 3
    assert "D11a cannot be played here: the addresses of its containers are fixed" in done.output


def test_without_docker_a_drill_says_where_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = drill("run", "D1", "--target", "compose", "--out", tmp_path / "out")
    assert done.exit_code == 3
    assert "docker is not installed: https://" in done.output
