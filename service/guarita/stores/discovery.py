"""Finds primaries and keeps the gates right: one prober a process, so that requests never poll."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Protocol

import redis
import structlog
from redis.exceptions import RedisError

from guarita.deadline import Deadline

Address = tuple[str, int]

TROUBLE_INTERVAL_S = 0.05
STEADY_INTERVAL_S = 1.0

_log = structlog.get_logger("guarita.stores")


class NotFound(Exception):
    """No primary can be named now; the text says why, in words for a log and an answer."""


class Finder(Protocol):
    """Says who is primary. Asked by the prober only."""

    def find(self) -> Callable[[str], Address]:
        """One reading: a function from a lane's tag to its primary. Both raise `NotFound`."""

    def watch(self, on_change: Callable[[], None]) -> None:
        """Call back at once when a primary may have changed, where the topology can tell."""

    def close(self) -> None: ...


class FixedPrimary:
    """A standalone server: its address is its name."""

    def __init__(self, address: Address) -> None:
        self._address = address

    def find(self) -> Callable[[str], Address]:
        return lambda _tag: self._address

    def watch(self, on_change: Callable[[], None]) -> None:
        return

    def close(self) -> None:
        return


class SentinelMajority:
    """The primary that a majority of all configured Sentinels names.

    A minority may be cut off and name the old one; fewer answers than a majority name nobody
    (Redis, "Guidelines for Redis clients with support for Redis Sentinel").
    """

    def __init__(
        self, sentinels: Mapping[Address, redis.Redis], primary_name: str, *, patience_s: float
    ) -> None:
        self._sentinels = sentinels
        self._primary_name = primary_name
        self._patience_s = patience_s
        self._majority = len(sentinels) // 2 + 1
        self._executor = ThreadPoolExecutor(len(sentinels), "guarita-sentinel")
        self._asked: dict[Address, Future[Address]] = {}
        self._closed = threading.Event()

    def find(self) -> Callable[[str], Address]:
        """Asks all at once and goes on as soon as a majority agrees.

        One that hangs (its name does not resolve, say) costs nobody but itself: it is not asked
        again before it has answered.
        """
        for address in self._sentinels:
            if address not in self._asked:
                self._asked[address] = self._executor.submit(self._ask, address)
        until = Deadline.after(self._patience_s)
        while True:
            votes = Counter(named for named in map(_vote, self._asked.values()) if named)
            address, count = votes.most_common(1)[0] if votes else (("", 0), 0)
            open_questions = [asked for asked in self._asked.values() if not asked.done()]
            if count >= self._majority or not open_questions or until.passed:
                break
            wait(open_questions, until.remaining_s, FIRST_COMPLETED)
        reasons = self._forget_answers()
        if count >= self._majority:
            return lambda _tag: address
        raise NotFound(
            f"{self._majority} of {len(self._sentinels)} Sentinels must agree on the primary of "
            f"{self._primary_name!r}; {'; '.join(reasons)}"
        )

    def watch(self, on_change: Callable[[], None]) -> None:
        """Listens on all: the leader of a failover tells it a second after the others."""
        for sentinel in self._sentinels.values():
            threading.Thread(
                target=self._listen, args=(sentinel, on_change), name="guarita-switch", daemon=True
            ).start()

    def close(self) -> None:
        self._closed.set()
        self._executor.shutdown(wait=False, cancel_futures=True)
        # Each thread closes its own connections: redis-py's must not be closed under a reader.

    def _ask(self, address: Address) -> Address:
        answer = self._sentinels[address].execute_command(  # type: ignore[no-untyped-call]
            "SENTINEL GET-MASTER-ADDR-BY-NAME", self._primary_name
        )
        if answer is None:
            raise NotFound("does not know it")
        return _text(answer[0]), int(answer[1])

    def _forget_answers(self) -> list[str]:
        """Drops what was answered, so that it is asked anew; returns each answer in words."""
        reasons = []
        for (host, port), asked in list(self._asked.items()):
            if not asked.done():
                reasons.append(f"{host}:{port} does not answer")
                continue
            del self._asked[host, port]
            vote = _vote(asked)
            says = f"names {vote[0]}:{vote[1]}" if vote else str(asked.exception())
            reasons.append(f"{host}:{port} {says}")
        return reasons

    def _listen(self, sentinel: redis.Redis, on_change: Callable[[], None]) -> None:
        while not self._closed.is_set():
            try:
                with sentinel.pubsub(  # type: ignore[no-untyped-call]
                    ignore_subscribe_messages=True
                ) as subscription:
                    subscription.subscribe("+switch-master")
                    on_change()
                    while not self._closed.is_set():
                        if subscription.get_message(timeout=STEADY_INTERVAL_S):
                            on_change()
            except (RedisError, OSError, ValueError):
                self._closed.wait(STEADY_INTERVAL_S)


def _vote(asked: Future[Address]) -> Address | None:
    return asked.result() if asked.done() and asked.exception() is None else None


class ClusterSlots:
    """The primaries of a Cluster, by the slot of each lane's tag."""

    def __init__(self, connect: Callable[[Address], redis.Redis], nodes: Sequence[Address]) -> None:
        self._connect = connect
        self._nodes = list(nodes)
        self._known: list[Address] = []

    def find(self) -> Callable[[str], Address]:
        problems = []
        for node in dict.fromkeys([*self._known, *self._nodes]):
            try:
                ranges = self._slots(node)
            except (RedisError, OSError) as exc:
                problems.append(f"{node[0]}:{node[1]}: {exc}")
                continue
            self._known = list(dict.fromkeys(address for _, _, address in ranges))
            return lambda tag: _owner(ranges, tag)
        raise NotFound("no node of the Cluster answers: " + "; ".join(problems))

    def watch(self, on_change: Callable[[], None]) -> None:
        """Nothing to listen to: a node that lost a slot answers MOVED, which closes the gate."""

    def close(self) -> None:
        return

    def _slots(self, node: Address) -> list[tuple[int, int, Address]]:
        with self._connect(node) as client:
            answer = client.execute_command("CLUSTER SLOTS", **{redis.client.NEVER_DECODE: True})
        return [(first, last, _address(node, owner)) for first, last, owner, *_ in answer]


def _address(asked: Address, owner: Sequence[bytes | int | None]) -> Address:
    """Nodes may leave out their own host: then it is the one that was asked (CLUSTER SLOTS)."""
    return (_text(owner[0]) if owner[0] else asked[0], int(owner[1] or 0))


def _owner(ranges: Iterable[tuple[int, int, Address]], tag: str) -> Address:
    slot = redis.crc.key_slot(tag.encode())
    for first, last, address in ranges:
        if first <= slot <= last:
            return address
    raise NotFound(f"no node of the Cluster has slot {slot}")


def _text(value: bytes | str | int | None) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
