"""What happens to the nodes of a running installation, as lines for its terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import redis

from guarita.errors import TopologyError
from guarita.topology.local import Condition, Installation, Node

_WORDS = {
    Condition.DEAD: "is dead",
    Condition.PAUSED: "is paused",
    Condition.RUNNING: "is running again",
}


class Watch:
    """Compares the nodes with how they were; made when all of them run."""

    def __init__(
        self, installation: Installation, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._installation = installation
        self._now = now
        self._nodes = (*installation.nodes, *installation.sentinels)
        self._conditions = dict.fromkeys(self._nodes, Condition.RUNNING)
        self._primaries = set(installation.primaries())
        self._lost_at: float | None = None

    def news(self) -> Iterator[str]:
        """One line for each change since the last call."""
        for node in self._nodes:
            now = self._installation.condition(node)
            if now is not self._conditions[node]:
                self._conditions[node] = now
                yield self._changed(node, now)
        yield from self._promotions()

    def _changed(self, node: Node, now: Condition) -> str:
        was_primary = node in self._primaries
        if was_primary and now is not Condition.RUNNING:
            self._lost_at = self._now()
        role = "Sentinel" if node.kind == "sentinel" else "primary" if was_primary else "replica"
        return f"{role} {node} {_WORDS[now]}"

    def _promotions(self) -> Iterator[str]:
        try:
            primaries = set(self._installation.primaries())
        except (TopologyError, redis.RedisError):  # no majority at this moment
            return
        for node in sorted(primaries - self._primaries, key=lambda node: node.port):
            yield f"{node} is primary now{self._after()}"
        if primaries != self._primaries and len(primaries) >= len(self._primaries):
            self._primaries, self._lost_at = primaries, None

    def _after(self) -> str:
        if self._lost_at is None:
            return ""
        return f", after {self._now() - self._lost_at:.1f} s"
