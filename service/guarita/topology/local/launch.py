"""Starts the processes of nodes, each on its port, and says why one does not start."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from guarita import forks, processes
from guarita.errors import TopologyError
from guarita.forks import Command
from guarita.node.child import noted_server
from guarita.processes import Condition, Identity
from guarita.servers import Server, find_server
from guarita.topology.local import ports
from guarita.topology.local.nodes import Node
from guarita.topology.local.state import Running, StateFile, unwritable

_BIND_FAILURES = ("Address already in use", "Failed listening on port", "Could not create server")

# The generated files decide everything.
NOT_INHERITED = ("GUARITA_", "REDIS_")


class PortTaken(TopologyError):
    """Another program listens on a node's port."""


class Launcher:
    """Starts nodes of one installation; the caller holds the lock of its state file."""

    def __init__(
        self,
        file: StateFile,
        *,
        server: str | None,
        needs_bus: bool,
        network: Callable[[Node], str],
    ) -> None:
        """`network` is the file of the network namespace that a node runs in, or empty."""
        self._file = file
        self._server = server
        self._needs_bus = needs_bus
        self._network = network

    def condition(self, node: Node) -> Condition:
        running = self._file.named(node.name)
        return processes.condition(running.identity) if running else Condition.DEAD

    def server(self) -> Server:
        """The server program that was chosen, now or at an earlier start, or the best one.

        Raises `ServerMissing`.
        """
        state = self._file.read()
        return find_server(self._server or (state.server if state else None))

    def start(
        self, nodes: Iterable[Node], arguments: Callable[[Node], list[str]]
    ) -> Sequence[Node]:
        """Start those that do not run, see them (or their agents) listen and return them.

        Raises `TopologyError` (and its kinds `PortTaken` and `ServerMissing`).
        """
        dead = [node for node in nodes if self.condition(node) is Condition.DEAD]
        if not dead:
            return dead
        server = self.server()
        for node in dead:
            self._check_ports(node)
        agents = [node for node in dead if node.http_port is not None]
        for node in dead:
            if node not in agents:
                self._spawn(node, [server.path, str(node.config), *arguments(node)])
        if agents:
            self._fork(agents)
        for node in dead:
            self._wait_listening(node)
        return dead

    def _check_ports(self, node: Node) -> None:
        for port in self._ports_of(node):
            if not ports.is_free(port, node.host):
                raise PortTaken(_taken(node, port))

    def _ports_of(self, node: Node) -> list[int]:
        """Those that must be free. An agent ends a server that an earlier one has left behind."""
        if node.http_port is not None:
            left = noted_server(node.directory)
            is_left = left is not None and processes.condition(left) is not Condition.DEAD
            return [node.http_port] if is_left else [node.port, node.http_port]
        return [node.port, node.port + ports.BUS_OFFSET] if self._needs_bus else [node.port]

    def _spawn(self, node: Node, argv: list[str]) -> None:
        try:
            network = self._network(node)
            enter = ["nsenter", f"--net={network}", "--"] if network else []
            identity = processes.spawn([*enter, *argv], cwd=node.directory, log=node.log)
        except OSError as exc:
            raise unwritable(node.directory, exc) from exc
        self._note(node, identity)

    def _fork(self, agents: Sequence[Node]) -> None:
        commands = [
            Command(
                each.name,
                _agent_arguments(each),
                str(each.directory),
                str(each.log),
                self._network(each),
            )
            for each in agents
        ]
        running = forks.spawn(commands, without=NOT_INHERITED)
        for node, identity in zip(agents, running, strict=True):
            self._note(node, identity)

    def _note(self, node: Node, identity: Identity) -> None:
        running = Running(
            name=node.name,
            kind=node.kind,
            port=node.port,
            log=node.log,
            pid=identity.pid,
            started=identity.started,
        )
        self._file.put(running)

    def _wait_listening(self, node: Node) -> None:
        def settled() -> bool:
            port = node.http_port or node.port
            return self.condition(node) is Condition.DEAD or ports.answers(port, node.host)

        processes.wait_until(settled, timeout_s=10)
        if self.condition(node) is not Condition.DEAD:
            return
        text = node.log.read_text(errors="replace")[-2000:]
        if any(failure in text for failure in _BIND_FAILURES):
            raise PortTaken(_taken(node, node.port))
        lines = "\n".join(text.splitlines()[-8:])
        raise TopologyError(f"{node.name} ended at its start; the end of {node.log}:\n{lines}")


def _agent_arguments(node: Node) -> tuple[str, ...]:
    return ("--config", str(node.config), "node" if node.kind == "data" else "sentinel")


def _taken(node: Node, port: int) -> str:
    return (
        f"Port {port} of {node.host}, which {node.name} needs, is taken by {ports.holder(port)}: "
        "end that, or choose other ports with --base-port."
    )
