"""A local installation: data nodes (and Sentinels) as processes on 127.0.0.1.

What all kinds share: layout, configuration files, start and stop, faults by process id.
"""

from __future__ import annotations

import shutil
import signal
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Literal, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from guarita.errors import TopologyError
from guarita.topology.local import ports, processes
from guarita.topology.local.processes import Condition
from guarita.topology.local.servers import find_server
from guarita.topology.local.state import Running, State, StateFile, unwritable

_BIND_FAILURES = ("Address already in use", "Failed listening on port", "Could not create server")
_PORT_DRAWS = 5


NodeKind = Literal["data", "sentinel"]


@dataclass(frozen=True, slots=True)
class Node:
    """A data node or Sentinel of a local installation."""

    name: str
    kind: NodeKind
    port: int
    directory: Path
    host: str = ports.HOST

    @property
    def address(self) -> tuple[str, int]:
        return (self.host, self.port)

    @property
    def config(self) -> Path:
        return self.directory / "server.conf"

    @property
    def log(self) -> Path:
        return self.directory / "server.log"

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class _PortTaken(TopologyError):
    """Another program listens on a node's port."""


class Installation(ABC):
    """Data nodes and Sentinels under one directory; what they are is on disk, not in memory.

    So several processes may work on one installation: one runs it, another kills its primary.
    As a context manager it starts everything, waits until it is ready, and kills it at the end.
    """

    store: ClassVar[str]
    data_nodes: ClassVar[int]
    sentinel_nodes: ClassVar[int] = 0
    needs_bus: ClassVar[bool] = False

    def __init__(
        self,
        directory: Path,
        *,
        server: str | None = None,
        base_port: int | None = None,
        password: str = "",
    ) -> None:
        """`base_port` + 1 and up are the nodes' ports; without it, free ones are drawn."""
        self.directory = directory.absolute()
        self.password = password
        self.sentinel_password = ""
        self.file = StateFile(self.directory)
        self._server = server
        self._base_port = base_port

    # What the kinds differ in

    @abstractmethod
    def config_lines(self, node: Node) -> list[str]:
        """The node's configuration file as it is first written."""

    @abstractmethod
    def problem(self) -> str | None:
        """Why the installation is not ready, in one sentence; None when it is."""

    def start_arguments(self, node: Node) -> list[str]:
        """What a start adds to the configuration file."""
        return ["--sentinel"] if node.kind == "sentinel" else []

    def form(self, *, timeout_s: float) -> None:  # noqa: B027 - most kinds need nothing here
        """Make one installation of nodes that run but do not know each other yet."""

    # Nodes

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The data nodes. Raises `TopologyError` before the first start."""
        return tuple(each for each in self._all() if each.kind == "data")

    @property
    def sentinels(self) -> tuple[Node, ...]:
        return tuple(each for each in self._all() if each.kind == "sentinel")

    def node_at(self, port: int) -> Node:
        """The node on this port. Raises `TopologyError`."""
        for node in self._all():
            if node.port == port:
                return node
        raise TopologyError(f"no node of {self.directory} has port {port}")

    def client(self, node: Node, *, timeout_s: float = 1.0) -> redis.Redis:
        """A connection to one node, without retries; to be closed by the caller."""
        return redis.Redis(
            host=node.host,
            port=node.port,
            password=(self.sentinel_password if node.kind == "sentinel" else self.password) or None,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )

    def condition(self, node: Node) -> Condition:
        state = self.file.read()
        running = state.processes.get(node.name) if state else None
        return processes.condition(running.identity) if running else Condition.DEAD

    def silence_of(self, nodes: Iterable[Node]) -> str | None:
        """The first of these nodes that does not answer a PING, in words."""
        for node in nodes:
            if self.condition(node) is not Condition.RUNNING:
                return f"{node.name} on port {node.port} is {self.condition(node)}"
            try:
                with self.client(node) as client:
                    client.ping()
            except redis.RedisError as exc:
                return f"{node.name} on port {node.port} does not answer ({exc})"
        return None

    # The whole installation

    def up(self, *, timeout_s: float = 60.0) -> None:
        """Start what does not run, with its data, and wait until all is ready; repeatable.

        Raises `TopologyError` (and its kind `ServerMissing`) with a sentence that says why.
        """
        with self.file.changing():
            self._start_all()
            for node in self._all():
                self._signal(node, signal.SIGCONT)
            self.form(timeout_s=timeout_s)
        self.wait_ready(timeout_s=timeout_s)

    def down(self, *, timeout_s: float = 10.0) -> None:
        """Stop all nodes, Sentinels first, so that none takes the end for a failure."""
        with self.file.changing():
            self._end("sentinel", timeout_s)
            self._end("data", timeout_s)

    def kill_all(self) -> None:
        """kill -9 to all nodes at once."""
        with self.file.changing():
            processes.kill(each.identity for each in self._running(("data", "sentinel")))

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Return when every node is up, linked and known to the others.

        Raises `TopologyError` with the last obstacle when that takes longer.
        """
        seen: list[str | None] = []

        def ready() -> bool:
            try:
                seen[:] = [self.problem()]
            except (redis.RedisError, OSError) as exc:
                seen[:] = [f"a node does not answer ({exc})"]
            return seen[0] is None

        if not processes.wait_until(ready, timeout_s=timeout_s, pause_s=0.05):
            raise TopologyError(
                f"The installation was not ready within {timeout_s:g} s: {seen[0]}. "
                f"Its logs are {self.directory}/*/server.log."
            )

    def __enter__(self) -> Self:
        try:
            self.up()
        except BaseException:
            self.kill_all()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill_all()

    # Faults

    def kill(self, node: Node) -> Node:
        """kill -9; returns the node once it is gone."""
        if running := self._running_as(node):
            processes.kill([running.identity])
        return node

    def pause(self, node: Node) -> Node:
        """SIGSTOP; returns the node once it stands still."""
        self._signal(node, signal.SIGSTOP)
        processes.wait_until(lambda: self.condition(node) is not Condition.RUNNING, timeout_s=5)
        return node

    def resume(self, node: Node) -> Node:
        """SIGCONT."""
        self._signal(node, signal.SIGCONT)
        return node

    def start(self, node: Node) -> Node:
        """Start a dead node with its own data; does nothing where it runs."""
        with self.file.changing():
            self._start([node])
        return node

    # Configuration files

    def common_lines(self, node: Node) -> list[str]:
        return [
            f"port {node.port}",
            f"bind {node.host}",
            "protected-mode yes",
            "daemonize no",
            f'dir "{node.directory}"',
        ]

    def data_lines(self, node: Node) -> list[str]:
        """A data node that keeps its data over a kill and re-links without delay."""
        lines = [
            *self.common_lines(node),
            'save ""',
            "appendonly yes",
            "appendfsync everysec",
            "repl-diskless-sync yes",
            "repl-diskless-sync-delay 0",
            "repl-ping-replica-period 1",
            "shutdown-timeout 2",
        ]
        if self.password:
            lines += [f'requirepass "{self.password}"', f'masterauth "{self.password}"']
        return lines

    # Layout and start

    def _all(self) -> list[Node]:
        state = self.file.read()
        if state is None or not state.ports:
            raise TopologyError(f"Nothing was started in {self.directory} yet: `guarita local up`.")
        return self._nodes_on(state.ports)

    def _nodes_on(self, numbers: dict[str, int]) -> list[Node]:
        return [
            Node(name, kind, numbers[name], self.directory / name)
            for name, kind in self._names().items()
        ]

    def _names(self) -> dict[str, NodeKind]:
        names: dict[str, NodeKind] = {f"node-{n + 1}": "data" for n in range(self.data_nodes)}
        for n in range(self.sentinel_nodes):
            names[f"sentinel-{n + 1}"] = "sentinel"
        return names

    def _start_all(self) -> None:
        state = self.file.read()
        if state and state.ports:
            self._check_layout(state)
            self._start(self._all())
            return
        for draw in range(_PORT_DRAWS):
            self._lay_out()
            try:
                self._start(self._all())
            except _PortTaken:
                if self._base_port is not None or draw == _PORT_DRAWS - 1:
                    raise
                processes.kill(each.identity for each in self._running(("data", "sentinel")))
            else:
                return

    def _check_layout(self, state: State) -> None:
        if state.store != self.store or (
            self._base_port is not None and state.ports != self._numbers()
        ):
            raise TopologyError(
                f"{self.directory} holds a {state.store} installation on ports "
                f"{', '.join(map(str, state.ports.values()))}: remove it with "
                "`guarita local down --wipe`, or choose another directory with --directory."
            )

    def _numbers(self) -> dict[str, int]:
        """Ports by name: fixed ones in two rows, or free ones at random."""
        names = self._names()
        if self._base_port is None:
            drawn = ports.free_ports(len(names), with_bus=self.needs_bus)
            return dict(zip(names, drawn, strict=True))
        rows = {"data": self._base_port, "sentinel": self._base_port + ports.BUS_OFFSET}
        return {name: rows[kind] + int(name.rpartition("-")[2]) for name, kind in names.items()}

    def _lay_out(self) -> None:
        """Draw ports and write every node's directory anew. Raises `TopologyError`."""
        find_server(self._server)
        numbers = self._numbers()
        self.file.write(State(store=self.store, ports=numbers))
        for node in self._nodes_on(numbers):
            try:
                shutil.rmtree(node.directory, ignore_errors=True)
                node.directory.mkdir(parents=True)
                node.config.touch(mode=0o600)
                node.config.write_text("\n".join(self.config_lines(node)) + "\n")
            except OSError as exc:
                raise unwritable(node.directory, exc) from exc

    def _start(self, nodes: Iterable[Node]) -> None:
        dead = [node for node in nodes if self.condition(node) is Condition.DEAD]
        if not dead:
            return
        server = find_server(self._server)
        for node in dead:
            self._check_port(node)
        for node in dead:
            self._spawn(node, server.path)
        for node in dead:
            self._wait_listening(node)

    def _check_port(self, node: Node) -> None:
        for port in (node.port, node.port + ports.BUS_OFFSET)[: 2 if self.needs_bus else 1]:
            if not ports.is_free(port):
                raise _PortTaken(self._taken(node, port))

    def _taken(self, node: Node, port: int) -> str:
        return (
            f"Port {port} of {node.host}, which {node.name} needs, is taken by "
            f"{ports.holder(port)}: end that, or choose other ports with --base-port."
        )

    def _spawn(self, node: Node, server: str) -> None:
        argv = [server, str(node.config), *self.start_arguments(node)]
        try:
            identity = processes.spawn(argv, cwd=node.directory, log=node.log)
        except OSError as exc:
            raise unwritable(node.directory, exc) from exc
        running = Running(
            name=node.name,
            kind=node.kind,
            port=node.port,
            log=node.log,
            pid=identity.pid,
            started=identity.started,
        )
        self.remember(running)

    def remember(self, running: Running) -> None:
        """Note a process in the state file, under the lock that the caller holds."""
        state = self.file.read() or State(store=self.store)
        known = {**state.processes, running.name: running}
        self.file.write(state.model_copy(update={"processes": known}))

    def _wait_listening(self, node: Node) -> None:
        def settled() -> bool:
            return self.condition(node) is Condition.DEAD or ports.answers(node.port)

        processes.wait_until(settled, timeout_s=10)
        if self.condition(node) is Condition.DEAD:
            text = node.log.read_text(errors="replace")[-2000:]
            if any(failure in text for failure in _BIND_FAILURES):
                raise _PortTaken(self._taken(node, node.port))
            lines = "\n".join(text.splitlines()[-8:])
            raise TopologyError(f"{node.name} ended at its start; the end of {node.log}:\n{lines}")

    # Processes

    def _running_as(self, node: Node) -> Running | None:
        state = self.file.read()
        return state.processes.get(node.name) if state else None

    def _running(self, kinds: Iterable[str]) -> list[Running]:
        state = self.file.read()
        return [each for each in state.processes.values() if each.kind in kinds] if state else []

    def _end(self, kind: str, timeout_s: float) -> None:
        processes.stop((each.identity for each in self._running([kind])), timeout_s=timeout_s)

    def _signal(self, node: Node, number: signal.Signals) -> None:
        if running := self._running_as(node):
            processes.send(running.identity, number)
