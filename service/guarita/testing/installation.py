"""What all installations in containers share: start, faults, and an end that leaves nothing."""

from __future__ import annotations

import json
import secrets
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from guarita.errors import TopologyError
from guarita.processes import Condition, wait_until
from guarita.testing import engine
from guarita.testing.client import Client
from guarita.testing.document import IMAGE, Layout, Place, Secrets, document
from guarita.topology.local.ports import free_ports

if TYPE_CHECKING:
    from testcontainers.compose import DockerCompose

READY_S = 90.0
GONE_S = 40.0
_DRAWS = 3
_TAKEN = ("port is already allocated", "address already in use", "Pool overlaps")


class Installation(ABC):
    """An installation in containers; as a context manager it is well inside, and gone after.

    What is published is published on 127.0.0.1. Faults name a container of `nodes`, `sentinels`
    or `services`, and last until `heal`. All raise `TopologyError` with a sentence; where there is
    no engine or image that is its kind `guarita.testing.engine.Unavailable`.
    """

    topology: ClassVar[str]
    data_nodes: ClassVar[int]
    sentinel_nodes: ClassVar[int] = 0

    def __init__(
        self,
        image: str = IMAGE,
        *,
        node_image: str | None = None,
        services: int = 1,
        durability: str = "balanced",
        origins: tuple[str, ...] = (),
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`image` is what all containers run; `node_image`, the nodes and Sentinels. `origins`
        are the sites that may show the frame, `settings` more variables of the service."""
        self.layout = Layout(
            self.topology,
            image,
            node_image or image,
            services=services,
            nodes=self.data_nodes,
            sentinels=self.sentinel_nodes,
            durability=durability,
            origins=origins,
            settings=settings or {},
        )
        self.secrets = Secrets(*(secrets.token_urlsafe(32) for _ in range(4)))
        self.project = f"guarita-{self.topology}-{secrets.token_hex(4)}"
        self._place: Place | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    # What the kinds differ in

    @abstractmethod
    def primary(self) -> str:
        """The data node that takes writes; of a Cluster, that of the first slot."""

    @abstractmethod
    def switchover(self) -> str:
        """Have another data node take over, as planned; returns its name."""

    @abstractmethod
    def problem(self) -> str | None:
        """What is missing between nodes that all answer, in words; None when nothing is."""

    def form(self) -> None:  # noqa: B027 - most know each other by their configuration
        """Make one installation of nodes that were just started."""

    # Who is who

    @property
    def url(self) -> str:
        """Of the first service."""
        return self.urls[0]

    @property
    def urls(self) -> tuple[str, ...]:
        """Of every service."""
        return tuple(f"http://127.0.0.1:{self.port(name)}" for name in self.services)

    @property
    def api_key(self) -> str:
        """With it, tickets are made."""
        return self.secrets.api_key

    @property
    def services(self) -> tuple[str, ...]:
        return self.layout.names("service")

    @property
    def nodes(self) -> tuple[str, ...]:
        return self.layout.data_nodes

    @property
    def sentinels(self) -> tuple[str, ...]:
        return self.layout.names("sentinel")

    def replicas(self) -> tuple[str, ...]:
        """The data nodes that are not the primary."""
        primary = self.primary()
        return tuple(name for name in self.nodes if name != primary)

    def client(self, service: int = 0) -> Client:
        """A client of a service, with the API key."""
        return Client(self.urls[service], self.api_key)

    def port(self, name: str) -> int:
        """Of 127.0.0.1."""
        ports = self.place.ports
        if name not in ports:
            raise TopologyError(f"there is no {name} here, only {', '.join(ports)}")
        return ports[name]

    def connect(self, name: str, *, timeout_s: float = 1.0) -> redis.Redis:
        """A connection to a data node or Sentinel, without retries; to be closed by the caller."""
        password, user = self.secrets.password, None
        if name in self.sentinels:
            password = self.secrets.sentinel_password
        elif self.layout.users:
            password, user = self.secrets.of_role("agent"), "guarita-agent"
        return redis.Redis(
            host="127.0.0.1",
            port=self.port(name),
            username=user,
            password=password,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )

    def logs(self, name: str | None = None) -> str:
        """What a container has written, or all of them."""
        if name is not None:
            return self._said(self.container(name))
        return "\n".join(f"== {each}\n{self.logs(each)}" for each in self.layout.everybody)

    def condition(self, name: str) -> Condition:
        return engine.condition(self.container(name))

    def container(self, name: str) -> str:
        """What Docker calls it."""
        return f"{self.project}-{name}-1"

    @property
    def place(self) -> Place:
        if self._place is None:
            raise TopologyError("the installation was not started: use it as a context manager")
        return self._place

    # Start and end

    def start(self) -> None:
        """Start it, and return when it is well."""
        engine.check(self.layout.image, self.layout.node_image)
        engine.sweep()
        for draw in range(1, _DRAWS + 1):
            self._place = self._draw_place()
            try:
                self.apply()
                break
            except TopologyError as exc:  # somebody else was faster
                if draw == _DRAWS or not any(words in str(exc) for words in _TAKEN):
                    raise
                engine.remove(self.project)
        self.form()
        self.wait_well()

    def apply(self, services: list[str] | None = None) -> None:
        """Have compose start these, or everybody, as the layout says; what has not changed is
        left alone."""
        compose_of = _compose()
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory(prefix="guarita-")
        self._write_password()
        path = Path(self._directory.name, "compose.json")
        path.touch(mode=0o600)
        path.write_text(json.dumps(document(self.layout, self.secrets, self.place)))
        try:
            compose_of(path.parent, path.name, wait=False, services=services).start()
        except subprocess.CalledProcessError as exc:
            reason = (exc.stderr.decode(errors="replace").strip().splitlines() or ["?"])[-1]
            raise TopologyError(f"compose could not start the installation: {reason}") from exc

    def end(self) -> None:
        """Remove all of it; repeatable."""
        if self._place is not None:
            engine.remove(self.project)
            self._place = None
        if self._directory is not None:
            self._directory.cleanup()
            self._directory = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    # How it is

    def wait_well(self, timeout_s: float = READY_S) -> None:
        """Return when every container runs, is linked and takes writes."""
        if not wait_until(lambda: self.obstacle() is None, timeout_s=timeout_s, pause_s=0.1) and (
            obstacle := self.obstacle()
        ):
            raise TopologyError(f"the installation was not well within {timeout_s:g} s: {obstacle}")

    def obstacle(self) -> str | None:
        """Why it is not well, in words; None where it is."""
        try:
            return self._dead() or self.problem() or self._trouble()
        except (redis.RedisError, OSError) as exc:
            return f"a node does not answer ({exc})"
        except TopologyError as exc:
            return str(exc)

    def _dead(self) -> str | None:
        found = engine.conditions(self.project)
        for name in self.layout.everybody:
            how = found.get(self.container(name), Condition.DEAD)
            if how is not Condition.RUNNING:
                return f"{name} is {how}"
        return None

    def _trouble(self) -> str | None:
        """Of a service with its store."""
        for number, name in enumerate(self.services):
            try:
                answer = self.client(number).call("GET", "/healthz/deep", host=True, timeout_s=5)
            except (OSError, HTTPException) as exc:
                return f"{name} does not answer ({exc})"
            if answer.status != 200:
                return f"{name} cannot write: {answer.body}"
            left_out = [each for told in answer.body["writes"] for each in told["left_out"]]
            if left_out:
                return f"{name} does without {', '.join(left_out)}"
        return None

    # Faults

    def kill_primary(self) -> str:
        """kill -9; returns its name."""
        return self.kill(self.primary())

    def pause_primary(self) -> str:
        """Freeze it; returns its name."""
        return self.pause(self.primary())

    def stop_primary(self) -> str:
        """SIGTERM, as `docker stop` sends it; returns its name when it is gone."""
        return self.stop(self.primary())

    def isolate_primary(self) -> str:
        """Take it off the network; returns its name."""
        return self.isolate(self.primary())

    def kill(self, name: str) -> str:
        engine.docker("kill", self.container(name))
        return name

    def pause(self, name: str) -> str:
        engine.docker("pause", self.container(name))
        return name

    def resume(self, name: str) -> str:
        if self.condition(name) is Condition.PAUSED:
            engine.docker("unpause", self.container(name))
        return name

    def stop(self, name: str, *, within_s: float = GONE_S) -> str:
        """SIGTERM; returns when it is gone. After `within_s` seconds it is killed."""
        engine.docker("stop", f"--time={within_s:.0f}", self.container(name))
        return name

    def start_again(self, name: str) -> str:
        """Start a dead one with its data; does nothing where it runs."""
        engine.docker("start", self.container(name))
        return name

    def restart(self, *names: str) -> None:
        """SIGTERM, and start, all at once; without names everything."""
        chosen = names or self.layout.everybody
        every = [self.container(name) for name in chosen]
        engine.docker("restart", f"--time={GONE_S:.0f}", *every, timeout_s=GONE_S * len(every) + 60)

    def remove(self, *names: str) -> None:
        """Take containers away for good, with their data."""
        engine.docker("rm", "--force", "--volumes", *(self.container(name) for name in names))

    def change_password(self, password: str) -> None:
        """What agents and services read from now on; the servers know it already."""
        self.secrets = replace(self.secrets, password=password)
        self._write_password()

    def isolate(self, name: str) -> str:
        engine.docker("network", "disconnect", self._network, self.container(name))
        return name

    def rejoin(self, name: str) -> str:
        """Undo `isolate`; does nothing where it is on the network."""
        if not self._is_joined(name):
            address = self.place.address(name)
            words = ("network", "connect", "--ip", address, self._network)
            engine.docker(*words, self.container(name))
        return name

    def heal(self) -> None:
        """Undo every fault, and return when all is well."""
        found = engine.conditions(self.project)
        for name in self.layout.everybody:
            how = found.get(self.container(name), Condition.DEAD)
            if how is Condition.PAUSED:
                self.resume(name)
            self.rejoin(name)
            if how is Condition.DEAD:
                self.start_again(name)
        self.wait_well()

    def wait_new_primary(self, old: str, *, timeout_s: float = 30.0) -> str:
        """The primary, once it is another one than `old`."""
        found = [old]

        def is_new() -> bool:
            try:
                found[0] = self.primary()
            except (TopologyError, redis.RedisError):
                return False
            return found[0] != old

        if not wait_until(is_new, timeout_s=timeout_s, pause_s=0.05):
            raise TopologyError(f"no other primary than {old} within {timeout_s:g} s")
        return found[0]

    # Inside

    def _write_password(self) -> None:
        """Where it is a file, whole at any time."""
        if self.layout.directory is None:
            return
        path = self.layout.directory / "passwords" / "data"
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        draft.touch(mode=0o600)
        draft.write_text(self.secrets.password + "\n")
        draft.replace(path)

    @property
    def _network(self) -> str:
        return f"{self.project}_guarita"

    def _is_joined(self, name: str) -> bool:
        networks = "{{json .NetworkSettings.Networks}}"
        told = engine.docker("inspect", "--format", networks, self.container(name))
        return self._network in json.loads(told)

    def _said(self, container: str) -> str:
        ended = subprocess.run(  # noqa: S603
            ["docker", "logs", container],  # noqa: S607
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        return ended.stdout

    def _draw_place(self) -> Place:
        names = self.layout.everybody
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        return Place(self.project, engine.owner(), engine.free_network(), ports)

    def named(self, host: str) -> str | None:
        """The container that has this name or address inside; None where that is nobody's."""
        for name in self.layout.everybody:
            if host in (name, self.place.address(name)):
                return name
        return None


def _compose() -> type[DockerCompose]:
    """Raises `Unavailable` without the extra."""
    try:
        from testcontainers.compose import DockerCompose
    except ImportError:
        raise engine.Unavailable(
            "testcontainers is not installed: pip install 'guarita[testing]'"
        ) from None
    return DockerCompose
