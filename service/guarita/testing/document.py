"""What compose is to start, as a document of its own: services and nodes of one installation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from guarita.testing.engine import OWNER

IMAGE = "guarita:latest"
PRIMARY_NAME = "guarita"
SERVICE_PORT, DATA_PORT, SENTINEL_PORT, AGENT_PORT = 8000, 6379, 26379, 8300
STOP_S = 25
_PORTS = {"service": SERVICE_PORT, "node": DATA_PORT, "sentinel": SENTINEL_PORT}
_FIRST_ADDRESS = {"node": 11, "service": 31, "sentinel": 51}
# The server, whichever the image has, in place of this process. Its password is in a file that it
# alone reads: arguments stand in every list of processes.
RUN_SERVER = """
import os, sys, tempfile
from guarita.servers import find_server
path = find_server(None).path
password = os.environ.pop("PASSWORD")
descriptor, file = tempfile.mkstemp(suffix=".conf")
with open(descriptor, "w") as lines:
    print("requirepass", password, file=lines)
    print("masterauth", password, file=lines)
os.execv(path, [path, file, *sys.argv[1:]])
"""


@dataclass(frozen=True, slots=True)
class Layout:
    """An installation: who there is, from which images, and under which settings."""

    topology: str
    image: str = IMAGE
    node_image: str = IMAGE
    services: int = 1
    nodes: int = 1
    sentinels: int = 0
    durability: str = "balanced"
    down_after_ms: int = 2000
    origins: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    """More variables of the service."""
    users: bool = False
    """Each role is an ACL user with the least rights, and the default user is off."""
    entrypoint: tuple[str, ...] = ()
    """Of the service, where it is not the image's own."""
    directory: Path | None = None
    """Where the nodes' files lie on this machine, and the password; without it, in volumes of
    the engine and in variables."""
    small_disk_mb: int = 0
    """Each data node has a disk of its own of this size, in memory; 0: what the engine has."""
    server: str = "auto"
    """Which program nodes and Sentinels run, as `node.server`."""
    user: str = ""
    """Who runs all of it, where that is not the image's own user."""

    def names(self, kind: str) -> tuple[str, ...]:
        count = {"service": self.services, "node": self.nodes, "sentinel": self.sentinels}[kind]
        return tuple(f"{kind}-{number + 1}" for number in range(count))

    @property
    def data_nodes(self) -> tuple[str, ...]:
        return self.names("node")

    @property
    def disks(self) -> tuple[str, ...]:
        """Who has a small one."""
        return self.data_nodes if self.small_disk_mb else ()

    @property
    def everybody(self) -> tuple[str, ...]:
        return tuple(name for kind in _PORTS for name in self.names(kind))


