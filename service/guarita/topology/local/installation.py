"""A local installation: data nodes (and Sentinels) as processes on 127.0.0.1.

What all kinds share: layout, configuration files, start and stop, faults by process id.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import redis
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from guarita import processes
from guarita.errors import TopologyError
from guarita.processes import Condition, Identity
from guarita.topology.local import ports
from guarita.topology.local.faults import Faults
from guarita.topology.local.launch import Launcher, PortTaken
from guarita.topology.local.nodes import Node, NodeKind
from guarita.topology.local.state import State, StateFile, unwritable

_PORT_DRAWS = 5
_AGENT = ".agent"
_NO_NOTIFICATIONS = MaintNotificationsConfig(enabled=False)
_AGENT_OFFSET = 100  # of an agent's HTTP port from its node's port, where ports are fixed


class Installation(Faults, ABC):
    """Data nodes and Sentinels under one directory; what they are is on disk, not in memory.

    So several processes may work on one installation: one runs it, another kills its primary.
    As a context manager it starts everything, waits until it is ready, and kills it at the end.
    """

    store: ClassVar[str]
    data_nodes: ClassVar[int]
    sentinel_nodes: ClassVar[int] = 0
    needs_bus: ClassVar[bool] = False
    agents: bool = False  # whether each node is run by its agent

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
        self._launcher = Launcher(
            self.file, server=server, needs_bus=self.needs_bus, network=self.network
        )
        self._base_port = base_port

    # What the kinds differ in

    @abstractmethod
    def config_lines(self, node: Node) -> list[str]:
        """The node's configuration file as it is first written."""

    @abstractmethod
    def primaries(self) -> tuple[Node, ...]:
        """Who takes writes, as a majority says; the Cluster has several. Raises `TopologyError`."""

    @abstractmethod
    def problem(self) -> str | None:
        """What is missing between nodes that all answer, in words; None when nothing is."""

    def start_arguments(self, node: Node) -> list[str]:
        """What a start adds to the configuration file."""
        return ["--sentinel"] if node.kind == "sentinel" else []

    def make_directory(self, node: Node) -> None:
        """An empty directory for a node. Raises `OSError`."""
        shutil.rmtree(node.directory, ignore_errors=True)
        node.directory.mkdir(parents=True)

    def host(self, name: str) -> str:  # noqa: ARG002 - for who puts nodes elsewhere
        """The address of a node."""
        return ports.HOST

    def network(self, node: Node) -> str:  # noqa: ARG002 - the same
        """The file of the network namespace that a node runs in; empty: that of this process."""
        return ""

    def prepare(self, node: Node) -> None:
        """Tell a node that was just started what no configuration file can hold."""

    def form(self, *, timeout_s: float) -> None:
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
            maint_notifications_config=_NO_NOTIFICATIONS,  # which cost a round trip on connect
            driver_info=None,  # which redis-py would read from its package's files each time
            decode_responses=True,
        )

    def silence(self) -> str | None:
        """The first node that does not answer a PING, in words."""
        for node in self._all():
            if self.condition(node) is not Condition.RUNNING:
                return f"{node.name} on port {node.port} is {self.condition(node)}"
            try:
                with self.client(node) as client:
                    client.ping()
            except redis.RedisError as exc:
                return f"{node.name} on port {node.port} does not answer ({exc})"
        return None

    def primary(self) -> Node:
        """The first of the primaries. Raises `TopologyError`."""
        return self.primaries()[0]

    # The whole installation

    def up(self, *, timeout_s: float = 60.0) -> None:
        """Start what does not run, with its data, and wait until all is ready; repeatable.

        Raises `TopologyError` (and its kind `ServerMissing`) with a sentence that says why.
        """
        self.launch(timeout_s=timeout_s)
        self.wait_ready(timeout_s=timeout_s)

    def launch(self, *, timeout_s: float = 60.0) -> None:
        """Start what does not run and continue what is paused, without waiting for links."""
        with self.file.changing():
            self._start_all()
            for node in self._all():
                self.resume(node)
            self.form(timeout_s=timeout_s)

    def down(self, *, timeout_s: float = 10.0) -> None:
        """Stop all nodes, Sentinels first, so that none takes the end for a failure."""
        with self.file.changing():
            for kind in ("sentinel", "data"):
                ended = self.file.running(kind)
                processes.stop((each.identity for each in ended), timeout_s=timeout_s)
            processes.stop(self._servers(), timeout_s=timeout_s)

    def kill_all(self) -> None:
        """kill -9 to all nodes at once."""
        with self.file.changing():
            self._kill_all()

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Return when every node is up, linked and known to the others.

        Raises `TopologyError` with the last obstacle when that takes longer.
        """
        ready = processes.wait_until(
            lambda: self.obstacle() is None, timeout_s=timeout_s, pause_s=0.1
        )
        if not ready and (obstacle := self.obstacle()):
            raise TopologyError(
                f"The installation was not ready within {timeout_s:g} s: {obstacle}. "
                f"Its logs are {self.directory}/*/*.log."
            )

    def obstacle(self) -> str | None:
        """Why the installation is not ready now, in words; None when it is."""
        try:
            return self.silence() or self.problem()
        except (redis.RedisError, OSError) as exc:
            return f"a node does not answer ({exc})"
        except TopologyError as exc:
            return str(exc)

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

    def kill_primary(self) -> Node:
        """kill -9 the primary; returns the node that was killed. Raises `TopologyError`."""
        return self.kill(self.primary())

    def pause_primary(self) -> Node:
        """SIGSTOP the primary; returns the node that was paused. Raises `TopologyError`."""
        return self.pause(self.primary())

    def start(self, node: Node) -> Node:
        """Start a dead node with its own data; does nothing where it runs."""
        with self.file.changing():
            self._start([node])
        return node

    def _servers(self) -> list[Identity]:
        """Of the agents: also those that an agent which was killed has left."""
        state = self.file.read()
        nodes = self._nodes_on(state.ports) if state and state.ports else []
        agents = (node for node in nodes if node.http_port is not None)
        return [identity for node in agents for identity in self._server_of(node)]

    def _kill_all(self) -> None:
        agents = [each.identity for each in self.file.running("data", "sentinel")]
        processes.kill([*agents, *self._servers()])

    # Layout and start

    def _all(self) -> list[Node]:
        state = self.file.read()
        if state is None or not state.ports:
            raise TopologyError(f"Nothing was started in {self.directory} yet: `guarita local up`.")
        return self._nodes_on(state.ports)

    def _nodes_on(self, numbers: dict[str, int]) -> list[Node]:
        return [
            Node(
                name,
                kind,
                numbers[name],
                self.directory / name,
                self.host(name),
                numbers.get(_agent_of(name)),
            )
            for name, kind in self._names().items()
        ]

    def _names(self) -> dict[str, NodeKind]:
        names: dict[str, NodeKind] = {f"node-{n + 1}": "data" for n in range(self.data_nodes)}
        for n in range(self.sentinel_nodes):
            names[f"sentinel-{n + 1}"] = "sentinel"
        return names

    def _start(self, nodes: Sequence[Node]) -> None:
        for node in self._launcher.start(nodes, self.start_arguments):
            try:
                self.prepare(node)
            except redis.RedisError as exc:
                raise TopologyError(f"{node.name} does not answer after its start: {exc}") from exc

    def _start_all(self) -> None:
        state = self.file.read()
        if state and state.ports:
            self._check_layout(state)
            self._start(self._all())
            return
        draws = _PORT_DRAWS if self._base_port is None else 1
        for draw in range(1, draws + 1):
            self._lay_out()
            try:
                self._start(self._all())
            except TopologyError as exc:
                self._kill_all()
                self.file.note(ports={}, processes={})  # nothing was kept here yet
                if draw == draws or not isinstance(exc, PortTaken):
                    raise
            else:
                return

    def _check_layout(self, state: State) -> None:
        numbers = self._numbers()
        if (state.store, state.ports.keys()) != (self.store, numbers.keys()) or (
            self._base_port is not None and state.ports != numbers
        ):
            raise TopologyError(
                f"{self.directory} holds a {state.store} installation on ports "
                f"{', '.join(map(str, state.ports.values()))}: remove it with "
                "`guarita local down --wipe`, or choose another directory with --directory."
            )

    def _numbers(self) -> dict[str, int]:
        """Ports by name: fixed ones in two rows, or free ones at random."""
        names = self._names()
        agents = [_agent_of(name) for name in names] if self.agents else []
        if self._base_port is None:
            drawn = ports.free_ports(len(names) + len(agents), with_bus=self.needs_bus)
            return dict(zip([*names, *agents], drawn, strict=True))
        rows = {"data": self._base_port, "sentinel": self._base_port + ports.BUS_OFFSET}
        fixed = {name: rows[kind] + int(name.rpartition("-")[2]) for name, kind in names.items()}
        return fixed | {each: fixed[each.removesuffix(_AGENT)] + _AGENT_OFFSET for each in agents}

    def _lay_out(self) -> None:
        """Draw ports and write every node's directory anew. Raises `TopologyError`."""
        self._launcher.server()  # without one, nothing is written
        numbers = self._numbers()
        self.file.note(store=self.store, ports=numbers, server=self._server)
        for node in self._nodes_on(numbers):
            try:
                self.make_directory(node)
                node.config.touch(mode=0o600)
                node.config.write_text("\n".join(self.config_lines(node)) + "\n")
            except OSError as exc:
                raise unwritable(node.directory, exc) from exc


def _agent_of(name: str) -> str:
    """What the port of a node's agent is called."""
    return f"{name}{_AGENT}"
