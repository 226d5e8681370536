"""The nodes of a local drill: what it adds to a local installation, and what it asks them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import redis
import yaml

from guarita.drill.history import Role, Sample
from guarita.drill.targets.base import Shape
from guarita.drill.targets.certificates import Certificates
from guarita.drill.targets.kits import KITS
from guarita.drill.targets.names import HOSTS, name_of
from guarita.drill.targets.network import Network
from guarita.drill.targets.proxies import HOST as PROXIES_HOST
from guarita.drill.targets.proxies import Proxies
from guarita.drill.targets.slow import slow_server
from guarita.errors import TopologyError
from guarita.topology.local import LocalCluster, LocalSentinel, Node
from guarita.topology.local.nodes import NodeKind
from guarita.topology.local.sentinel import PRIMARY_NAME

READY_S = 90.0
BASE_PORT = 7000
DISK = "24m"
PASSWORD = "of a drill"  # noqa: S105 - of servers that end with it
ROLES = ("service", "agent", "sentinel", "replica")
_HELD_BACK = re.compile(r"will not start a failover before \w+ (\w+ +\d+ [\d:]+ \d+)")


class DrillCluster(LocalCluster):
    """The local Cluster, each node where the drill's network puts it."""

    def __init__(self, directory: Path, network: Network | None) -> None:
        base_port = BASE_PORT if network else None
        super().__init__(directory, base_port=base_port, password=PASSWORD)
        self._network = network

    def host(self, name: str) -> str:
        return self._network.addresses[name] if self._network else super().host(name)

    def network(self, node: Node) -> str:
        return self._network.namespace(node.name) if self._network else ""

    def replicas(self) -> tuple[Node, ...]:
        primaries = self.primaries()
        return tuple(node for node in self.nodes if node not in primaries)


class DrillSentinel(LocalSentinel):
    """The local installation, each node where the drill's network puts it, or behind its proxy."""

    def __init__(
        self,
        directory: Path,
        shape: Shape,
        network: Network | None,
        proxies: Proxies | None = None,
        *,
        prefix: str = "",
        password: str = PASSWORD,
    ) -> None:
        """`prefix`: of the names that its nodes have in the network."""
        super().__init__(
            directory,
            server=slow_server(directory, shape),
            base_port=BASE_PORT if network else None,
            down_after_ms=KITS[shape.like].down_after_ms if shape.like else 1000,
            agents=shape.agents,
            durability=shape.durability,
            password=password,
            sentinel_password=f"{password} no more",
        )
        self.sentinel_nodes = shape.sentinels  # type: ignore[misc]  # of this one alone
        self._shape = shape
        self._network = network
        self._proxies = proxies
        self._prefix = prefix
        self.certificates = Certificates(directory / "tls") if shape.tls else None
        self.password_file = directory / "password"
        self.change_password(password)

    def host(self, name: str) -> str:
        return self._network.addresses[self._prefix + name] if self._network else super().host(name)

    def network(self, node: Node) -> str:
        return self._network.namespace(self._prefix + node.name) if self._network else ""

    def announced(self, node: Node) -> tuple[str, int]:
        """Where the others reach it."""
        if self._proxies:
            return PROXIES_HOST, node.port
        return (name_of(self._prefix + node.name), node.port) if self._shape.names else node.address

    def make_directory(self, node: Node) -> None:
        super().make_directory(node)
        if self._shape.small_disk and node.kind == "data":
            size = ("-o", f"size={DISK}")
            mounting = ["mount", "-t", "tmpfs", *size, "drill", str(node.directory)]
            ended = subprocess.run(mounting, capture_output=True, text=True, check=False)  # noqa: S603
            if ended.returncode != 0:
                raise TopologyError(f"no small disk could be made: {ended.stderr.strip()}")

    def change_password(self, password: str) -> None:
        """What agents and services read from now on, and what this object signs in with."""
        self.password_file.parent.mkdir(parents=True, exist_ok=True)
        draft = self.password_file.with_suffix(".draft")
        draft.touch(mode=0o600)
        draft.write_text(password + "\n")
        draft.replace(self.password_file)
        self.password = password

    def take_out(self, removed: Sequence[Node]) -> None:
        """Make the installation one that never had these Sentinels."""
        gone = {node.name for node in removed}
        with self.file.changing():
            state = self.file.read()
            numbers = state.ports if state else {}
            kept = {name: port for name, port in numbers.items() if name.split(".")[0] not in gone}
            self.file.note(ports=kept)
        self.sentinel_nodes -= len(removed)  # type: ignore[misc]

    def configure_without(self, node: Node, removed: Sequence[Node]) -> None:
        """Take Sentinels out of the configuration of a node's agent."""
        settings = yaml.safe_load(node.config.read_text())
        gone = {self._announced(each) for each in removed}
        of_sentinels = settings["store"]["sentinel"]
        of_sentinels["nodes"] = [each for each in of_sentinels["nodes"] if each not in gone]
        node.config.write_text(yaml.safe_dump(settings))

    def prepare(self, node: Node) -> None:
        if self._shape.like is None:  # no kit of others sets the periods of its Sentinels
            super().prepare(node)

    def _data_lines(self, node: Node) -> list[str]:
        if self._shape.like is None:
            return super()._data_lines(node)
        passwords = (f'requirepass "{self.password}"', f'masterauth "{self.password}"')
        return [*node.common_lines(), *passwords, *KITS[self._shape.like].data_lines]

    def _sentinel_lines(self, node: Node) -> list[str]:
        lines = super()._sentinel_lines(node)
        if self._shape.like is None:
            return lines
        kit = KITS[self._shape.like]
        others = {
            f"sentinel failover-timeout {PRIMARY_NAME} ": kit.failover_timeout_ms,
            f"sentinel parallel-syncs {PRIMARY_NAME} ": kit.parallel_syncs,
        }
        return [_with_value(line, others) for line in lines]

    def _agent_settings(self, node: Node) -> dict[str, Any]:
        settings = super()._agent_settings(node)
        settings["store"]["data"] = {"password_file": str(self.password_file)}
        if self._shape.users:
            users = {role: {"password": password_of(role)} for role in ROLES}
            settings["node"]["users"] = users
        if self.certificates:
            settings["node"]["tls"] = self.certificates.settings_of(node.name)
            for part in ("data", "sentinel"):
                settings["store"][part]["tls"] = self.certificates.caller_settings
        if self._shape.names and not self._prefix:  # the file is one for all of this drill
            settings["store"]["hosts_file"] = str(HOSTS)
        if self._proxies or self._shape.names:
            self._announce_elsewhere(settings, node)
        return settings

    def _announce_elsewhere(self, settings: dict[str, Any], node: Node) -> None:
        others = [each for each in self.nodes if each != node]
        settings["store"]["sentinel"]["nodes"] = [self._announced(e) for e in self.sentinels]
        listens_at = "0.0.0.0" if self._shape.names else node.host  # noqa: S104 - in its namespace
        settings["node"] |= {
            "announce": self._announced(node),
            "bind": [listens_at],
            "http": f"{listens_at}:{node.http_port}",
            "peers": [self._announced(each) for each in self.nodes],
            "agents": [f"{self.announced(each)[0]}:{each.http_port}" for each in others],
        }

    def _announced(self, node: Node) -> str:
        host, port = self.announced(node)
        return f"{host}:{port}"

    def _lay_out(self) -> None:
        super()._lay_out()
        nodes = self._all()
        if self.certificates:
            hosts = {each.name: {each.host, self.announced(each)[0]} for each in nodes}
            self.certificates.make({name: sorted(each) for name, each in hosts.items()})
        if self._proxies:
            ports = {each.name: [each.port, each.http_port] for each in nodes}
            self._proxies.start({name: [p for p in each if p] for name, each in ports.items()})

    def client(self, node: Node, *, timeout_s: float = 1.0) -> redis.Redis:
        client = super().client(node, timeout_s=timeout_s)
        if self._shape.users and node.kind == "data":
            client.connection_pool.connection_kwargs |= {
                "username": "guarita-agent",
                "password": password_of("agent"),
            }
        if self.certificates:
            client.connection_pool.connection_class = redis.SSLConnection
            client.connection_pool.connection_kwargs |= {
                "ssl_ca_certs": str(self.certificates.authority)
            }
        return client


