"""One primary, two replicas and three Sentinels."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import redis
import yaml

from guarita import processes
from guarita.config import Durability
from guarita.errors import TopologyError
from guarita.node.sentinel_conf import periods_ms
from guarita.topology.local.installation import Installation
from guarita.topology.local.nodes import Node

PRIMARY_NAME = "guarita"
QUORUM = 2
_MAX_LAG_S = 2  # `min-replicas-max-lag` of a local installation


class LocalSentinel(Installation):
    """The smallest highly available installation."""

    store = "sentinel"
    data_nodes = 3
    sentinel_nodes = 3

    def __init__(
        self,
        directory: Path,
        *,
        server: str | None = None,
        base_port: int | None = None,
        password: str = "",
        sentinel_password: str = "",
        down_after_ms: int = 1000,
        agents: bool = False,
        durability: Durability = Durability.BALANCED,
    ) -> None:
        """With `agents`, each node is run by its agent, as in production; without, the servers
        start faster, and nobody but the Sentinels looks after them."""
        super().__init__(directory, server=server, base_port=base_port, password=password)
        self.sentinel_password = sentinel_password
        self.down_after_ms = down_after_ms
        self.agents = agents
        self._durability = durability

    # Who is primary

    def votes(self) -> Counter[int]:
        """How many Sentinels name which port as primary; silent Sentinels do not count."""
        counts: Counter[int] = Counter()
        for sentinel in self.sentinels:
            try:
                with self.client(sentinel, timeout_s=0.5) as client:
                    address = client.sentinel_get_master_addr_by_name(PRIMARY_NAME)
            except redis.RedisError:
                continue
            if address:
                counts[int(address[1])] += 1
        return counts

    def primaries(self) -> tuple[Node, ...]:
        """The one node that a majority of the Sentinels names. Raises `TopologyError`."""
        named = self._named_port()
        if named is None:
            raise TopologyError(
                f"No majority of the {len(self.sentinels)} Sentinels names one primary: "
                "`guarita local status` shows which of them answer."
            )
        return (self.node_at(named),)

    def replicas(self) -> tuple[Node, ...]:
        """The data nodes that are not the primary."""
        primary = self.primary()
        return tuple(node for node in self.nodes if node != primary)

    # Faults

    def failover(self, *, timeout_s: float = 20.0) -> Node:
        """Ask a Sentinel to promote a replica; returns the new primary."""
        old = self.primary()
        with self.client(self.sentinels[0]) as client:
            try:
                client.execute_command("SENTINEL", "FAILOVER", PRIMARY_NAME)
            except redis.ResponseError as exc:
                raise TopologyError(f"The Sentinel refused to fail over: {exc}") from exc
        return self.wait_new_primary(old, timeout_s=timeout_s)

    def wait_new_primary(self, old: Node, *, timeout_s: float = 20.0) -> Node:
        """The primary, once a majority names another node than `old` and it agrees."""

        def promoted() -> bool:
            port = self._named_port()
            return port not in (None, old.port) and self._says(self.node_at(port), "master")

        if not processes.wait_until(promoted, timeout_s=timeout_s, pause_s=0.05):
            raise TopologyError(f"No other primary than {old} within {timeout_s:g} s.")
        return self.primary()

    # Readiness

    def problem(self) -> str | None:
        primary = self.primary()
        for sentinel in self.sentinels:
            if unseen := self._not_seen_by(sentinel, primary):
                return unseen
        return self._unlinked(primary)

    def _unlinked(self, primary: Node) -> str | None:
        with self.client(primary) as client:
            info = client.info("replication")
        wanted = len(self.nodes) - 1
        linked = _good_replicas(info)
        if info["role"] != "master" or linked < wanted:
            return f"primary {primary} is {info['role']} with {linked} of {wanted} replicas in sync"
        for node in self.nodes:
            if node != primary and not self._follows(node, primary):
                return f"{node} does not follow {primary} yet"
        return None

    def _follows(self, node: Node, primary: Node) -> bool:
        with self.client(node) as client:
            info = client.info("replication")
        return (
            info["role"] == "slave"
            and int(info["master_port"]) == primary.port
            and info["master_link_status"] == "up"
            and int(info["master_sync_in_progress"]) == 0
        )

    def _not_seen_by(self, sentinel: Node, primary: Node) -> str | None:
        with self.client(sentinel) as client:
            named: dict[str, Any] = client.sentinel_master(PRIMARY_NAME)
            replicas: list[dict[str, Any]] = client.sentinel_slaves(PRIMARY_NAME)
            others: list[dict[str, Any]] = client.sentinel_sentinels(PRIMARY_NAME)
        if (int(named["port"]), named["flags"]) != (primary.port, "master"):
            return f"{sentinel} sees port {named['port']} as {named['flags']}"
        good = sum(each["flags"] == "slave" for each in replicas)
        linked = sum(each["master-link-status"] == "ok" for each in replicas)
        met = sum(each["flags"] == "sentinel" for each in others)
        if min(good, linked) < len(self.nodes) - 1 or met < len(self.sentinels) - 1:
            return f"{sentinel} sees {min(good, linked)} linked replicas and {met} other Sentinels"
        return None

    def _says(self, node: Node, role: str) -> bool:
        try:
            with self.client(node, timeout_s=0.5) as client:
                return bool(client.info("replication")["role"] == role)
        except redis.RedisError:
            return False

    # Configuration

    def config_lines(self, node: Node) -> list[str]:
        if node.http_port is not None:
            return yaml.safe_dump(self._agent_settings(node), sort_keys=False).splitlines()
        return self._sentinel_lines(node) if node.kind == "sentinel" else self._data_lines(node)

    def start_arguments(self, node: Node) -> list[str]:
        """A data node starts as what the Sentinels say it is, not as what it was."""
        if node.kind == "sentinel":
            return ["--sentinel"]
        named = self.node_at(self._named_port() or self._remembered_port())
        return ["--replicaof", "no one" if named == node else f"{named.host} {named.port}"]

    def prepare(self, node: Node) -> None:
        if node.kind == "sentinel" and node.http_port is None:
            periods = [word for pair in periods_ms(self.down_after_ms).items() for word in pair]
            with self.client(node) as client:
                client.execute_command("SENTINEL", "DEBUG", *periods)

    def _agent_settings(self, node: Node) -> dict[str, Any]:
        """The configuration file of a node's agent."""
        others = [each for each in self.nodes if each != node]
        password = {"password": self.password} if self.password else {}
        own = {"password": self.sentinel_password} if self.sentinel_password else {}
        nodes = [str(each) for each in self.sentinels]
        return {
            "store": {
                "topology": "sentinel",
                "durability": str(self._durability),
                "sentinel": {"primary_name": PRIMARY_NAME, "nodes": nodes, **own},
                "data": password,
            },
            "node": {
                "announce": str(node),
                "peers": [str(each) for each in self.nodes],
                "agents": [f"{each.host}:{each.http_port}" for each in others],
                "http": f"{node.host}:{node.http_port}",
                "data_dir": str(node.directory),
                "server": self._server or "auto",
                "stop_s": 9.5,  # `down` waits for 10 s
                "down_after_ms": self.down_after_ms,
                "quorum": QUORUM,
            },
            "logs": {"format": "json"},
        }

    def _data_lines(self, node: Node) -> list[str]:
        return [
            *node.data_lines(self.password),
            "min-replicas-to-write 1",
            "min-replicas-max-lag 2",
            "replica-priority 100",
        ]

    def _sentinel_lines(self, node: Node) -> list[str]:
        """Everybody is introduced from the start; discovery would take some seconds."""
        first, *replicas = self.nodes
        name = PRIMARY_NAME
        lines = [
            *node.common_lines(),
            f"sentinel myid {self._id_of(node)}",
            f"sentinel monitor {name} {first.host} {first.port} {QUORUM}",
            f"sentinel down-after-milliseconds {name} {self.down_after_ms}",
            f"sentinel failover-timeout {name} 3000",
            f"sentinel parallel-syncs {name} 2",
        ]
        if self.password:
            lines.append(f'sentinel auth-pass {name} "{self.password}"')
        if self.sentinel_password:
            lines.append(f'requirepass "{self.sentinel_password}"')
            lines.append(f'sentinel sentinel-pass "{self.sentinel_password}"')
        for each in replicas:
            lines.append(f"sentinel known-replica {name} {each.host} {each.port}")
        for each in self.sentinels:
            if each != node:
                known = f"{each.host} {each.port} {self._id_of(each)}"
                lines.append(f"sentinel known-sentinel {name} {known}")
        return lines

    def _id_of(self, sentinel: Node) -> str:
        """Fixed, and of this installation alone."""
        return hashlib.sha256(str(sentinel.directory).encode()).hexdigest()[:40]

    def _named_port(self) -> int | None:
        for port, count in self.votes().items():
            if count > len(self.sentinels) // 2:
                return port
        return None

    def _remembered_port(self) -> int:
        """The primary as the Sentinels' files have it: the one of the latest failover."""
        known = [_remembered(each.config) for each in self.sentinels]
        return max(known)[1]


def _remembered(config: Path) -> tuple[int, int]:
    """Epoch and port of the primary in a Sentinel's configuration file."""
    epoch, port = 0, 0
    for line in config.read_text().splitlines():
        match line.split():
            case ["sentinel", "config-epoch", _, number]:
                epoch = int(number)
            case ["sentinel", "monitor", _, _, number, _]:
                port = int(number)
    return epoch, port


def _good_replicas(info: Mapping[str, Any]) -> int:
    """How many are online and acknowledged not long ago, as the primary counts them.

    It counts them only where it has `min-replicas-to-write` and `min-replicas-max-lag`.
    """
    if (counted := info.get("min_slaves_good_slaves")) is not None:
        return int(counted)
    links = [told for name, told in info.items() if re.fullmatch(r"slave\d+", name)]
    return sum(each["state"] == "online" and each["lag"] <= _MAX_LAG_S for each in links)
