"""A fault that a command of the user's own does: for an installation whose nodes a drill does not
know."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from guarita.drill.faults.base import Fault, Scene, Seconds, Undo, Words, nothing_to_heal
from guarita.drill.targets.base import Target
from guarita.errors import TopologyError

WITHIN_S = 120.0
SHOWN = 300  # characters of what a command that failed said


@dataclass(frozen=True, slots=True)
class Command(Fault):
    """A command of your own is run, and another one when that is over."""

    name: ClassVar[str] = "command"
    run: Words = ("true",)
    undo: tuple[str, ...] = ()
    for_s: Seconds | None = None

    def lacks(self, target: Target) -> str | None:  # noqa: ARG002 - it needs no target
        return None

    def inject(self, scene: Scene) -> Undo:
        scene.tell(" ".join(self.run))
        _run(self.run)
        if not self.undo:
            return nothing_to_heal
        return lambda: _run(self.undo)


def _run(argv: Sequence[str]) -> None:
    """Without a shell. Raises `TopologyError` where it fails."""
    try:
        ended = subprocess.run(  # noqa: S603 - the user's own file says so
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=WITHIN_S,
            start_new_session=True,  # Ctrl-C is not its to hear
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise TopologyError(f"{argv[0]}: {exc}") from exc
    if ended.returncode != 0:
        said = (ended.stderr or ended.stdout).strip()[-SHOWN:]
        raise TopologyError(f"{argv[0]} ended with {ended.returncode}: {said}")
