"""One data node."""

from __future__ import annotations

from guarita.topology.local.installation import Installation
from guarita.topology.local.nodes import Node


class LocalStandalone(Installation):
    """A single data node with its data on disk."""

    store = "standalone"
    data_nodes = 1

    def config_lines(self, node: Node) -> list[str]:
        return node.data_lines(self.password)

    def primaries(self) -> tuple[Node, ...]:
        return self.nodes

    def problem(self) -> str | None:
        return None
