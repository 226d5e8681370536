"""The section `node`: a data node or a Sentinel, and the server that its agent runs."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from guarita.config.addresses import Address, Addresses, HostPort, Interface, Listen
from guarita.config.store import Password, Section
from guarita.config.values import Directory, InputFile, Name, Seconds, Whole

Role = Literal["service", "agent", "sentinel", "replica", "exporter"]
Fsync = Literal["everysec", "always"]


class NodeUser(Password):
    """One ACL user of the data nodes."""

    username: Name | None = None
    """Its name; without one, `guarita-` and the role."""


class NodeUsers(Section):
    """ACL users of the data nodes, each with the least rights that its role needs; the default
    user is off then. Without them, `store.data.password` is everybody's."""

    service: NodeUser = Field(default_factory=NodeUser)
    """The service: its own keys and channels."""
    agent: NodeUser = Field(default_factory=NodeUser)
    """The nodes' agents."""
    sentinel: NodeUser = Field(default_factory=NodeUser)
    """The Sentinels."""
    replica: NodeUser = Field(default_factory=NodeUser)
    """The replicas, at their primary."""
    exporter: NodeUser = Field(default_factory=NodeUser)
    """An exporter of metrics; the one user that may be left out."""

    def by_role(self) -> Mapping[Role, NodeUser]:
        """Those that are set."""
        return dict(self._set())

    def _set(self) -> Iterator[tuple[Role, NodeUser]]:
        roles: tuple[tuple[Role, NodeUser], ...] = (
            ("service", self.service),
            ("agent", self.agent),
            ("sentinel", self.sentinel),
            ("replica", self.replica),
            ("exporter", self.exporter),
        )
        for role, user in roles:
            if user.is_set:
                name = user.username or f"guarita-{role}"
                yield role, user.model_copy(update={"username": name})


class NodeTlsSettings(Section):
    """TLS of the server that the agent runs, and of the agent's HTTP: no other port is open."""

    cert_file: InputFile | None = None
    """PEM file of the server's certificate, which replicas and Sentinels show to others too."""
    key_file: InputFile | None = None
    """PEM file of its key, without a passphrase."""
    ca_file: InputFile | None = None
    """PEM file of the authorities that the others' certificates are checked against."""


class NodeSettings(Section):
    """A data node (`guarita node`) or a Sentinel (`guarita sentinel`)."""

    announce: HostPort | None = None
    """`host:port` under which all others reach this data node or this Sentinel."""
    bind: tuple[Interface, ...] = ()
    """Addresses that the server listens at; by default the host of `announce` where that is an
    address, else all."""
    peers: Addresses = ()
    """Every data node as it announces itself; the first is the primary of a first start."""
    agents: Addresses = ()
    """The other data nodes' agents as `host:port`; by default the hosts of `peers` with the port
    of `http`."""
    http: Listen = "127.0.0.1:8300"
    """`host:port` where the agent answers over HTTP: health, metrics, and the other agents."""
    pod: Name | None = None
    """Its pod in Kubernetes, which then bears the label `guarita/role`; pods of the other nodes
    are named like the first part of their hosts."""
    data_dir: Directory = Path("data")
    """Directory of the server's data, configuration and socket."""
    server: Annotated[str, Field(min_length=1)] = "auto"
    """Server program, a name or path; `auto` takes `valkey-server`, else `redis-server`."""
    memory_mb: Whole = Field(0, ge=0)
    """Memory for data, in MiB: past it writes are refused and nothing is evicted; 0: no limit."""
    fsync: Fsync | None = None
    """When the server writes to the disk; by default `always` where `store.durability` is
    `strict`, else `everysec`."""
    priority: Whole = Field(100, ge=1, le=10_000)
    """Rank among replicas that could be promoted: the lowest is preferred."""
    stop_s: Seconds = 25.0
    """Seconds that SIGTERM may take: to hand over, to leave, and to stop the server."""
    down_after_ms: Whole = Field(2000, ge=200, le=600_000)
    """Milliseconds of silence after which a Sentinel takes a node for dead."""
    failover_timeout_ms: Whole = Field(3000, ge=1000, le=3_600_000)
    """Milliseconds for a failover; after twice that, a failed one is tried again."""
    parallel_syncs: Whole = Field(2, ge=1, le=1000)
    """Replicas that may be pointed at a new primary at once."""
    quorum: Annotated[Whole, Field(ge=1)] | None = None
    """Sentinels that must take the primary for dead; by default their majority."""
    users: NodeUsers = Field(default_factory=NodeUsers)
    tls: NodeTlsSettings = Field(default_factory=NodeTlsSettings)

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Where the server listens."""
        if self.bind or self.announce is None:
            return self.bind or ("*", "-::*")
        try:
            return (str(ipaddress.ip_address(self.announce.host)),)
        except ValueError:
            return ("*", "-::*")

    @property
    def other_agents(self) -> tuple[Address, ...]:
        """The agents of the data nodes but this one's."""
        port = Address.parse(self.http).port
        others = (peer for peer in self.peers if peer != self.announce)
        return self.agents or tuple(Address(peer.host, port) for peer in others)
