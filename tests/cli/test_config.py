"""`guarita config` as its users call it."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import chdir
from pathlib import Path
from unittest.mock import patch

import yaml
from click.testing import CliRunner

from guarita import __version__
from guarita.cli import cli
from guarita.config.describe import json_schema

SECRET = "hunter2-hunter2-hunter2-hunter2-hunter2"


def guarita(
    *arguments: str, cwd: Path, environ: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The command in a directory of its own, with no variables but the given."""
    with chdir(cwd), patch.dict(os.environ, environ or {}, clear=True):
        done = CliRunner().invoke(cli, arguments, prog_name="guarita")
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


def test_check_says_ok_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(
        "store: {topology: sentinel, sentinel: {nodes: ['s1:26379', 's2:26379']}}\n"
        "region: {name: eu-west}\n"
    )
    expected = (
        "ok: bind 127.0.0.1:8000, store sentinel guarita at s1:26379 s2:26379, "
        "no tenants (open to this machine), region eu-west\n"
    )
    for arguments in (
        ("--config", "g.yaml", "config", "check"),
        ("config", "check", "--config", "g.yaml"),
    ):
        done = guarita(*arguments, cwd=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")


def test_check_names_every_mistake_on_standard_error_and_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(
        f"store: {{topology: sentinel, sentinel: {{nodes: ['s1:1', 's2:70000']}}}}\n"
        f"security: {{secrt: {SECRET}}}\n"
    )
    environ = {"GUARITA_CONFIG": "g.yaml", "GUARITA_STORE__DEADLINE_S": "soon"}
    done = guarita("config", "check", cwd=tmp_path, environ=environ)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "store.deadline_s (from GUARITA_STORE__DEADLINE_S): soon: not a number",
        "store.sentinel.nodes[1]: s2:70000: 70000 is not a port",
        "security.secrt: unknown setting, did you mean secret?",
    ]


def test_a_missing_file_ends_with_2_and_no_traceback(tmp_path: Path) -> None:
    done = guarita("--config", "none.yaml", "config", "show", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{tmp_path / 'none.yaml'}: no such file\n"


def test_show_prints_what_is_in_effect_without_secrets(tmp_path: Path) -> None:
    environ = {
        "GUARITA_SECURITY__SECRET": SECRET,
        "REDIS_PASSWORD": SECRET,
        "GUARITA_STORE__SENTINEL__NODES": "[::1]:26379",
        "LOG_LEVEL": "DEBUG",
    }
    as_yaml = guarita("config", "show", cwd=tmp_path, environ=environ)
    as_json = guarita("config", "show", "--json", cwd=tmp_path, environ=environ)
    origins = guarita("config", "show", "--origin", cwd=tmp_path, environ=environ)
    shown = yaml.safe_load(as_yaml.stdout)
    assert shown == json.loads(as_json.stdout)
    assert shown["security"]["secret"] == shown["store"]["data"]["password"] == "***"
    assert shown["store"]["sentinel"]["nodes"] == ["[::1]:26379"]
    assert shown["logs"]["level"] == "debug"
    assert 'store.data.password: "***"  # REDIS_PASSWORD\n' in origins.stdout
    assert 'security.secret: "***"  # GUARITA_SECURITY__SECRET\n' in origins.stdout
    assert len(origins.stdout.splitlines()) == 4
    assert "hunter2" not in as_yaml.stdout + as_json.stdout + origins.stdout


def test_show_origin_says_when_nothing_is_set(tmp_path: Path) -> None:
    assert guarita("config", "show", "--origin", cwd=tmp_path).stdout.startswith("# nothing")
    assert guarita("config", "show", "--origin", "--json", cwd=tmp_path).stdout == "{}\n"


def test_schema_prints_the_schema_even_where_the_configuration_is_wrong(tmp_path: Path) -> None:
    done = guarita("config", "schema", cwd=tmp_path, environ={"GUARITA_NONSENSE": "1"})
    assert (done.returncode, done.stdout, done.stderr) == (0, json_schema(), "")


def test_reference_rewrites_only_what_is_between_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    begin, end = (
        "<!-- reference: written by `guarita config reference` -->",
        "<!-- end of reference -->",
    )
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    assert guarita("config", "reference", "page.md", cwd=tmp_path).returncode == 0
    text = page.read_text()
    assert text.startswith(f"before\n{begin}\n\n### `server`\n")
    assert text.endswith(f"{end}\nafter\n")
    assert "\nold\n" not in text
    page.write_text("no marks\n")
    assert guarita("config", "reference", "page.md", cwd=tmp_path).returncode == 1
    assert page.read_text() == "no marks\n"


def test_version_and_an_unknown_command(tmp_path: Path) -> None:
    assert guarita("--version", cwd=tmp_path).stdout == f"guarita {__version__}\n"
    done = guarita("confg", cwd=tmp_path)
    assert done.returncode == 2
    assert "No such command 'confg'" in done.stderr