def _with_value(line: str, others: dict[str, int]) -> str:
    """With the value that begins so, where there is one."""
    return next(
        (f"{start}{value}" for start, value in others.items() if line.startswith(start)), line
    )


def password_of(role: str) -> str:
    """Of an ACL user of servers that end with the drill."""
    return f"the {role} of a drill"


def held_back_s(log: str, now: datetime) -> float:
    """How long a Sentinel with this log still promotes nobody, after an election that it lost."""
    _, _, since_switch = log.rpartition("+switch-master")
    told = _HELD_BACK.findall(since_switch)
    if not told:
        return 0.0
    until = datetime.strptime(told[-1], "%b %d %H:%M:%S %Y")  # noqa: DTZ007 - as it logs
    return min(max(0.0, (until - now).total_seconds()), 60.0)


@contextmanager
def heard(sentinels: Sequence[redis.Redis], event: str) -> Iterator[Callable[[], bool]]:
    """Whether a Sentinel has told this event, listened to from before it begins."""
    with ExitStack() as stack:
        subscriptions = []
        for each in sentinels:
            client = stack.enter_context(each)
            subscription = stack.enter_context(client.pubsub())
            subscription.psubscribe("*")
            subscription.get_message(timeout=1)  # subscribed
            subscriptions.append(subscription)

        def has_told() -> bool:
            told = [each.get_message(timeout=0) for each in subscriptions]
            return any(message is not None and message["channel"] == event for message in told)

        yield has_told


class Watched(Protocol):
    """A node by its name, and what it is."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> NodeKind: ...


def sample_of(
    client: redis.Redis, node: Watched, names: dict[tuple[str, int], str], at_us: int
) -> Sample:
    """Ask one node now."""
    try:
        if node.kind == "sentinel":
            named: Any = client.sentinel_get_master_addr_by_name(PRIMARY_NAME)
            who = names.get((named[0], int(named[1]))) if named else None
            return Sample(at_us, node.name, Role.SENTINEL, names=who)
        info = client.info("replication", "persistence")
    except redis.BusyLoadingError:
        return Sample(at_us, node.name, Role.LOADING)
    except (redis.RedisError, OSError):
        return Sample(at_us, node.name, Role.SILENT)
    if info["loading"]:  # it answers INFO, as what it will be
        return Sample(at_us, node.name, Role.LOADING)
    offset, replid = int(info["master_repl_offset"]), str(info["master_replid"])
    if info["role"] == "master":
        good = int(info.get("min_slaves_good_slaves", 1))
        return Sample(
            at_us, node.name, Role.PRIMARY, writable=good > 0, offset=offset, replid=replid
        )
    return Sample(
        at_us,
        node.name,
        Role.REPLICA,
        names=names.get((info["master_host"], int(info["master_port"]))),
        linked=info["master_link_status"] == "up",
        offset=offset,
        replid=replid,
    )
