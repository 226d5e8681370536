"""One data node."""

from __future__ import annotations

from guarita.topology.local.installation import Installation, Node


class LocalStandalone(Installation):
    """A single data node with its data on disk."""

    store = "standalone"
    data_nodes = 1

    def config_lines(self, node: Node) -> list[str]:
        return self.data_lines(node)

    def problem(self) -> str | None:
        return self.silence_of(self.nodes)

    @property
    def node(self) -> Node:
        return self.nodes[0]
