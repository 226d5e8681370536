"""One node of a local installation: where it is and how its configuration file begins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from guarita.topology.local import ports

NodeKind = Literal["data", "sentinel"]


@dataclass(frozen=True, slots=True)
class Node:
    """A data node or Sentinel of a local installation."""

    name: str
    kind: NodeKind
    port: int
    directory: Path
    host: str = ports.HOST
    http_port: int | None = None  # of its agent, where it has one

    @property
    def address(self) -> tuple[str, int]:
        return (self.host, self.port)

    @property
    def config(self) -> Path:
        """The file that it is started with: of its agent, or of the server."""
        return self.directory / ("server.conf" if self.http_port is None else "agent.yaml")

    @property
    def log(self) -> Path:
        return self.directory / ("server.log" if self.http_port is None else "node.log")

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def common_lines(self) -> list[str]:
        """What the configuration files of data nodes and Sentinels have in common."""
        return [
            f"port {self.port}",
            f"bind {self.host}",
            "protected-mode yes",
            "daemonize no",
            f'dir "{self.directory}"',
        ]

    def data_lines(self, password: str) -> list[str]:
        """A data node that keeps its data over a kill and re-links without delay."""
        lines = [
            *self.common_lines(),
            'save ""',
            "appendonly yes",
            "appendfsync everysec",
            "repl-diskless-sync yes",
            "repl-diskless-sync-delay 0",
            "repl-ping-replica-period 1",
            "shutdown-timeout 2",
        ]
        if password:
            lines += [f'requirepass "{password}"', f'masterauth "{password}"']
        return lines