@dataclass(frozen=True, slots=True)
class Secrets:
    """Made for one installation, and gone with it."""

    api_key: str
    service: str
    password: str
    sentinel_password: str

    def of_role(self, role: str) -> str:
        """The password of an ACL user."""
        return hashlib.sha256(f"{self.password} {role}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is: its project, the first three numbers of its network, and ports of loopback."""

    project: str
    owner: str
    network: str
    ports: Mapping[str, int]

    def address(self, name: str) -> str:
        kind, _, number = name.rpartition("-")
        return f"{self.network}.{_FIRST_ADDRESS[kind] + int(number) - 1}"


def inner_port(name: str) -> int:
    """At which it listens in its container."""
    return _PORTS[name.rpartition("-")[0]]


def document(layout: Layout, secrets: Secrets, place: Place) -> dict[str, Any]:
    """The whole of it, as compose reads it."""
    writer = _Writer(layout, secrets, place)
    return {
        "name": place.project,
        "services": {name: writer.container(name) for name in layout.everybody}
        | ({"disks": writer.holder()} if layout.disks else {}),
        "volumes": {name: writer.volume() for name in layout.disks},
        "networks": {
            "guarita": {
                "ipam": {"config": [{"subnet": f"{place.network}.0/24"}]},
                "labels": {OWNER: place.owner},
            }
        },
    }


class _Writer:
    def __init__(self, layout: Layout, secrets: Secrets, place: Place) -> None:
        self._layout = layout
        self._secrets = secrets
        self._place = place
        # Names stand in /etc/hosts: Docker's own DNS forgets that of a container that is stopped.
        # Two of them, since Docker takes a line with the name of a service alone away when the
        # container leaves its network.
        self._hosts = [f"{name} {name}.guarita:{place.address(name)}" for name in layout.everybody]

    def container(self, name: str) -> dict[str, Any]:
        kind = name.rpartition("-")[0]
        special = {
            "service": self._service,
            "node": self._node,
            "sentinel": self._sentinel,
        }[kind](name)
        environment = special.pop("environment", {})
        return {
            "image": self._layout.image if kind == "service" else self._layout.node_image,
            **({"user": self._layout.user} if self._layout.user else {}),
            "init": True,  # the first process of a container is deaf to SIGTERM until it listens
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges:true"],
            "tmpfs": ["/tmp:mode=1777,size=64m"],  # noqa: S108 - of the container
            "extra_hosts": self._hosts,
            "labels": {OWNER: self._place.owner},
            "ports": [f"127.0.0.1:{self._place.ports[name]}:{inner_port(name)}"],
            "networks": {"guarita": {"ipv4_address": self._place.address(name)}},
            "stop_grace_period": f"{STOP_S + 5}s",
            "healthcheck": {"disable": True},  # whoever waits asks by himself, and more often
            # Compose looks for variables of its own behind a dollar.
            "environment": {key: value.replace("$", "$$") for key, value in environment.items()},
            **special,
        }

    def volume(self) -> dict[str, Any]:
        """A small disk: https://docs.docker.com/engine/storage/volumes/ (driver `local`)."""
        size = f"size={self._layout.small_disk_mb}m"
        options = {"type": "tmpfs", "device": "tmpfs", "o": f"{size},mode=1777"}
        return {"driver": "local", "driver_opts": options, "labels": {OWNER: self._place.owner}}

    def holder(self) -> dict[str, Any]:
        """Has the small disks as well: one in memory is gone with the last who has it, and a node
        whose disk is full may end and be started again."""
        return {
            "image": self._layout.node_image,
            "entrypoint": ["python3", "-c", "import signal; signal.pause()"],
            "init": True,
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges:true"],
            "network_mode": "none",
            "healthcheck": {"disable": True},
            "labels": {OWNER: self._place.owner},
            "volumes": [f"{name}:/disks/{name}:ro" for name in self._layout.disks],
        }

    # The service

    def _service(self, name: str) -> dict[str, Any]:  # noqa: ARG002 - all are alike
        tenant = {
            "name": "testing",
            "key_sha256": hashlib.sha256(self._secrets.api_key.encode()).hexdigest(),
            "origins": list(self._layout.origins),
        }
        entrypoint = {"entrypoint": list(self._layout.entrypoint)}
        return {
            "command": ["serve"],
            **(entrypoint if self._layout.entrypoint else {}),
            "volumes": self._passwords(),
            "environment": {
                **self._store(),
                **self._data_user("service"),
                "GUARITA_SERVER__BIND": f"0.0.0.0:{SERVICE_PORT}",
                "GUARITA_SERVER__WORKERS": "1",
                "GUARITA_SECURITY__SECRET": self._secrets.service,
                "GUARITA_SECURITY__TENANTS": json.dumps([tenant]),
                "GUARITA_LOGS__FORMAT": "json",
                **self._layout.settings,
            },
        }

    def _store(self) -> dict[str, str]:
        layout, nodes = self._layout, _addresses(self._layout.data_nodes)
        common = {
            "GUARITA_STORE__TOPOLOGY": layout.topology,
            "GUARITA_STORE__DURABILITY": layout.durability,
        }
        match layout.topology:
            case "sentinel":
                return {
                    **common,
                    "GUARITA_STORE__DATA_NODES": nodes,
                    "GUARITA_STORE__SENTINEL__PRIMARY_NAME": PRIMARY_NAME,
                    "GUARITA_STORE__SENTINEL__NODES": _addresses(layout.names("sentinel")),
                    "GUARITA_STORE__SENTINEL__PASSWORD": self._secrets.sentinel_password,
                }
            case "cluster":
                return {**common, "GUARITA_STORE__CLUSTER__NODES": nodes}
        return {
            **common,
            "GUARITA_STORE__STANDALONE__HOST": layout.data_nodes[0],
            "GUARITA_STORE__STANDALONE__PORT": str(DATA_PORT),
        }

    def _data_user(self, role: str) -> dict[str, str]:
        if not self._layout.users and self._layout.directory:
            return {"GUARITA_STORE__DATA__PASSWORD_FILE": "/run/passwords/data"}
        if not self._layout.users:
            return {"GUARITA_STORE__DATA__PASSWORD": self._secrets.password}
        return {
            "GUARITA_STORE__DATA__USERNAME": f"guarita-{role}",
            "GUARITA_STORE__DATA__PASSWORD": self._secrets.of_role(role),
        }

    # Nodes

    def _node(self, name: str) -> dict[str, Any]:
        if self._layout.topology == "sentinel":
            return self._agent(name, "node")
        cluster = _CLUSTER if self._layout.topology == "cluster" else ()
        words = [*_SERVER, *cluster]
        if cluster:
            words += ["--cluster-announce-ip", self._place.address(name)]
        return {
            "entrypoint": ["python3", "-c", RUN_SERVER],
            "command": words,
            "environment": {"PASSWORD": self._secrets.password},
            **self._data(name),
        }

    def _sentinel(self, name: str) -> dict[str, Any]:
        return self._agent(name, "sentinel")

    def _agent(self, name: str, command: str) -> dict[str, Any]:
        return {
            "command": [command],
            "environment": {
                **self._store(),
                **({} if self._layout.users else self._data_user("")),
                **self._users(),
                "GUARITA_NODE__ANNOUNCE": f"{name}:{inner_port(name)}",
                "GUARITA_NODE__PEERS": _addresses(self._layout.data_nodes),
                "GUARITA_NODE__HTTP": f"0.0.0.0:{AGENT_PORT}",
                "GUARITA_NODE__DOWN_AFTER_MS": str(self._layout.down_after_ms),
                "GUARITA_NODE__SERVER": self._layout.server,
                "GUARITA_NODE__STOP_S": str(STOP_S),
                "GUARITA_LOGS__FORMAT": "json",
            },
            **self._data(name),
        }

    def _users(self) -> dict[str, str]:
        roles = ("service", "agent", "sentinel", "replica") if self._layout.users else ()
        return {
            f"GUARITA_NODE__USERS__{role.upper()}__PASSWORD": self._secrets.of_role(role)
            for role in roles
        }

    def _data(self, name: str) -> dict[str, Any]:
        directory = self._layout.directory
        if name in self._layout.disks:
            return {"volumes": [f"{name}:/data", *self._passwords()]}
        if directory is None:
            return {"volumes": ["/data"]}
        mounts = [f"{directory / name}:/data", *self._passwords()]
        if self._layout.server != "auto":
            mounts.append(f"{directory / 'server'}:/run/server:ro")
        return {"volumes": mounts}

    def _passwords(self) -> list[str]:
        directory = self._layout.directory
        return [f"{directory / 'passwords'}:/run/passwords:ro"] if directory else []


_SERVER = (
    *("--dir", "/data", "--port", str(DATA_PORT), "--save", ""),
    *("--appendonly", "yes", "--appendfsync", "everysec"),
    *("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"),
)
_CLUSTER = (
    *("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"),
    *("--cluster-node-timeout", "2000", "--cluster-replica-validity-factor", "0"),
)


def _addresses(names: Sequence[str]) -> str:
    return ",".join(f"{name}:{inner_port(name)}" for name in names)
