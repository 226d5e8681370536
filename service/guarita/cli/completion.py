"""`guarita completion`: the script that lets a shell complete our commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the completion script for SHELL.

    Put this into ~/.bashrc: eval "$(guarita completion bash)"
    """
    completion = get_completion_class(shell)
    if completion is None:
        raise click.ClickException(f"no completion for {shell}")
    root = context.find_root().command
    click.echo(completion(root, {}, "guarita", "_GUARITA_COMPLETE").source())
