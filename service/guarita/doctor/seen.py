"""What the doctor saw: every answer as a value, from which findings are made without asking."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from guarita.config import Address, Durability, Topology


class Cause(StrEnum):
    """Why a server could not be asked."""

    UNRESOLVED = "unresolved"
    REFUSED = "refused"
    SILENT = "silent"
    PASSWORD_MISSING = "password-missing"  # noqa: S105
    PASSWORD_WRONG = "password-wrong"  # noqa: S105
    PASSWORD_UNWANTED = "password-unwanted"  # noqa: S105
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_NAME = "certificate-name"
    CERTIFICATE_UNTRUSTED = "certificate-untrusted"
    TLS = "tls"
    NOT_UNDERSTOOD = "not-understood"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that did not come; `text` is the error in its own words, without secrets."""

    cause: Cause
    text: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An entry of a server's ACL LOG: somebody was refused something a moment ago."""

    user: str
    reason: str  # auth, command, key or channel
    object: str  # the command or channel
    times: int
    age_s: float


@dataclass(frozen=True, slots=True)
class Server:
    """What data nodes and Sentinels have in common."""

    address: Address
    failure: Failure | None = None
    user: str = "default"  # as whom it was asked
    info: Mapping[str, str] = field(default_factory=dict)  # the fields of INFO that matter
    ahead_s: float | None = None  # its clock less ours, in the middle of the round trip
    unsure_s: float = 0.0  # half of that round trip, the quickest of some
    denied: tuple[str, ...] = ()  # what the doctor itself may not ask
    refusals: tuple[Refusal, ...] = ()
    certificate_ends_s: float | None = None  # Unix time
    open: bool = False  # answers a client without password and certificate

    @property
    def version(self) -> tuple[str, tuple[int, ...]] | None:
        """`("Redis", (7, 0, 15))`, or None where it was not told."""
        name = "Valkey" if "valkey_version" in self.info else "Redis"
        text = self.info.get(f"{name.lower()}_version", "")
        is_told = re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})*", text)
        return (name, tuple(map(int, text.split(".")))) if is_told else None


@dataclass(frozen=True, slots=True)
class Listed:
    """A replica or another Sentinel as one Sentinel lists it."""

    address: Address
    flags: frozenset[str] = frozenset()
    id: str = ""  # of a Sentinel
    priority: int = 100  # of a replica

    @property
    def is_down(self) -> bool:
        return not self.flags.isdisjoint({"s_down", "o_down"})


@dataclass(frozen=True, slots=True)
class View:
    """What one Sentinel says of the installation."""

    id: str
    primary: Address | None  # None: it does not know the name
    flags: frozenset[str] = frozenset({"master"})
    quorum: int = 0
    down_after_ms: int = 0
    failover_timeout_ms: int = 0
    parallel_syncs: int = 0
    replicas: tuple[Listed, ...] = ()
    others: tuple[Listed, ...] = ()
    quorum_trouble: str = ""  # the answer of CKQUORUM where it is not OK
    tilt: bool = False
    also_named: tuple[str, ...] = ()  # other names for a primary at the same address


@dataclass(frozen=True, slots=True)
class Sentinel:
    """One of `store.sentinel.nodes`."""

    server: Server
    view: View | None = None

    @property
    def address(self) -> Address:
        return self.server.address


@dataclass(frozen=True, slots=True)
class Follower:
    """A replica in the primary's own list."""

    address: Address
    state: str
    offset: int
    lag_s: int


@dataclass(frozen=True, slots=True)
class Member:
    """A line of CLUSTER NODES."""

    address: Address
    flags: frozenset[str]
    id: str
    follows: str
    has_slots: bool


@dataclass(frozen=True, slots=True)
class Node:
    """A data node that the configuration, a Sentinel or another data node names."""

    server: Server
    config: Mapping[str, str] = field(default_factory=dict)  # CONFIG GET; empty where denied
    watchers: frozenset[str] = frozenset()  # the first 8 characters of the ids of Sentinels
    lacks: tuple[str, ...] = ()  # commands of the service that its user may not use
    cluster: Mapping[str, str] = field(default_factory=dict)  # CLUSTER INFO
    members: tuple[Member, ...] = ()
    aliases: frozenset[Address] = frozenset()  # its other addresses

    @property
    def address(self) -> Address:
        return self.server.address

    @property
    def answers(self) -> bool:
        return self.server.failure is None

    @property
    def info(self) -> Mapping[str, str]:
        return self.server.info

    @property
    def is_primary(self) -> bool:
        return self.info.get("role") == "master"

    @property
    def is_replica(self) -> bool:
        return self.info.get("role") == "slave"

    @property
    def follows(self) -> Address | None:
        """The primary of a replica."""
        host = self.info.get("master_host", "")
        return Address(host, int(self.info["master_port"])) if self.is_replica and host else None

    @property
    def link_is_up(self) -> bool:
        return self.info.get("master_link_status") == "up"

    @property
    def is_syncing(self) -> bool:
        return self.number("master_sync_in_progress") == 1

    @property
    def is_loading(self) -> bool:
        return self.number("loading") == 1 or self.number("async_loading") == 1

    @property
    def offset(self) -> int:
        """How far it has come in the stream of writes."""
        return self.number("slave_repl_offset" if self.is_replica else "master_repl_offset") or 0

    @property
    def followers(self) -> tuple[Follower, ...]:
        return tuple(_followers(self.info)) if self.is_primary else ()

    @property
    def priority(self) -> int | None:
        return self.number("replica-priority", "slave_priority")

    def number(self, *names: str) -> int | None:
        """The first of these that CONFIG GET or INFO told as a number; None where neither did."""
        told = {**self.info, **self.config}
        text = next((told[name] for name in names if name in told), "")
        return int(text) if re.fullmatch(r"-?[0-9]{1,30}", text) else None


