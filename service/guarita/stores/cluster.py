"""Finds the primaries of a Cluster by asking its nodes, and keeps what each says of the others."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import redis
from redis.exceptions import RedisError

from guarita.stores.discovery import Finding, NotFound
from guarita.stores.durability import Address, Reading, Round

_DOWN = {"fail", "fail?", "noaddr"}


@dataclass(frozen=True, slots=True)
class _Member:
    """A line of CLUSTER NODES: one node as another sees it."""

    id: str
    address: Address
    flags: frozenset[str]
    follows: str
    slots: tuple[range, ...]

    @property
    def is_down(self) -> bool:
        return bool(self.flags & _DOWN)

    def owns(self, slot: int) -> bool:
        return any(slot in each for each in self.slots)


@dataclass(frozen=True, slots=True)
class _View:
    """All nodes as one of them sees them."""

    watcher: Address
    members: tuple[_Member, ...]

    def owner(self, slot: int) -> _Member | None:
        return next((member for member in self.members if member.owns(slot)), None)

    def reading(self, slot: int) -> Reading | None:
        owner = self.owner(slot)
        if owner is None:
            return None
        followers = (each.address for each in self.members if each.follows == owner.id)
        down = frozenset(each.address for each in self.members if each.is_down)
        return Reading(
            f"{self.watcher[0]}:{self.watcher[1]}",
            owner.address,
            primary_healthy=not owner.is_down,
            replicas=frozenset(followers),
            down=down,
            up=frozenset(each.address for each in self.members) - down,
        )


class ClusterNodes:
    """The primary of each slot, as most of the nodes that answer name it."""

    def __init__(self, connect: Callable[[Address], redis.Redis], nodes: Sequence[Address]) -> None:
        self._connect = connect
        self._configured = list(nodes)
        self._clients: dict[Address, redis.Redis] = {}
        self._executor = ThreadPoolExecutor(2 * len(nodes) + 2, "guarita-cluster")
        self._members: list[Address] = []

    def find(self, *, urgent: bool) -> Finding:  # noqa: ARG002 - all answer within one timeout
        asked_s = time.monotonic()
        asked = list(dict.fromkeys([*self._configured, *self._members]))
        answers = list(self._executor.map(self._ask, asked))
        views = [answer for answer in answers if isinstance(answer, _View)]
        if not views:
            raise NotFound("no node of the Cluster answers: " + "; ".join(map(str, answers)))
        self._members = [member.address for view in views[:1] for member in view.members]
        answered_s = time.monotonic()

        def primary_of(tag: str) -> Address:
            return _owner(views, redis.crc.key_slot(tag.encode()))

        def round_of(tag: str) -> Round:
            slot = redis.crc.key_slot(tag.encode())
            readings = filter(None, (view.reading(slot) for view in views))
            return Round(asked_s, answered_s, tuple(readings))

        return Finding(primary_of, round_of)

    def watch(self, on_change: Callable[[], None]) -> None:
        """Nothing to listen to: a node that lost a slot answers MOVED, which closes the gate."""

    def close(self) -> None:
        for client in self._clients.values():
            pool = client.connection_pool
            self._executor.submit(pool.disconnect, inuse_connections=False)
        self._executor.shutdown(wait=False)

    def _ask(self, node: Address) -> _View | str:
        client = self._clients.setdefault(node, self._connect(node))
        try:
            # Two words, so that redis-py leaves the answer as it is.
            text = client.execute_command("CLUSTER", "NODES")  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as exc:
            return f"{node[0]}:{node[1]}: {exc}"
        return _View(node, tuple(_member(line, node) for line in text.decode().splitlines()))


def _member(line: str, asked: Address) -> _Member:
    """https://redis.io/docs/latest/commands/cluster-nodes/#serialization-format"""
    id, place, flags, follows, _, _, _, _, *slots = line.split()
    host, _, port = place.partition("@")[0].rpartition(":")
    return _Member(
        id,
        (host or asked[0], int(port)),  # a node may not know its own host yet
        frozenset(flags.split(",")),
        "" if follows == "-" else follows,
        tuple(_slots(each) for each in slots if not each.startswith("[")),
    )


def _slots(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def _owner(views: Sequence[_View], slot: int) -> Address:
    owners: Mapping[Address, int] = Counter(
        owner.address for view in views if (owner := view.owner(slot)) is not None
    )
    if not owners:
        raise NotFound(f"no node of the Cluster has slot {slot}")
    return max(owners, key=lambda address: owners[address])
