"""`guarita doctor` as a command: what it prints, and its status."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from guarita.cli import cli
from guarita.doctor.kinds import Kind
from guarita.doctor.page import with_kinds
from guarita.topology.local import LocalStandalone

from stores.conftest import started

PASSWORD = "swordfish of the data node"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStandalone]:
    installation = LocalStandalone(tmp_path_factory.mktemp("doctor"), password=PASSWORD)
    started(installation)
    yield installation
    installation.kill_all()


@pytest.fixture
def standalone(server: LocalStandalone) -> LocalStandalone:
    """Without what the tests before were refused."""
    with server.client(server.nodes[0]) as client:
        client.execute_command("ACL LOG", "RESET")  # type: ignore[no-untyped-call]
    return server


def doctor(tmp_path: Path, text: str, *arguments: str) -> Result:
    config = tmp_path / "guarita.yaml"
    config.write_text(text)
    return CliRunner().invoke(cli, ["--config", str(config), "doctor", *arguments])


def config_of(standalone: LocalStandalone, password: str = PASSWORD) -> str:
    node = standalone.nodes[0]
    return (
        f"store: {{standalone: {{host: {node.host}, port: {node.port}}}, "
        f"data: {{password: {password}}}}}"
    )


def test_a_well_installation_ends_with_0(tmp_path: Path, standalone: LocalStandalone) -> None:
    result = doctor(tmp_path, config_of(standalone))
    assert (result.exit_code, result.stderr) == (0, "")
    assert "nothing is wrong" in result.stdout
    assert "\x1b" not in result.stdout
    assert f"{standalone.nodes[0]}" in result.stdout


def test_trouble_ends_with_1_and_says_what_to_do(
    tmp_path: Path, standalone: LocalStandalone
) -> None:
    node = standalone.nodes[0]
    with standalone.client(node) as client:
        client.config_set("appendonly", "no")
        try:
            result = doctor(tmp_path, config_of(standalone))
        finally:
            client.config_set("appendonly", "yes")
    assert result.exit_code == 1
    assert f"WARNING persistence-off  {node}" in result.stdout
    assert f"redis-cli -h {node.host} -p {node.port} CONFIG SET appendonly yes" in result.stdout


def test_json_has_a_shape_that_is_kept(tmp_path: Path, standalone: LocalStandalone) -> None:
    well = json.loads(doctor(tmp_path, config_of(standalone), "--json").stdout)
    assert (well["healthy"], well["findings"]) == (True, [])
    result = doctor(tmp_path, config_of(standalone, "wrong"), "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 1
    assert list(report) == ["healthy", "findings", "seen"]
    assert report["healthy"] is False
    assert {tuple(each) for each in report["findings"]} == {
        ("severity", "code", "node", "text", "advice")
    }
    assert report["seen"]["nodes"][0]["server"]["address"] == str(standalone.nodes[0])


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("password", [PASSWORD, "swordfish that is wrong"])
def test_secrets_are_never_shown(
    tmp_path: Path, standalone: LocalStandalone, password: str, *, as_json: bool
) -> None:
    result = doctor(tmp_path, config_of(standalone, password), *(["--json"] if as_json else []))
    assert "swordfish" not in result.output


def test_the_memory_store_is_well(tmp_path: Path) -> None:
    result = doctor(tmp_path, "store: {topology: memory}")
    assert result.exit_code == 0
    assert "nothing-to-ask" in result.stdout


def test_a_wrong_configuration_ends_with_2(tmp_path: Path) -> None:
    result = doctor(tmp_path, "store: {topology: sentinel}")
    assert result.exit_code == 2
    assert "store.sentinel.nodes" in result.stderr


def test_what_is_no_address_of_an_agent_is_a_usage_error(tmp_path: Path) -> None:
    result = doctor(tmp_path, "store: {topology: memory}", "--agent", "nonsense")
    assert result.exit_code == 2
    assert "host:port" in result.stderr


def test_the_page_names_every_kind_as_the_code_has_it() -> None:
    page = Path(__file__).parents[2] / "docs/doctor.md"
    text = page.read_text("utf-8")
    assert with_kinds(text) == text, "run: guarita doctor --write-page docs/doctor.md"
    assert all(f"\n### {kind.code}\n" in text for kind in Kind)
