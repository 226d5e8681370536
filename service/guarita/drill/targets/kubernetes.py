"""An installation of the chart in a cluster: it runs already, and goes on when the drill ends.

Requests go through its Service; what is broken is broken by kubectl, as its user may.
"""

from __future__ import annotations

import base64
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import redis
import yaml

from guarita import __version__
from guarita.clients import client
from guarita.config import Address, Credentials
from guarita.drill.faults.base import Fault
from guarita.drill.faults.release import OfARelease, Rotation, Upgrade
from guarita.drill.faults.stops import (
    FreezeThenKill,
    Kill,
    KillSeveral,
    Pause,
    PauseSeveral,
    RollingRestart,
    Terminate,
)
from guarita.drill.history import Role, Sample
from guarita.drill.scenarios import DOWN_AFTER_S, Scenario
from guarita.drill.targets.base import Power, Shape, Spoilt, Terms
from guarita.drill.workload.load import Place
from guarita.errors import TopologyError
from guarita.processes import Condition, wait_until
from guarita.topology.helm import CHART, Release, why_no_helm
from guarita.topology.kubernetes import Forwards, Namespace, pod_is_ready

READY_S = 120.0
SAMPLE_S = 0.5
PLACEMENT = ("imagePullSecrets", "nodeSelector", "tolerations", "priorityClassName")
PLAYED: tuple[type[Fault], ...] = (
    Kill,
    KillSeveral,
    Terminate,
    Pause,
    PauseSeveral,
    FreezeThenKill,
    RollingRestart,
    OfARelease,
)
_KILL, _STOP, _CONT = 9, 19, 18  # of Linux, whatever this machine is


def lacking(scenario: Scenario) -> str | None:
    """Why it is not played on an installation in a cluster, in words; None where it is."""
    if scenario.not_here:
        return scenario.not_here
    if scenario.control or scenario.shape != Shape():
        return "an installation in a cluster is taken as it is"
    strange = [each.name for each in scenario.faults if not isinstance(each, PLAYED)]
    if strange:
        return f"{', '.join(strange)} cannot be done in a cluster"
    if any(isinstance(each, Kill) and each.for_s is None for each in scenario.faults):
        return "a pod that is gone is made anew at once"
    return why_no_helm() if upgrades(scenario) else None


def upgrades(scenario: Scenario) -> bool:
    """Whether it needs helm and a chart."""
    return any(isinstance(each, Upgrade | Rotation) for each in scenario.faults)


@dataclass(frozen=True, slots=True)
class _Found:
    """What there is in the namespace."""

    service: str  # name of the Service and the Deployment
    labels: dict[str, str]
    port: int
    image: str
    placement: dict[str, Any]  # of its pods: where they may run, and who may pull the image
    config: dict[str, Any]
    down_after_s: float
    nodes: tuple[str, ...]
    sentinels: tuple[str, ...]
    secret_name: str
    secret: dict[str, str]


