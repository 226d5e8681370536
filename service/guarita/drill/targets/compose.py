"""An installation of containers, as `guarita.testing` has compose start it."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis

from guarita import __version__
from guarita.drill.clock import rest
from guarita.drill.faults.release import NO_RELEASE
from guarita.drill.history import Sample
from guarita.drill.scenarios import Scenario
from guarita.drill.targets.base import Power, Shape, Spoilt, Terms
from guarita.drill.targets.links import Links, without_loss
from guarita.drill.targets.nodes import heard, held_back_s, sample_of
from guarita.drill.targets.slow import load_arguments
from guarita.drill.workload.load import Place
from guarita.errors import TopologyError
from guarita.processes import Condition
from guarita.testing import ClusterInstallation, Installation, SentinelInstallation, engine
from guarita.testing.document import IMAGE, inner_port
from guarita.topology.helm import Release
from guarita.topology.local.nodes import NodeKind

SAMPLE_S = 0.3
SLACK_S = 1.0  # down-after is 2000 ms here, as in the kits, and 1000 on a local installation
SERVICES = 2
DISK_MB = 24
_NOT_THERE = {
    "D17": "its nodes speak no TLS",
    "D27": "it is one region",
}
_SIGNAL_SERVER = """
import os, pathlib, sys
for path in pathlib.Path("/proc").glob("[0-9]*/comm"):
    try:
        if path.read_text().strip().startswith(("valkey-", "redis-")):
            os.kill(int(path.parent.name), int(sys.argv[1]))
    except OSError:
        pass
