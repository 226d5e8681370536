"""What finding a primary means, and the simplest way: it is configured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from redis.exceptions import ReadOnlyError

from guarita.stores.durability import Address, Round

STEADY_INTERVAL_S = 1.0


class NotFound(Exception):
    """No primary can be named now; the text says why, in words for a log and an answer.

    `nodes` are the data nodes that those who answered know.
    """

    def __init__(self, text: str, nodes: frozenset[Address] = frozenset()) -> None:
        super().__init__(text)
        self.nodes = nodes


class Demoted(ReadOnlyError):
    """The node that was said to be the primary says itself that it follows another one."""

    def __init__(self, follows: Address) -> None:
        super().__init__(f"it is a replica of {follows[0]}:{follows[1]}, not the primary")
        self.follows = follows


@dataclass(frozen=True, slots=True)
class Finding:
    """One reading of the topology, for each lane by its tag."""

    primary_of: Callable[[str], Address]
    """Raises `NotFound`."""
    round_of: Callable[[str], Round | None] = lambda _tag: None
    """What every watcher said of the lane's nodes; None where not all were waited for."""
    nodes: frozenset[Address] = frozenset()
    """The data nodes that those who answered know, also where not all were waited for."""


class Finder(Protocol):
    """Says who is primary. Asked by the prober only."""

    def find(self, *, urgent: bool) -> Finding:
        """Ask now; where it is urgent, without waiting for more answers than needed.

        Raises `NotFound`.
        """

    def watch(self, on_change: Callable[[], None]) -> None:
        """Call back at once when a primary may have changed, where the topology can tell."""

    def close(self) -> None: ...


class FixedPrimary:
    """A standalone server: its address is its name."""

    def __init__(self, address: Address) -> None:
        self._address = address

    def find(self, *, urgent: bool) -> Finding:
        return Finding(lambda _tag: self._address)

    def watch(self, on_change: Callable[[], None]) -> None:
        return

    def close(self) -> None:
        return
