"""The `guarita` command: each module of this package holds one, as `command`, loaded when used."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import click

from guarita import __version__
from guarita.config import Loaded, Settings, load_with_origins
from guarita.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class Invocation:
    """One call of the command; commands get it by `click.pass_obj`."""

    config: Path | None = None

    def settings(self) -> Settings:
        """The effective settings. Raises `ConfigError`, which ends the command with status 2."""
        return self.load().settings

    def load(self) -> Loaded:
        """The effective settings and where they came from. Raises `ConfigError`."""
        return load_with_origins(self.config)


def _remember_config(context: click.Context, _: click.Parameter, path: Path | None) -> None:
    if path is not None:
        context.ensure_object(Invocation).config = path


def config_option(command: F) -> F:
    """`--config FILE`, which may stand before a command and after it."""
    return click.option(
        "--config",
        metavar="FILE",
        type=click.Path(path_type=Path),
        expose_value=False,
        callback=_remember_config,
        help="Configuration file (else the one that GUARITA_CONFIG names).",
    )(command)


class WrongConfig(click.ClickException):
    """Mistakes in the configuration: one line each, status 2."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.message, file=file, err=file is None)


class LazyCommands(click.Group):
    """Finds commands as modules of this package; importing one waits until it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(module.name for module in pkgutil.iter_modules(__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command = importlib.import_module(f"{__name__}.{cmd_name}").command
        if not isinstance(command, click.Command):
            raise TypeError(f"{__name__}.{cmd_name}.command is not a click command")
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigError as exc:
            raise WrongConfig("\n".join(exc.problems)) from exc


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="guarita", message="%(prog)s %(version)s")
@config_option
@click.pass_context
def cli(context: click.Context) -> None:
    """One-time tickets for signed-in iframes, highly available on Redis or Valkey."""
    context.ensure_object(Invocation)


def load_structlog() -> None:
    """Load it without rich, which it only needs for tracebacks that our logs do not show.

    Called first by the commands that stay: it is a tenth of the time in which they start.
    """
    if "rich" not in sys.modules:
        sys.modules["rich"] = None  # type: ignore[assignment] # as if it were not installed
        try:
            importlib.import_module("structlog")
        finally:
            del sys.modules["rich"]


def main() -> None:
    """The console script."""
    cli(prog_name="guarita")