class KubernetesTarget:
    """See `guarita.drill.targets.base.Target`."""

    name = "kubernetes"
    was_there = True

    def __init__(self, namespace: str, shape: Shape, chart: Path = CHART) -> None:
        """The installation must be the only one in its namespace; `chart` is what it is upgraded
        with."""
        self.shape = shape
        self._chart = chart
        self.options = f"--target {self.name} --namespace {namespace} --yes-break-it {namespace}"
        if chart != CHART:
            self.options += f" --chart {chart}"
        self._namespace = Namespace(namespace)
        self._found = _find(self._namespace)
        self.slack_s = self._found.down_after_s - DOWN_AFTER_S
        self._stack = ExitStack()
        self._forwards = Forwards(self._namespace)
        self._port = 0
        self._paused: set[str] = set()
        sentinel = self._found.config["store"]["sentinel"]
        self._primary_name = str(sentinel["primary_name"])
        addresses = [*self._found.config["store"]["data_nodes"], *sentinel["nodes"]]
        self._by_address = {
            (parsed.host, parsed.port): parsed.host.partition(".")[0]
            for parsed in map(Address.parse, addresses)
        }

    # Start and end

    def start(self) -> None:
        """Looks whether it is well, and finds a way to it."""
        durability = self._found.config["store"]["durability"]
        if durability != self.shape.durability:
            raise TopologyError(
                f"the installation has durability {durability}: add --durability {durability}"
            )
        if "tls" in self._found.config["store"]["sentinel"]:
            raise TopologyError("its servers speak TLS: they cannot be asked from here")
        to = f"{self._found.service}:{self._found.port}"
        labels = self._found.labels | {"app.kubernetes.io/component": "test"}
        name = f"{self._found.service}-drill"
        relayed = self._namespace.relayed(
            name, self._found.image, labels, to, self._found.placement
        )
        self._port = self._stack.enter_context(relayed)
        if not wait_until(lambda: self.obstacle() is None, timeout_s=READY_S, pause_s=0.5):
            raise TopologyError(f"the installation is not well: {self.obstacle()}")

    def end(self) -> None:
        self._forwards.close()
        self._stack.close()

    def restore(self) -> None:
        for name in tuple(self._paused):
            self.resume(name)
        for name in (*self.nodes, *self.sentinels):
            self._namespace.wait_ready(name, READY_S)

    def lacks(self, power: Power) -> str | None:
        match power:
            case Power.CUT:
                return "links are not cut in a cluster"
            case Power.FILES:
                return "the files of its pods are out of reach"
            case Power.NEIGHBOUR:
                return "it knows of no other installation there"
            case Power.LOSE | Power.PASSWORDS | Power.CERTIFICATES | Power.NAMES:
                return "that is not done in a cluster"
        return None

    @property
    def terms(self) -> Terms:
        sessions = self._found.config["sessions"]
        return Terms(
            int(sessions["ticket_ttl_s"]),
            int(sessions["session_ttl_s"]),
            int(sessions["replay_window_s"]),
            float(sessions.get("cache_age_s", 2.0)),
            bool(sessions.get("revoke_on_replay", False)),
        )

    @property
    def api_key(self) -> str:
        keys = [key for key in self._found.secret if key.startswith("api-key-")]
        if not keys:
            raise TopologyError("its Secret holds no API key: give a tenant one without keySha256")
        return self._found.secret[keys[0]]

    # Who is who

    @property
    def places(self) -> Sequence[Place]:
        return [Place("service", "127.0.0.1", self._port)]

    @property
    def nodes(self) -> tuple[str, ...]:
        return self._found.nodes

    @property
    def sentinels(self) -> tuple[str, ...]:
        return self._found.sentinels

    def primary(self) -> str:
        votes = Counter(named for name in self.sentinels if (named := self._named_by(name)))
        named, count = max(votes.items(), key=lambda vote: vote[1], default=("", 0))
        if count <= len(self.sentinels) // 2:
            raise TopologyError("no majority of the Sentinels names a primary")
        return named

    def replicas(self) -> tuple[str, ...]:
        primary = self.primary()
        return tuple(name for name in self.nodes if name != primary)

    def address(self, name: str) -> tuple[str, int]:
        return next(address for address, pod in self._by_address.items() if pod == name)

    def versions(self) -> dict[str, str]:
        told = self._namespace.get("--raw", "/version", raw=True)
        return {"guarita": __version__, "kubernetes": str(told["gitVersion"])}

    # How it is

    def obstacle(self) -> str | None:
        try:
            pods = {pod["metadata"]["name"]: pod for pod in self._namespace.get("pods")["items"]}
            for name in (*self.nodes, *self.sentinels):
                if name not in pods or not pod_is_ready(pods[name]):
                    return f"pod {name} is not ready"
            primary = self.primary()
        except TopologyError as exc:
            return str(exc)
        for name in self.nodes:
            sample = self.watcher(name)(0)
            if name == primary:
                if not sample.writable:
                    return f"{name} takes no writes"
            elif sample.names != primary or not sample.linked:
                return f"{name} does not follow {primary}"
        return None

    def wait_settled(self) -> None:
        # Its passwords may have been changed.
        self._found = replace(self._found, secret=_secret(self._namespace, self._found.secret_name))
        if not wait_until(lambda: self.obstacle() is None, timeout_s=READY_S, pause_s=0.5):
            raise TopologyError(f"the installation is not well: {self.obstacle()}")

    def watcher(self, name: str) -> Callable[[int], Sample]:
        is_sentinel = name in self.sentinels

        def ask(at_us: int) -> Sample:
            try:
                if is_sentinel:
                    named = self._named_by(name)
                    return Sample(at_us, name, Role.SENTINEL, names=named)
                with self._client(name) as asked:
                    return self._sample(at_us, name, asked.info("replication", "persistence"))
            except redis.BusyLoadingError:
                return Sample(at_us, name, Role.LOADING)
            except (redis.RedisError, OSError, TopologyError):
                return Sample(at_us, name, Role.SILENT)

        return ask

    def condition(self, name: str) -> Condition:
        told = self._namespace.run("get", "pod", name, "--ignore-not-found", "--output", "name")
        return Condition.RUNNING if told.strip() else Condition.DEAD

    def hear(self, event: str) -> AbstractContextManager[Callable[[], bool]]:
        raise TopologyError(f"{event}: events are not listened to in a cluster")

    def log(self, name: str) -> str:
        return self._namespace.run("logs", name)

    # What can be done to it

    def command(self, name: str, *words: str | int, timeout_s: float = 1.0) -> Any:
        try:
            with self._client(name, timeout_s) as asked:
                return asked.execute_command(*words)
        except (redis.RedisError, OSError) as exc:
            raise TopologyError(f"{name} did not do {words[0]}: {exc}") from exc

    def kill(self, name: str, *, server_only: bool = False) -> None:
        if server_only:
            self._namespace.signal_server(name, _KILL)
        else:
            self._namespace.kill(name)

    def pause(self, name: str, *, server_only: bool = False) -> None:  # noqa: ARG002
        """The server alone, always: a container's first process takes no signal from inside."""
        self._paused.add(name)
        self._namespace.signal_server(name, _STOP)

    def resume(self, name: str, *, server_only: bool = False) -> None:  # noqa: ARG002
        self._namespace.signal_server(name, _CONT)
        self._paused.discard(name)

    def terminate(self, name: str, *, within_s: float = 60.0) -> float:
        began_s = time.monotonic()
        self._namespace.run("delete", "pod", name, "--wait=true", timeout_s=within_s)
        return time.monotonic() - began_s

    def start_node(self, name: str) -> None:
        """Its StatefulSet does: it is only waited for."""
        self._namespace.wait_ready(name, READY_S)

    def directory(self, name: str) -> Path:  # noqa: ARG002
        raise TopologyError(str(self.lacks(Power.FILES)))

    def drop_sentinels(self, count: int) -> None:
        raise TopologyError(f"scale {count} Sentinels away by helm upgrade")

    def change_password(self, password: str) -> None:  # noqa: ARG002
        raise TopologyError("passwords are changed by helm upgrade")

    def change_certificates(self) -> Callable[[], bool]:
        raise TopologyError(str(self.lacks(Power.CERTIFICATES)))

    def cut(self, some: Iterable[str], others: Iterable[str], *, one_way: bool = False) -> str:  # noqa: ARG002
        raise TopologyError(str(self.lacks(Power.CUT)))

    def slow(
        self,
        some: Iterable[str],  # noqa: ARG002
        others: Iterable[str],  # noqa: ARG002
        *,
        loss_percent: int,  # noqa: ARG002
        delay_ms: int,  # noqa: ARG002
    ) -> str | None:
        raise TopologyError(str(self.lacks(Power.CUT)))

    def spoil_names(self, how: Spoilt) -> None:  # noqa: ARG002
        raise TopologyError(str(self.lacks(Power.NAMES)))

    def swap_addresses(self, who: Sequence[str]) -> None:  # noqa: ARG002
        raise TopologyError(str(self.lacks(Power.NEIGHBOUR)))

    def mingled(self) -> Mapping[str, int]:
        raise TopologyError(str(self.lacks(Power.NEIGHBOUR)))

    def release(self) -> Release:
        return Release(self._namespace, self._found.labels, self._chart)

    def lost_packets(self) -> int:
        """None are lost here."""
        return 0

    def mend(self) -> None:
        """Nothing is cut."""

    # Inside

    def _client(self, name: str, timeout_s: float = SAMPLE_S) -> redis.Redis:
        is_sentinel = name in self.sentinels
        secret = self._found.secret
        username = None if is_sentinel else "guarita-service"
        password = secret["sentinel-password" if is_sentinel else "service-password"]
        as_whom = Credentials.model_validate({"username": username, "password": password})
        port = self._forwards.port(name, 26379 if is_sentinel else 6379)
        return client(("127.0.0.1", port), as_whom, timeout_s, timeout_s)

    def _named_by(self, sentinel: str) -> str | None:
        try:
            with self._client(sentinel) as asked:
                told: Any = asked.sentinel_get_master_addr_by_name(self._primary_name)
        except (redis.RedisError, OSError):
            return None
        return self._by_address.get((told[0].decode(), int(told[1]))) if told else None

    def _sample(self, at_us: int, name: str, info: dict[str, Any]) -> Sample:
        if info["loading"]:
            return Sample(at_us, name, Role.LOADING)
        offset, replid = int(info["master_repl_offset"]), str(info["master_replid"])
        if info["role"] == "master":
            good = int(info.get("min_slaves_good_slaves", 1))
            return Sample(
                at_us, name, Role.PRIMARY, writable=good > 0, offset=offset, replid=replid
            )
        follows = (info["master_host"], int(info["master_port"]))
        return Sample(
            at_us,
            name,
            Role.REPLICA,
            names=self._by_address.get(follows),
            linked=info["master_link_status"] == "up",
            offset=offset,
            replid=replid,
        )


