"""A pretended machine: a PATH of fake programs that write down how they were called."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
_BASICS = ("sh", "env", "sed", "cat", "printf", "rm", "chmod", "dirname")


@dataclass
class Machine:
    """Its programs are in `programs`; `calls` holds the calls of the fakes, one a line."""

    directory: Path

    def __post_init__(self) -> None:
        self.programs.mkdir()
        for name in _BASICS:
            self.link(name)
        self.fake("uname", "echo Linux", silent=True)
        self.fake("id", "echo 0", silent=True)

    @property
    def programs(self) -> Path:
        return self.directory / "bin"

    def link(self, name: str) -> None:
        real = shutil.which(name)
        assert real, f"{name} is not on this machine"
        (self.programs / name).symlink_to(real)

    def fake(self, name: str, code: str = "", *, silent: bool = False) -> None:
        """A program of this name that runs a line of shell."""
        noted = "" if silent else f'echo "{name} $*" >>{self.directory}/calls\n'
        program = self.programs / name
        program.write_text(f"#!/bin/sh\n{noted}{code}\n")
        program.chmod(0o755)

    def installs(self, name: str, server: str, line: str) -> None:
        """A package manager whose `install` or `add` brings a server with this version line."""
        program = self.programs / server
        brings = f"printf '#!/bin/sh\\necho \"{line}\"\\n' >{program}; chmod 755 {program}"
        self.fake(name, f'case "$*" in *install*|*add*|*-S*) {brings} ;; esac')

    @property
    def calls(self) -> list[str]:
        path = self.directory / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def run(
        self, script: str, *arguments: str, repository: Path = REPOSITORY, path: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [repository / "deploy/scripts" / script, *arguments],
            env={"PATH": path or str(self.programs)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
