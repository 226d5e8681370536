"""What every fault is: small, told in words, and undone by what it returns."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, TypeAlias

from pydantic import ConfigDict, Field

from guarita.drill.clock import Clock, rest
from guarita.drill.history import Event, EventKind, Measured
from guarita.drill.lines import Writer
from guarita.drill.sampler import Sampler
from guarita.drill.targets.base import Target
from guarita.drill.workload.load import Load
from guarita.errors import TopologyError
from guarita.processes import wait_until

NEVER = 9999.0  # seconds: what did not happen in time has no other number

Undo = Callable[[], None]
# What a user writes in a file of his own is checked by it.
Seconds: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Words: TypeAlias = Annotated[tuple[str, ...], Field(min_length=1)]


@dataclass(slots=True)
class Scene:
    """What a fault acts on, and where it says what it does. One at a time."""

    target: Target
    load: Load
    sampler: Sampler
    clock: Clock
    writer: Writer
    number: int = 0  # of the repetition
    bounds: Mapping[str, float] = field(default_factory=dict)
    turn: int | None = None  # where there are several
    afterwards: list[Callable[[], None]] = field(default_factory=list)
    """What is to be looked at once the installation is well again."""

    def who(self, word: str) -> str:
        """The node that a word of a scenario means now. Raises `TopologyError`."""
        if word == "primary":
            return self.target.primary()
        kind, _, number = word.partition(" ")
        match kind:
            case "replica":
                return _numbered(self.target.replicas(), word, number)
            case "sentinel":
                return _numbered(self.target.sentinels, word, number)
        return word

    def group(self, words: tuple[str, ...]) -> list[str]:
        """The nodes and services that these words mean now; `sentinels` and the like are all."""
        every: dict[str, tuple[str, ...]] = {
            "sentinels": self.target.sentinels,
            "nodes": self.target.nodes,
            "replicas": self.target.replicas() if "replicas" in words else (),
            "services": tuple(each.name for each in self.target.places),
        }
        return [name for word in words for name in every.get(word) or (self.who(word),)]

    # What is told

    def tell(self, text: str, node: str | None = None) -> None:
        """A fault is about to be done."""
        self._event(EventKind.FAULT, text, node)

    def note(self, text: str, node: str | None = None) -> None:
        self._event(EventKind.NOTE, text, node)

    def measure(self, name: str, value: float) -> None:
        """A figure of the scenario; its bound is in the scenario."""
        self.writer.write(Measured(name, round(value, 3), self.bounds.get(name), self.turn))

    def time_until(
        self, name: str, done: Callable[[], bool], *, since_s: float, within_s: float = 90.0
    ) -> bool:
        """Measure when something is so."""
        met = wait_until(lambda: _is_so(done), timeout_s=within_s)
        self.measure(name, time.monotonic() - since_s if met else NEVER)
        return met

    # What is awaited

    def hold(self, seconds: float) -> None:
        """A fault lasts: nothing is awaited here."""
        rest(seconds)

    def served(self) -> None:
        """Return when callers are served again, or will not be for now."""
        within_s = self.target.shape.patience_s
        if not self.load.wait_steady(within_s):
            self.note(f"writes were not steady again within {within_s:g} s")

    def served_again(self) -> None:
        """The same once nothing is broken any more: then they must be, in time."""
        within_s, began_s = self.target.shape.patience_s, time.monotonic()
        is_steady = self.load.wait_steady(within_s)
        took_s = time.monotonic() - began_s if is_steady else NEVER
        self.writer.write(Measured("served_s", round(took_s, 3), within_s, self.turn))

    def _event(self, kind: EventKind, text: str, node: str | None) -> None:
        self.writer.write(Event(self.clock.now_us, kind, text, node))


def _numbered(nodes: Sequence[str], word: str, number: str) -> str:
    """The first without a number."""
    at = int(number or 1) if (number or "1").isdecimal() else 0
    if not 0 < at <= len(nodes):
        raise TopologyError(f"there is no {word}: of these there are {len(nodes)} now")
    return nodes[at - 1]


def _is_so(done: Callable[[], bool]) -> bool:
    try:
        return done()
    except TopologyError:
        return False


class Fault(ABC):
    """A fault with its parameters as fields. `inject` does it and returns what heals it."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: ClassVar[str]
    for_s: Seconds | None
    """How long it lasts; None: until callers are served again."""

    def lacks(self, target: Target) -> str | None:
        """Why it does not apply here, in words; None where it does."""
        return None if target.nodes else "the drill does not know its nodes"

    @abstractmethod
    def inject(self, scene: Scene) -> Undo:
        """Do it. Raises `TopologyError`."""


def nothing_to_heal() -> None:
    """Of a fault that leaves nothing behind."""
