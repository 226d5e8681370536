"""An installation of processes of this machine: in a network of their own where that can be made,
else on 127.0.0.1, with proxies in between where these can cut links."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

import redis

from guarita import __version__
from guarita.drill.clock import rest
from guarita.drill.faults.release import NO_RELEASE
from guarita.drill.history import Sample
from guarita.drill.targets import proxies
from guarita.drill.targets.base import Power, Shape, Spoilt, Terms
from guarita.drill.targets.names import HOSTS, Names
from guarita.drill.targets.neighbour import PREFIX, Neighbour
from guarita.drill.targets.network import GATE, Network
from guarita.drill.targets.nodes import (
    READY_S,
    DrillCluster,
    DrillSentinel,
    heard,
    held_back_s,
    password_of,
    sample_of,
)
from guarita.drill.targets.proxies import Proxies
from guarita.drill.targets.services import Services
from guarita.drill.workload.load import Place
from guarita.errors import TopologyError
from guarita.processes import Condition, wait_until
from guarita.servers import find_server
from guarita.topology.helm import Release
from guarita.topology.local import Node
from guarita.topology.local.ports import HOST, free_ports
from guarita.topology.local.sentinel import PRIMARY_NAME

SAMPLE_S = 0.2
SERVICE_PORT = 8000


class LocalTarget:
    """See `guarita.drill.targets.base.Target`."""

    slack_s = 0.0
    was_there = False
    options = ""

    def __init__(self, directory: Path, shape: Shape, *, without_network: str | None) -> None:
        """`without_network`: why there can be no network of its own; None: this process is in one
        already."""
        self.shape = shape
        self.name = f"local, like {shape.like}" if shape.like else "local"
        self._directory = directory.absolute()
        self._without_network = without_network
        self._network = Network(_addresses(shape)) if without_network is None else None
        has_proxies = self._network is None and proxies.lacking(shape) is None
        self._proxies = Proxies(self._directory) if has_proxies else None
        has_names = self._network is not None and shape.names
        addresses = self._network.addresses if self._network else {}
        self._names = Names(addresses, self._directory, at=GATE) if has_names else None
        self.installation: DrillSentinel | DrillCluster = (
            DrillCluster(self._directory, self._network)
            if shape.topology == "cluster"
            else DrillSentinel(self._directory, shape, self._network, self._proxies)
        )
        self._neighbour = self._make_neighbour()
        self.services = Services(self._directory, self._places(), breakage=shape.breakage)

    # Start and end

    def start(self) -> None:
        self.installation.up(timeout_s=READY_S)
        if self._neighbour:
            self._neighbour.start()
        self.services.start(self.store_settings(), self._ways())

    def restore(self) -> None:
        self.mend()
        self.installation.launch(timeout_s=READY_S)

    def end(self) -> None:
        self.services.kill_all()
        self.installation.kill_all()
        if self._neighbour:
            self._neighbour.kill_all()
        for each in (self._names, self._network, self._proxies):
            if each:
                each.close()

    def lacks(self, power: Power) -> str | None:
        match power:
            case Power.CUT if self._proxies is None:
                return self._without_network
            case Power.LOSE:
                return self._without_network
            case Power.NAMES if self._names is None:
                return self._without_network or "its nodes are known by address"
            case Power.NEIGHBOUR if self._neighbour is None:
                return self._without_network or "it has its network to itself"
            case Power.AGENTS:
                return None if self.shape.agents else "nodes run without agents here"
            case Power.CERTIFICATES if not self.shape.tls:
                return "its nodes speak no TLS"
            case Power.RELEASE:
                return NO_RELEASE
        return None

    @property
    def terms(self) -> Terms:
        return self.services.terms

    @property
    def api_key(self) -> str:
        return self.services.api_key

    # Who is who

    @property
    def places(self) -> Sequence[Place]:
        return self.services.places

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.installation.nodes)

    @property
    def sentinels(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.installation.sentinels)

    def primary(self) -> str:
        return self.installation.primary().name

    def replicas(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.installation.replicas())

    def address(self, name: str) -> tuple[str, int]:
        return self._announced(self._node(name))

    def versions(self) -> dict[str, str]:
        server = find_server(None)
        return {"guarita": __version__, server.name.lower(): server.version}

    # How it is

    def obstacle(self) -> str | None:
        return self.installation.obstacle()

    def wait_settled(self) -> None:
        """One that voted for a failover that was given up does not try another for twice the
        failover-timeout; one that switched may at once."""
        self.installation.wait_ready(READY_S)
        for node in self.installation.sentinels:
            now = datetime.now()  # noqa: DTZ005 - as it logs
            rest(held_back_s(self.log(node.name), now))

    def watcher(self, name: str) -> Callable[[int], Sample]:
        node = self._node(name)
        clients = {node.host: self.installation.client(node, timeout_s=SAMPLE_S)}
        names = {
            where: each.name
            for each in (*self.installation.nodes, *self.installation.sentinels)
            for where in (self._announced(each), each.address)
        }

        def ask(at_us: int) -> Sample:
            host = self.installation.host(name)
            if host not in clients:  # it has moved
                clients[host] = self.installation.client(self._node(name), timeout_s=SAMPLE_S)
            return sample_of(clients[host], node, names, at_us)

        return ask

    def condition(self, name: str) -> Condition:
        return self.installation.condition(self._node(name))

    def hear(self, event: str) -> AbstractContextManager[Callable[[], bool]]:
        sentinels = self.installation.sentinels
        return heard([self.installation.client(each) for each in sentinels], event)

    def log(self, name: str) -> str:
        return self._node(name).log.read_text(errors="replace")

    # What can be done to it

    def command(self, name: str, *words: str | int, timeout_s: float = 1.0) -> Any:
        try:
            with self.installation.client(self._node(name), timeout_s=timeout_s) as client:
                return client.execute_command(*words)
        except (redis.RedisError, OSError) as exc:
            raise TopologyError(f"{name} did not do {words[0]}: {exc}") from exc

    def kill(self, name: str, *, server_only: bool = False) -> None:
        node = self._node(name)
        if not server_only:
            self._require(node, Condition.RUNNING, Condition.PAUSED)
            self.installation.kill(node)
            self._require(node, Condition.DEAD)
            return
        self.installation.kill_server(node)
        if not self.shape.agents:  # as a supervisor would: its agent does, where it has one
            self.installation.start(node)

    def pause(self, name: str, *, server_only: bool = False) -> None:
        node = self._node(name)
        if server_only:
            self.installation.pause_server(node)
            return
        self._require(node, Condition.RUNNING)
        self.installation.pause(node)
        self._require(node, Condition.PAUSED)

    def resume(self, name: str, *, server_only: bool = False) -> None:
        resume = self.installation.resume_server if server_only else self.installation.resume
        resume(self._node(name))

    def _require(self, node: Node, *conditions: Condition) -> None:
        """That a fault is one: what is dead already is not killed."""
        condition = self.installation.condition(node)
        if condition not in conditions:
            raise TopologyError(f"{node.name} is {condition}, not {' or '.join(conditions)}")

    def terminate(self, name: str, *, within_s: float = 40.0) -> float:
        node, began_s = self._node(name), time.monotonic()
        self.installation.terminate(node)
        if not wait_until(
            lambda: self.installation.condition(node) is Condition.DEAD, timeout_s=within_s
        ):
            raise TopologyError(f"{name} was not gone {within_s:g} s after SIGTERM")
        return time.monotonic() - began_s

    def start_node(self, name: str) -> None:
        self.installation.start(self._node(name))

    def directory(self, name: str) -> Path:
        return self._node(name).directory

    def cut(self, some: Iterable[str], others: Iterable[str], *, one_way: bool = False) -> str:
        if self._network:
            self._network.cut(some, others, one_way=one_way)
            return "nftables drops packets"
        if self._proxies:
            self._proxies.cut(some, others, one_way=one_way)
            return "TCP proxies in between hold back what is sent"
        raise TopologyError(f"no link can be cut here: {self._without_network}")

    def slow(
        self, some: Iterable[str], others: Iterable[str], *, loss_percent: int, delay_ms: int
    ) -> str | None:
        if self._network is None:
            return None
        self._network.lose(some, others, loss_percent)
        return self._network.delay(some, delay_ms) if delay_ms else None

    def lost_packets(self) -> int:
        return self._network.lost_packets if self._network else 0

    def drop_sentinels(self, count: int) -> None:
        if isinstance(self.installation, DrillCluster):
            raise TopologyError("a Cluster has no Sentinels")
        removed = self.installation.sentinels[-count:]
        for node in removed:
            self.installation.kill(node)
        self.installation.take_out(removed)
        for node in (*self.installation.sentinels, *self.installation.nodes):
            self.installation.configure_without(node, removed)
            self.terminate(node.name)
            self.installation.start(node)
            self.installation.wait_ready(READY_S)

    def change_password(self, password: str) -> None:
        if isinstance(self.installation, DrillCluster):
            raise TopologyError("its services have their password in their configuration")
        self.installation.change_password(password)

    def change_certificates(self) -> Callable[[], bool]:
        certificates = getattr(self.installation, "certificates", None)
        if certificates is None:
            raise TopologyError(str(self.lacks(Power.CERTIFICATES)))
        certificates.renew()
        nodes = (*self.installation.nodes, *self.installation.sentinels)
        return lambda: all(certificates.is_shown(each.name, each.address) for each in nodes)

    def spoil_names(self, how: Spoilt) -> None:
        if self._names is None:
            raise TopologyError(str(self.lacks(Power.NAMES)))
        self._names.spoil(how)

    def swap_addresses(self, who: Sequence[str]) -> None:
        if self._neighbour is None:
            raise TopologyError(str(self.lacks(Power.NEIGHBOUR)))
        self._neighbour.swap(who)

    def mingled(self) -> Mapping[str, int]:
        if self._neighbour is None:
            raise TopologyError(str(self.lacks(Power.NEIGHBOUR)))
        return self._neighbour.mingled()

    def release(self) -> Release:
        raise TopologyError(str(self.lacks(Power.RELEASE)))

    def mend(self) -> None:
        for each in (self._network, self._proxies):
            if each:
                each.mend()
        if self._names:
            self._names.spoil(Spoilt())

    # Inside

    def _make_neighbour(self) -> Neighbour | None:
        first = self.installation
        if self._network is None or not self.shape.neighbour or isinstance(first, DrillCluster):
            return None
        return Neighbour(first, self._directory / "neighbour", self.shape, self._network)

    def store_settings(self) -> dict[str, Any]:
        """How a service reaches the nodes."""
        installation = self.installation
        nodes = [self._written(each) for each in installation.nodes]
        common = {"topology": self.shape.topology, "durability": str(self.shape.durability)}
        if isinstance(installation, DrillCluster):
            return {
                **common,
                "cluster": {"nodes": nodes},
                "data": {"password": installation.password},
            }
        certificates = installation.certificates
        tls = {"tls": certificates.caller_settings} if certificates else {}
        names = {"hosts_file": str(HOSTS)} if self.shape.names else {}
        return {
            **common,
            **names,
            "data_nodes": nodes,
            "data": {
                **(_service_user(self.shape) or {"password_file": str(installation.password_file)}),
                **tls,
            },
            "sentinel": {
                "primary_name": PRIMARY_NAME,
                "nodes": [self._written(each) for each in installation.sentinels],
                "password": installation.sentinel_password,
                **tls,
            },
        }

    def _node(self, name: str) -> Node:
        for node in (*self.installation.nodes, *self.installation.sentinels):
            if node.name == name:
                return node
        raise TopologyError(f"there is no node {name} here")

    def _announced(self, node: Node) -> tuple[str, int]:
        """Where the others reach it."""
        if isinstance(self.installation, DrillCluster):
            return node.address
        return self.installation.announced(node)

    def _written(self, node: Node) -> str:
        host, port = self._announced(node)
        return f"{host}:{port}"

    def _places(self) -> list[Place]:
        """Two services where links of either can be cut, else one with two workers."""
        if self._network is None:
            count = 2 if self._proxies else 1
            return [Place(f"service-{n}", HOST, p) for n, p in enumerate(free_ports(count), 1)]
        addresses = self._network.addresses
        return [Place(n, addresses[n], SERVICE_PORT) for n in addresses if "service" in n]

    def _ways(self) -> dict[str, list[str]]:
        if self._network is None:
            return {}
        return {each.name: self._network.enter(each.name) for each in self.places}


def _service_user(shape: Shape) -> dict[str, Any]:
    """As whom a service signs in, where the default user is off."""
    if not shape.users:
        return {}
    return {"username": "guarita-service", "password": password_of("service")}


def _addresses(shape: Shape) -> dict[str, str]:
    count = 6 if shape.topology == "cluster" else 3
    nodes = {f"node-{n + 1}": f"10.77.0.{n + 1}" for n in range(count)}
    sentinels = {f"sentinel-{n + 1}": f"10.77.0.{11 + n}" for n in range(shape.sentinels)}
    services = {f"service-{n}": f"10.77.1.{n}" for n in (1, 2)}
    others = [PREFIX + name for name in (*nodes, *sentinels)] if shape.neighbour else []
    return nodes | sentinels | services | {each: f"10.77.2.{n}" for n, each in enumerate(others, 1)}
