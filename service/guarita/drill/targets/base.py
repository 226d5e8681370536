"""What a drill needs of an installation that it breaks, however that is run.

Nodes and services are names here. `local` (processes of this machine) is one; others have their
place beside it: what they cannot do they name in `lacks`, and a fault that needs it does not apply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from guarita.config import Durability
from guarita.drill.history import Sample
from guarita.drill.workload.load import Place
from guarita.processes import Condition
from guarita.topology.helm import Release

DAY_S = 86_400


class Power(StrEnum):
    """What not every target can do, or not everywhere."""

    CUT = "cut links"
    FILES = "reach the files of nodes"
    AGENTS = "run nodes under agents"
    LOSE = "lose and delay packets"
    PASSWORDS = "change passwords while it runs"
    CERTIFICATES = "change certificates while it runs"
    NAMES = "spoil the names of nodes"
    NEIGHBOUR = "swap addresses with another installation"
    RELEASE = "upgrade a release of the chart"


class Breakage(StrEnum):
    """A service that is broken on purpose, for negative controls; see `guarita.drill.broken`."""

    NO_WAIT = "redeem-without-wait"
    NOT_ATOMIC = "redeem-not-atomic"
    TRUSTS_PRIMARY = "trusts-the-primary"


@dataclass(frozen=True, slots=True)
class Shape:
    """Which installation a scenario is played on."""

    topology: str = "sentinel"
    durability: Durability = Durability.BALANCED
    sentinels: int = 3
    agents: bool = True
    users: bool = False  # the default user is off, and each role has the least rights
    tls: bool = False  # nodes and Sentinels speak TLS alone
    names: bool = False  # nodes and Sentinels are known by names that are looked up
    neighbour: bool = False  # there is another installation in the same network
    one_password: bool = False  # it has the passwords of this one
    small_disk: bool = False
    fsync_s: float = 0.0  # what each fsync in the background of a data node takes longer
    load_key_us: int = 0  # what each key takes longer when a data node loads its data
    breakage: Breakage | None = None
    like: str | None = None  # set up as this kit of others, see `guarita.drill.targets.kits`
    patience_s: float = 60.0  # until callers are served again after one fault, at most


@dataclass(frozen=True, slots=True)
class Terms:
    """How long things last on it: nothing expires while a drill is played."""

    ticket_ttl_s: int = DAY_S
    session_ttl_s: int = DAY_S
    replay_window_s: int = DAY_S
    cache_age_s: float = 2.0
    revoke_on_replay: bool = False


@dataclass(frozen=True, slots=True)
class Spoilt:
    """Names as they are not to be."""

    gone: tuple[str, ...] = ()  # nodes that have none
    late_ms: int = 0  # how long each answer takes
    silent: bool = False  # there is no answer


class Target(Protocol):
    """An installation. All raise `TopologyError` where it does not do as told."""

    name: str
    shape: Shape
    slack_s: float
    """Seconds that a failover takes longer here than on a local installation."""
    options: str
    """Of the command that plays on it."""
    was_there: bool
    """Nothing of it is ended with the drill: what was done to it is taken away first."""

    @property
    def terms(self) -> Terms: ...

    @property
    def api_key(self) -> str: ...

    # Start and end

    def start(self) -> None:
        """Start everything, or what does not run, and return when it is well."""

    def end(self) -> None:
        """End everything that was started."""

    def restore(self) -> None:
        """Take away whatever was done to it: links pass, and every node runs."""

    def lacks(self, power: Power) -> str | None:
        """Why it cannot do this here, in words; None where it can."""

    # Who is who

    @property
    def places(self) -> Sequence[Place]: ...

    @property
    def nodes(self) -> tuple[str, ...]: ...

    @property
    def sentinels(self) -> tuple[str, ...]: ...

    def primary(self) -> str:
        """Whom a majority names."""

    def replicas(self) -> tuple[str, ...]: ...

    def address(self, name: str) -> tuple[str, int]: ...

    def versions(self) -> dict[str, str]: ...

    # How it is

    def obstacle(self) -> str | None:
        """Why it is not well, in words; None where it is."""

    def wait_settled(self) -> None:
        """Return when it is well and a single fault finds it so."""

    def watcher(self, name: str) -> Callable[[int], Sample]:
        """Asks one node how it is; the argument is the time of the sample."""

    def condition(self, name: str) -> Condition: ...

    def hear(self, event: str) -> AbstractContextManager[Callable[[], bool]]:
        """Meanwhile, whether a Sentinel has told this event, listened to from before it begins."""

    def log(self, name: str) -> str:
        """What its agent or server has logged so far."""

    # What can be done to it

    def command(self, name: str, *words: str | int, timeout_s: float = 1.0) -> Any:
        """A command to one server, and its answer."""

    def kill(self, name: str, *, server_only: bool = False) -> None: ...

    def pause(self, name: str, *, server_only: bool = False) -> None: ...

    def resume(self, name: str, *, server_only: bool = False) -> None: ...

    def terminate(self, name: str, *, within_s: float = 40.0) -> float:
        """SIGTERM; returns the seconds until it was gone."""

    def start_node(self, name: str) -> None:
        """Start a dead one with what it has on its disk."""

    def directory(self, name: str) -> Path: ...

    def drop_sentinels(self, count: int) -> None:
        """Make it an installation that never had the last ones, and return when it is well."""

    def change_password(self, password: str) -> None:
        """What agents and services read from now on; the servers know it already."""

    def change_certificates(self) -> Callable[[], bool]:
        """Give nodes and Sentinels new ones; returns what tells whether all of them show these."""

    def cut(self, some: Iterable[str], others: Iterable[str], *, one_way: bool = False) -> str:
        """Nothing passes any more from some to the others, nor back unless `one_way`; returns in
        words by which way that is done."""

    def slow(
        self, some: Iterable[str], others: Iterable[str], *, loss_percent: int, delay_ms: int
    ) -> str | None:
        """Why packets are lost but not late, where the machine cannot delay them."""

    def lost_packets(self) -> int:
        """How many were lost since `slow`, until `mend`."""

    def spoil_names(self, how: Spoilt) -> None: ...

    def swap_addresses(self, who: Sequence[str]) -> None:
        """kill -9 these and their likes of the neighbour, swap the addresses of both, start all.

        `primary` is that of each; any other name is the same in both.
        """

    def mingled(self) -> Mapping[str, int]:
        """How much of each installation is found in the other one, and what the neighbour lost;
        `not_asked` is 1 where a node of either does not tell."""

    def release(self) -> Release:
        """The chart's, where that is what runs."""

    def mend(self) -> None:
        """Take away every cut and slowness; names are as they were."""