"""
_SLOW_SERVER = """#!/bin/sh
server=$(command -v valkey-server || command -v redis-server)
case "$*" in *--sentinel*|--version) exec "$server" "$@";; esac
exec "$server" "$@" {arguments}
"""
_KILL, _STOP, _CONT = 9, 19, 18  # of Linux, whatever this machine is


@dataclass(frozen=True, slots=True)
class _Node:
    name: str
    kind: NodeKind


def lacking(scenario: Scenario) -> str | None:
    """Why it does not apply to containers, in words; None where it does."""
    if reason := _NOT_THERE.get(scenario.id):
        return reason
    shape = scenario.shape
    if shape.topology == "sentinel" and not shape.agents:
        return "its nodes run under their agents"
    if shape.load_key_us and (reason := _without_files()):
        return reason
    if shape.small_disk and (_without_files() or os.geteuid() != 0):
        return "only root on the engine's own machine can fill the small disks of its containers"
    target = ComposeTarget.of(Path(), shape, IMAGE)
    return next((reason for each in scenario.faults if (reason := each.lacks(target))), None)


def layout_settings(terms: Terms) -> dict[str, str]:
    """Variables of a service on which nothing expires while a drill is played."""
    return {
        "GUARITA_SESSIONS__MAX_SESSIONS": "0",
        "GUARITA_SESSIONS__TICKET_TTL_S": str(terms.ticket_ttl_s),
        "GUARITA_SESSIONS__SESSION_TTL_S": str(terms.session_ttl_s),
        "GUARITA_SESSIONS__REPLAY_WINDOW_S": str(terms.replay_window_s),
        "GUARITA_SESSIONS__CACHE_AGE_S": str(terms.cache_age_s),
        "GUARITA_LOGS__LEVEL": "warning",
    }


class ComposeTarget:
    """See `guarita.drill.targets.base.Target`."""

    name = "compose"
    slack_s = SLACK_S
    was_there = False
    options = "--target compose"

    def __init__(self, installation: Installation, shape: Shape) -> None:
        self.installation = installation
        self.shape = shape
        self._links = Links(installation)

    @classmethod
    def of(cls, directory: Path, shape: Shape, image: str) -> ComposeTarget:
        """One that is not started yet; its nodes' files will be in the directory."""
        kind = ClusterInstallation if shape.topology == "cluster" else SentinelInstallation
        installation = kind(
            image,
            services=SERVICES,
            durability=str(shape.durability),
            settings=layout_settings(Terms()),
        )
        broken = ("python3", "-m", "guarita.drill.broken", str(shape.breakage))
        installation.layout = replace(
            installation.layout,
            sentinels=shape.sentinels,
            users=shape.users,
            entrypoint=broken if shape.breakage else (),
            directory=directory.absolute() if _without_files() is None else None,
            user=f"{os.getuid()}:{os.getgid()}" if _without_files() is None else "",
            small_disk_mb=DISK_MB if shape.small_disk else 0,
            server="/run/server/server" if shape.load_key_us else "auto",
        )
        return cls(installation, shape)

    # Start and end

    def start(self) -> None:
        self._make_directories()
        self.installation.start()

    def restore(self) -> None:
        self.mend()
        self.installation.heal()

    def end(self) -> None:
        self.installation.end()

    def lacks(self, power: Power) -> str | None:
        match power:
            case Power.FILES | Power.PASSWORDS:
                return _without_files()
            case Power.LOSE:
                return without_loss()
            case Power.CERTIFICATES:
                return "its nodes speak no TLS"
            case Power.NAMES:
                return "names stand in /etc/hosts of its containers, so nothing is resolved"
            case Power.NEIGHBOUR:
                return "the addresses of its containers are fixed"
            case Power.AGENTS:
                return None if self.sentinels else "nodes run without agents here"
            case Power.RELEASE:
                return NO_RELEASE
        return None

    @property
    def terms(self) -> Terms:
        return Terms()

    @property
    def api_key(self) -> str:
        return self.installation.api_key

    # Who is who

    @property
    def places(self) -> Sequence[Place]:
        at = self.installation
        return [Place(name, "127.0.0.1", at.port(name)) for name in at.services]

    @property
    def nodes(self) -> tuple[str, ...]:
        return self.installation.nodes

    @property
    def sentinels(self) -> tuple[str, ...]:
        return self.installation.sentinels

    def primary(self) -> str:
        return self.installation.primary()

    def replicas(self) -> tuple[str, ...]:
        return self.installation.replicas()

    def address(self, name: str) -> tuple[str, int]:
        return (name, inner_port(name))

    def versions(self) -> dict[str, str]:
        told = {"guarita": __version__, "docker": engine.version()}
        with self.installation.connect(self.nodes[0]) as client:
            info = client.info("server")
        for server in ("valkey", "redis"):
            if version := info.get(f"{server}_version"):
                return {**told, server: str(version)}
        return told

    # How it is

    def obstacle(self) -> str | None:
        return self.installation.obstacle()

    def wait_settled(self) -> None:
        self.installation.wait_well()
        for name in self.sentinels:
            now = datetime.now(UTC).replace(tzinfo=None)  # as a container logs
            rest(held_back_s(self.log(name), now))

    def watcher(self, name: str) -> Callable[[int], Sample]:
        node = _Node(name, "sentinel" if name in self.sentinels else "data")
        client = self.installation.connect(name, timeout_s=SAMPLE_S)
        names = {
            (host, inner_port(each)): each
            for each in (*self.nodes, *self.sentinels)
            for host in (each, self.installation.place.address(each))
        }
        return lambda at_us: sample_of(client, node, names, at_us)

    def condition(self, name: str) -> Condition:
        return self.installation.condition(name)

    def hear(self, event: str) -> AbstractContextManager[Callable[[], bool]]:
        return heard([self.installation.connect(name) for name in self.sentinels], event)

    def log(self, name: str) -> str:
        return self.installation.logs(name)

    # What can be done to it

    def command(self, name: str, *words: str | int, timeout_s: float = 1.0) -> Any:
        try:
            with self.installation.connect(name, timeout_s=timeout_s) as client:
                return client.execute_command(*words)
        except (redis.RedisError, OSError) as exc:
            raise TopologyError(f"{name} did not do {words[0]}: {exc}") from exc

    def kill(self, name: str, *, server_only: bool = False) -> None:
        if server_only:
            self._signal_server(name, _KILL)
        else:
            self.installation.kill(name)

    def pause(self, name: str, *, server_only: bool = False) -> None:
        if server_only:
            self._signal_server(name, _STOP)
        else:
            self.installation.pause(name)

    def resume(self, name: str, *, server_only: bool = False) -> None:
        if server_only:
            self._signal_server(name, _CONT)
        else:
            self.installation.resume(name)

    def terminate(self, name: str, *, within_s: float = 40.0) -> float:
        began_s = time.monotonic()
        self.installation.stop(name, within_s=within_s)
        took_s = time.monotonic() - began_s
        if took_s >= within_s:  # Docker killed it then
            raise TopologyError(f"{name} was not gone {within_s:g} s after SIGTERM")
        return took_s

    def start_node(self, name: str) -> None:
        self.installation.start_again(name)
        self._links.cut_again(name)

    def directory(self, name: str) -> Path:
        directory = self.installation.layout.directory
        if directory is None:
            raise TopologyError(str(_without_files()))
        if self.installation.layout.small_disk_mb:
            return self.installation.volume(name)
        return directory / name

    def drop_sentinels(self, count: int) -> None:
        gone = self.sentinels[-count:]
        at = self.installation
        at.remove(*gone)
        at.layout = replace(at.layout, sentinels=at.layout.sentinels - count)
        for name in (*self.sentinels, *self.nodes):
            at.apply([name])
            at.wait_well()

    def change_password(self, password: str) -> None:
        self.installation.change_password(password)

    def change_certificates(self) -> Callable[[], bool]:
        raise TopologyError(str(self.lacks(Power.CERTIFICATES)))

    def cut(self, some: Iterable[str], others: Iterable[str], *, one_way: bool = False) -> str:
        self._links.cut(some, others, one_way=one_way)
        return "frames go to a station that is not there"

    def slow(
        self, some: Iterable[str], others: Iterable[str], *, loss_percent: int, delay_ms: int
    ) -> str | None:
        self._links.lose(some, others, percent=loss_percent, delay_ms=delay_ms)
        return None

    def lost_packets(self) -> int:
        return self._links.lost_packets

    def spoil_names(self, how: Spoilt) -> None:  # noqa: ARG002
        raise TopologyError(str(self.lacks(Power.NAMES)))

    def swap_addresses(self, who: Sequence[str]) -> None:  # noqa: ARG002
        raise TopologyError(str(self.lacks(Power.NEIGHBOUR)))

    def mingled(self) -> Mapping[str, int]:
        raise TopologyError(str(self.lacks(Power.NEIGHBOUR)))

    def release(self) -> Release:
        raise TopologyError(str(self.lacks(Power.RELEASE)))

    def mend(self) -> None:
        self._links.mend()

    # Inside

    def _signal_server(self, name: str, number: int) -> None:
        engine.run_inside(self.installation.container(name), _SIGNAL_SERVER, str(number))

    def _make_directories(self) -> None:
        directory = self.installation.layout.directory
        if directory and self.shape.load_key_us:
            path = directory / "server" / "server"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_SLOW_SERVER.format(arguments=load_arguments(self.shape.load_key_us)))
            path.chmod(0o755)
        if directory is None:
            return
        for name in (*self.nodes, *self.sentinels):
            path = directory / name
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)


def _without_files() -> str | None:
    """Why the files of containers are out of reach, in words."""
    if platform.system() != "Linux" or not engine.is_here():
        return "the files of its containers are on another machine"
    return None
