"""The shell's completion offers our commands."""

from __future__ import annotations

import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner

from guarita.cli import cli


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(shell: str) -> None:
    done = CliRunner().invoke(cli, ["completion", shell])
    assert done.exit_code == 0
    assert f"_GUARITA_COMPLETE={shell}_complete" in done.output


def test_commands_and_their_options_are_completed() -> None:
    complete = BashComplete(cli, {}, "guarita", "_GUARITA_COMPLETE")
    assert "config" in {item.value for item in complete.get_completions([], "con")}
    assert "--origin" in {item.value for item in complete.get_completions(["config", "show"], "--")}