def _followers(info: Mapping[str, str]) -> Iterator[Follower]:
    for number in range(int(info.get("connected_slaves", "0"))):
        fields = dict(
            part.split("=", 1) for part in info.get(f"slave{number}", "").split(",") if part
        )
        if fields:
            address = Address(fields["ip"], int(fields["port"]))
            numbers = int(fields.get("offset", "0")), int(fields.get("lag", "0"))
            yield Follower(address, fields.get("state", ""), *numbers)


@dataclass(frozen=True, slots=True)
class HostName:
    """A name that somebody uses, and how it resolved from here."""

    host: str
    took_s: float
    addresses: tuple[str, ...] = ()
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Agent:
    """A node agent; `trouble` is why it is not alive, or else not ready."""

    address: Address
    alive: bool
    ready: bool
    trouble: str = ""
    of_data_node: bool = True  # else of a Sentinel


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything that was seen of an installation, and the settings that it is judged by."""

    topology: Topology
    durability: Durability
    deadline_s: float
    primary_name: str = ""
    sentinels: tuple[Sentinel, ...] = ()
    nodes: tuple[Node, ...] = ()
    names: tuple[HostName, ...] = ()
    agents: tuple[Agent, ...] = ()
    data_nodes: tuple[Address, ...] = ()  # as configured
    now_s: float = 0.0
    took_s: float = 0.0

    @property
    def views(self) -> tuple[tuple[Sentinel, View], ...]:
        """The Sentinels that know the primary by its name, with what they say."""
        found = ((each, each.view) for each in self.sentinels)
        return tuple((who, view) for who, view in found if view and view.primary)

    @property
    def majority(self) -> int:
        return len(self.sentinels) // 2 + 1

    @property
    def named(self) -> Address | None:
        """The primary: whom a majority names, or the only server of a standalone topology."""
        if self.topology is Topology.STANDALONE:
            return self.nodes[0].address if self.nodes else None
        votes = Counter(view.primary for _, view in self.views)
        return next((who for who, count in votes.items() if count >= self.majority), None)

    @property
    def primary(self) -> Node | None:
        """The named primary, where it was asked."""
        return self.node_at(self.named) if self.named else None

    @property
    def has_agents(self) -> bool:
        """Whether agents mind the data nodes: they are alive, and known of all but one at most,
        as an agent's own configuration has those of the others."""
        known = [agent for agent in self.agents if agent.of_data_node]
        enough = max(1, len(self.members) - 1)
        return len(known) >= enough and all(agent.alive for agent in known)

    @property
    def members(self) -> tuple[Node, ...]:
        """The data nodes of the installation: configured, or known to a Sentinel."""
        if self.topology is not Topology.SENTINEL:
            return self.nodes
        known = [*self.data_nodes]
        for _, view in self.views:
            known += [each.address for each in view.replicas]
            known += [view.primary] if view.primary else []
        return tuple(node for node in self.nodes if any(self.is_at(node, each) for each in known))

    @property
    def answering(self) -> tuple[Node, ...]:
        return tuple(node for node in self.members if node.answers)

    @property
    def servers(self) -> tuple[Server, ...]:
        """All Sentinels and data nodes, silent ones as well."""
        sentinels = tuple(each.server for each in self.sentinels)
        return sentinels + tuple(each.server for each in self.members)

    def node_at(self, address: Address) -> Node | None:
        """The data node that an address leads to."""
        return next((node for node in self.nodes if self.is_at(node, address)), None)

    def is_at(self, node: Node, address: Address) -> bool:
        return any(self.is_same(each, address) for each in (node.address, *node.aliases))

    def is_same(self, one: Address, other: Address) -> bool:
        """Whether two addresses lead to one place, as names resolve from here."""
        return one == other or (
            one.port == other.port and not self._places(one).isdisjoint(self._places(other))
        )

    def _places(self, address: Address) -> set[str]:
        resolved = (name.addresses for name in self.names if name.host == address.host)
        return {address.host}.union(*resolved)


def is_local(address: Address) -> bool:
    """Whether only this machine can reach it; a name but `localhost` is taken for far away."""
    try:
        return ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        return address.host == "localhost"