def _find(namespace: Namespace) -> _Found:
    """Raises `TopologyError` where there is none, or more than one."""
    part = "app.kubernetes.io/name=guarita,app.kubernetes.io/component=service"
    deployments = namespace.get("deployments", "--selector", part)["items"]
    if len(deployments) != 1:
        raise TopologyError(
            f"there are {len(deployments)} installations in namespace {namespace.name}, not one"
        )
    (deployment,) = deployments
    name = deployment["metadata"]["name"]
    text = namespace.get("configmap", name)["data"]["guarita.yaml"]
    config = yaml.safe_load(text)
    if config["store"]["topology"] != "sentinel" or not config["store"].get("data_nodes"):
        raise TopologyError(f"{name} has no data nodes and Sentinels of its own to break")
    spec = deployment["spec"]["template"]["spec"]
    (secret,) = (
        volume["projected"]["sources"][0]["secret"]["name"]
        for volume in spec["volumes"]
        if volume["name"] == "secrets"
    )
    store = config["store"]
    return _Found(
        service=name,
        labels=deployment["spec"]["selector"]["matchLabels"],
        port=int(namespace.get("service", name)["spec"]["ports"][0]["port"]),
        image=spec["containers"][0]["image"],
        placement={key: spec[key] for key in PLACEMENT if key in spec},
        config=config,
        down_after_s=_node_config(namespace, name)["down_after_ms"] / 1000,
        nodes=tuple(each.partition(".")[0] for each in store["data_nodes"]),
        sentinels=tuple(each.partition(".")[0] for each in store["sentinel"]["nodes"]),
        secret_name=secret,
        secret=_secret(namespace, secret),
    )


def _secret(namespace: Namespace, name: str) -> dict[str, str]:
    data = namespace.get("secret", name)["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def _node_config(namespace: Namespace, name: str) -> dict[str, Any]:
    """What its data nodes read as `node`."""
    text = namespace.get("configmap", f"{name}-node")["data"]["guarita.yaml"]
    node: dict[str, Any] = yaml.safe_load(text)["node"]
    return node
