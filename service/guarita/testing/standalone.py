"""One server and the service."""

from __future__ import annotations

from guarita.errors import TopologyError
from guarita.testing.installation import Installation


class StandaloneInstallation(Installation):
    """A single data node with its data on disk."""

    topology = "standalone"
    data_nodes = 1

    def primary(self) -> str:
        return self.nodes[0]

    def switchover(self) -> str:
        raise TopologyError("a single server has nobody who could take over")

    def problem(self) -> str | None:
        with self.connect(self.primary()) as client:
            client.ping()
        return None
