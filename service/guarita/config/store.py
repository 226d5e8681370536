"""The sections of `store`: how Guarita reaches the servers that keep the tickets."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from guarita.config.addresses import Addresses, Host, Port
from guarita.config.values import (
    InputFile,
    Name,
    OutputFile,
    Seconds,
    SecretFile,
    Switch,
    Whole,
    read_secret_file,
)


class Section(BaseModel):
    """A part of the settings: frozen, and strict about names."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        protected_namespaces=(),
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_means_defaults(cls, data: Any) -> Any:
        """`tls:` with nothing under it is YAML's null."""
        return {} if data is None else data


class Topology(StrEnum):
    """How the servers stand to each other."""

    MEMORY = "memory"
    STANDALONE = "standalone"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


class Durability(StrEnum):
    """Who must have a write before it is acknowledged."""

    STRICT = "strict"
    BALANCED = "balanced"
    FAST = "fast"


class TlsSettings(Section):
    """TLS to the servers. Certificates are always checked against the authorities."""

    enabled: Switch = False
    """Whether to speak TLS."""
    ca_file: InputFile | None = None
    """PEM file of the authorities to trust; without it, those of the system."""
    cert_file: InputFile | None = None
    """PEM file of the client certificate, where the servers ask for one; with `key_file`."""
    key_file: InputFile | None = None
    """PEM file of the client certificate's key, without a passphrase; with `cert_file`."""
    verify_names: Switch = True
    """Whether the certificate must name the host that was dialled."""


class Password(Section):
    """A password, in the settings or in a file."""

    password: SecretStr | None = Field(None, min_length=1)
    """Password; better in `password_file` or in the environment than in this file."""
    password_file: SecretFile | None = None
    """File that holds the password in its only line; read again for each new client."""

    @property
    def is_set(self) -> bool:
        """Whether there is a password."""
        return self.password is not None or self.password_file is not None

    def current_password(self) -> str | None:
        """The password, from the file as it is now. Raises `ValueError` if that is gone."""
        if self.password_file is not None:
            return read_secret_file(self.password_file)
        return self.password.get_secret_value() if self.password is not None else None

    def accepted_passwords(self) -> tuple[str, ...]:
        """Those that a server of ours takes: the password, and while it is being changed the ones
        in files beside `password_file` that are named like it and end in `-next` or `-previous`.

        Raises `ValueError` if a file is gone, or there and wrong.
        """
        found = [self.current_password()]
        if (file := self.password_file) is not None:
            beside = (file.with_name(f"{file.name}-{which}") for which in ("next", "previous"))
            found += [read_secret_file(each) for each in beside if each.exists()]
        return tuple(dict.fromkeys(password for password in found if password))


class Credentials(Password):
    """Who Guarita is to a server, and how the connection is protected."""

    username: str | None = Field(None, min_length=1)
    """ACL user; without it, the default user."""
    tls: TlsSettings = Field(default_factory=TlsSettings)


class StandaloneSettings(Section):
    """One server. Used with `topology: standalone`."""

    host: Host = "localhost"
    """Its name or address."""
    port: Port = 6379
    """Its port."""


class SentinelSettings(Credentials):
    """The Sentinels, which know the primary. Used with `topology: sentinel`."""

    primary_name: Name = "guarita"
    """The name under which the Sentinels watch the primary."""
    nodes: Addresses = ()
    """Every Sentinel as `host:port`."""
    timeout_s: Seconds = 0.2
    """Seconds to wait for a connection to a Sentinel and for each answer; all are asked at once."""


class ClusterSettings(Section):
    """A Redis or Valkey Cluster. Used with `topology: cluster`."""

    nodes: Addresses = ()
    """Some of its nodes as `host:port`; the others are learned from them. `guarita cluster form`
    needs every node, the first primaries first."""
    replicas: Whole = Field(1, ge=1, le=10)
    """Replicas of each primary; `guarita cluster form` alone asks for it."""


class DataSettings(Credentials):
    """The data nodes of every topology: credentials, database and TLS."""

    db: Whole = Field(0, ge=0)
    """Database number; a Cluster has only 0."""


class StoreSettings(Section):
    """Where tickets are kept, and how long a request waits for it."""

    topology: Topology = Topology.STANDALONE
    """`memory` keeps tickets in the process: for development, with one worker."""
    durability: Durability = Durability.BALANCED
    """Who must have a write before it is acknowledged: every replica that could be promoted
    (`balanced`), every data node always (`strict`), nobody but the primary (`fast`)."""
    data_nodes: Addresses = ()
    """Every data node as the servers announce it, `host:port`; `strict` requires these, and
    without them those that were ever seen."""
    hosts_file: OutputFile | None = None
    """A hosts file, usually `/etc/hosts`, in which this process keeps the addresses of all nodes'
    names: nobody waits for a name server then."""
    deadline_s: Seconds = 10.0
    """Seconds that one request may wait for the store, retries and failover included."""
    max_waiting: Whole = Field(10_000, ge=1)
    """Requests of one process that may wait for the store at once; the next one gets 503."""
    connect_timeout_s: Seconds = 0.5
    """Seconds to wait for one connection."""
    io_timeout_s: Seconds = 1.0
    """Seconds to wait for one answer on a connection."""
    standalone: StandaloneSettings = Field(default_factory=StandaloneSettings)
    sentinel: SentinelSettings = Field(default_factory=SentinelSettings)
    cluster: ClusterSettings = Field(default_factory=ClusterSettings)
    data: DataSettings = Field(default_factory=DataSettings)
