"""What all installations in containers share: start, faults, and an end that leaves nothing."""

from __future__ import annotations

import json
import secrets
import subprocess
import tempfile
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from guarita.config import Durability
from guarita.errors import TopologyError
from guarita.processes import Condition, wait_until
from guarita.testing import engine
from guarita.testing.client import Client
from guarita.testing.document import IMAGE, Layout, Place, Secrets, document
from guarita.testing.faults import Faults
from guarita.topology.local.ports import free_ports

if TYPE_CHECKING:
    from testcontainers.compose import DockerCompose

READY_S = 90.0
MOST_SERVICES = 20  # they have so many addresses
_DRAWS = 3
_TAKEN = ("port is already allocated", "address already in use", "Pool overlaps")


class Installation(Faults):
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
        are the sites that may show the frame, `settings` more variables of the service.
        Raises `ValueError`."""
        if durability not in map(str, Durability):
            told = ", ".join(map(str, Durability))
            raise ValueError(f"durability must be one of {told}, and is {durability}")
        if not 1 <= services <= MOST_SERVICES:
            raise ValueError(f"services must be 1 to {MOST_SERVICES}, and is {services}")
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

    def form(self) -> None:
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
            raise TopologyError(
                f"the installation was not well within {timeout_s:g} s: {obstacle}"
                f"{self._last_words(obstacle)}"
            )

    def obstacle(self) -> str | None:
        """Why it is not well, in words; None where it is."""
        try:
            return self._dead() or self.problem() or self._trouble()
        except (redis.RedisError, OSError) as exc:
            return f"a node does not answer ({exc})"
        except TopologyError as exc:
            return str(exc)

    def _last_words(self, obstacle: str) -> str:
        """Of the container that is in the way."""
        name = obstacle.partition(" ")[0]
        said = self.logs(name).split("\n") if name in self.layout.everybody else []
        last = next((each for each in reversed(said) if each.strip()), None)
        return f"; it said last: {last.strip()}" if last else ""

    def _dead(self) -> str | None:
        found = engine.look(self.project)
        for name in self.layout.everybody:
            how = found[self.container(name)].condition
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

    # For drills

    def volume(self, name: str) -> Path:
        """Where the small disk of a data node is on the engine's machine."""
        volume = f"{self.project}_{name}"
        return Path(engine.docker("volume", "inspect", "--format", "{{.Mountpoint}}", volume))

    def change_password(self, password: str) -> None:
        """What agents and services read from now on; the servers know it already."""
        self.secrets = replace(self.secrets, password=password)
        self._write_password()

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
