"""Faults of one node of a local installation, by process id."""

from __future__ import annotations

import signal
from collections.abc import Sequence

from guarita import processes
from guarita.node.child import noted_server
from guarita.processes import Condition, Identity
from guarita.topology.local.nodes import Node
from guarita.topology.local.state import StateFile


class Faults:
    """What can be done to a node: to its agent (where it has one) and its server, or to one."""

    file: StateFile

    def condition(self, node: Node) -> Condition:
        """Of its agent, or of the server where it has none."""
        running = self.file.named(node.name)
        return processes.condition(running.identity) if running else Condition.DEAD

    def kill(self, node: Node) -> Node:
        """kill -9, to its agent too; returns the node once it is gone."""
        processes.kill(self._processes_of(node))
        return node

    def pause(self, node: Node) -> Node:
        """SIGSTOP, to its agent too; returns the node once both stand still."""
        _freeze(self._processes_of(node))
        return node

    def resume(self, node: Node) -> Node:
        """SIGCONT, to its agent too."""
        for identity in reversed(self._processes_of(node)):
            processes.send(identity, signal.SIGCONT)
        return node

    def terminate(self, node: Node) -> Node:
        """SIGTERM to its agent, or to the server where it has none; returns at once."""
        if running := self.file.named(node.name):
            processes.send(running.identity, signal.SIGTERM)
        return node

    def kill_server(self, node: Node) -> Node:
        """kill -9 to the server alone; returns the node once the server is gone."""
        processes.kill(self._server_of(node))
        return node

    def pause_server(self, node: Node) -> Node:
        """SIGSTOP to the server alone; returns the node once that stands still."""
        _freeze(self._server_of(node))
        return node

    def resume_server(self, node: Node) -> Node:
        """SIGCONT to the server alone."""
        for identity in self._server_of(node):
            processes.send(identity, signal.SIGCONT)
        return node

    def _processes_of(self, node: Node) -> list[Identity]:
        """Its agent's first: a server alone could be started again."""
        running = self.file.named(node.name)
        found = [running.identity] if running else []
        return found if node.http_port is None else [*found, *self._server_of(node)]

    def _server_of(self, node: Node) -> list[Identity]:
        """The server itself: none while it was never started."""
        if node.http_port is None:
            return self._processes_of(node)
        identity = noted_server(node.directory)
        return [identity] if identity else []


def _freeze(identities: Sequence[Identity]) -> None:
    """A process with threads may go on for a moment after the signal was sent."""
    for each in identities:
        processes.send(each, signal.SIGSTOP)
    processes.wait_until(
        lambda: all(processes.condition(each) is not Condition.RUNNING for each in identities),
        timeout_s=5,
    )
