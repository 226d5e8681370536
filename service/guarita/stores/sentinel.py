"""Finds the primary by asking all Sentinels, and keeps what they say of every node."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

import redis
from redis.exceptions import RedisError

from guarita.stores.discovery import STEADY_INTERVAL_S, Finding, NotFound
from guarita.stores.durability import Address, Reading, Round

PING_FRESH_MS = 2000
# From when a replica was asked in vain to the primary's last answer, or a cut that hides both could
# pass for a replica that is down: before it some milliseconds between two pings are enough. A
# Sentinel that stands still for so long goes into TILT, and reports nobody down.
LATER_MS = 2000


@dataclass(frozen=True, slots=True)
class _Answer:
    primary: Address
    reading: Reading


@dataclass(frozen=True, slots=True)
class _Question:
    """What one Sentinel was asked, and until when its answer is waited for."""

    answer: Future[_Answer]
    asked_s: float
    until_s: float

    @property
    def said(self) -> _Answer | None:
        done = self.answer.done() and self.answer.exception() is None
        return self.answer.result() if done else None

    @property
    def awaited_s(self) -> float:
        return 0.0 if self.answer.done() else max(0.0, self.until_s - time.monotonic())


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
        self._asked: dict[Address, _Question] = {}
        self._closed = threading.Event()

    def find(self, *, urgent: bool) -> Finding:
        """Asks all at once. One that hangs (its name does not resolve, say) is waited for once,
        and not asked again before it has answered."""
        self._ask_all()
        named = self._await_answers(urgent=urgent)
        nodes = frozenset().union(*(each.nodes for each in self._readings()))
        round, reasons = self._round(), self._forget_answers()
        if named is None:
            raise NotFound(
                f"{self._majority} of {len(self._sentinels)} Sentinels must agree on the primary "
                f"of {self._primary_name!r}; {'; '.join(reasons)}",
                nodes,
            )
        return Finding(lambda _tag: named, lambda _tag: round, nodes)

    def ask(self, *, urgent: bool) -> tuple[Address | None, Round | None, list[str]]:
        """Who is named by a majority; what all say, where all were waited for; and in words."""
        self._ask_all()
        named = self._await_answers(urgent=urgent)
        return named, self._round(), self._forget_answers()

    def _ask_all(self) -> None:
        now_s = time.monotonic()
        for address in self._sentinels:
            if address not in self._asked:
                answer = self._executor.submit(self._ask, address)
                self._asked[address] = _Question(answer, now_s, now_s + self._patience_s)

    def watch(self, on_change: Callable[[], None]) -> None:
        """Listens on all: the leader of a failover tells it a second after the others."""
        for sentinel in self._sentinels.values():
            threading.Thread(
                target=self._listen, args=(sentinel, on_change), name="guarita-switch", daemon=True
            ).start()

    def close(self) -> None:
        self._closed.set()
        for client in self._sentinels.values():
            # Behind what is asked now, and only those that nobody reads from: a listener closes
            # its own.
            pool = client.connection_pool
            self._executor.submit(pool.disconnect, inuse_connections=False)
        self._executor.shutdown(wait=False)

    def _readings(self) -> tuple[Reading, ...]:
        return tuple(said.reading for each in self._asked.values() if (said := each.said))

    def _round(self) -> Round | None:
        """Dated from the oldest question: an answer may have come long before it is looked at."""
        if any(question.awaited_s for question in self._asked.values()):
            return None
        now_s = time.monotonic()
        asked_s = [question.asked_s for question in self._asked.values() if question.said]
        readings = self._readings()
        if len(readings) < len(self._sentinels):
            # Who does not answer may have begun to replace the primary, and speaks against nothing:
            # that a replica has been silent counts from when it is reported down.
            readings = tuple(replace(each, unanswered_s={}) for each in readings)
        return Round(min(asked_s, default=now_s), now_s, readings)

    def _await_answers(self, *, urgent: bool) -> Address | None:
        """The primary that a majority names; waits for all, or if urgent until it is clear."""
        while True:
            said = [question.said for question in self._asked.values()]
            votes = Counter(answer.primary for answer in said if answer)
            named = next((who for who, n in votes.items() if n >= self._majority), None)
            awaited = [each for each in self._asked.values() if each.awaited_s]
            if not awaited or (urgent and named):
                return named
            longest_s = max(each.awaited_s for each in awaited)
            wait([each.answer for each in awaited], longest_s, FIRST_COMPLETED)

    def _ask(self, address: Address) -> _Answer:
        with self._sentinels[address].pipeline(transaction=False) as pipe:
            for word in ("GET-MASTER-ADDR-BY-NAME", "MASTER", "REPLICAS"):
                # Two words, so that redis-py leaves the answer as it is.
                pipe.execute_command("SENTINEL", word, self._primary_name)  # type: ignore[no-untyped-call]
            answers = pipe.execute(raise_on_error=False)
        if answers[0] is None:
            raise NotFound("does not know it")
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        (host, port), master, replicas = answers
        primary = (host.decode(), int(port))
        told = _fields(master), [_fields(each) for each in replicas]
        return _Answer(primary, _reading(f"{address[0]}:{address[1]}", primary, *told))

    def _forget_answers(self) -> list[str]:
        """Drops what was answered, so that it is asked anew; returns each answer in words."""
        reasons = []
        for (host, port), question in list(self._asked.items()):
            if not question.answer.done():
                reasons.append(f"{host}:{port} does not answer")
                continue
            del self._asked[host, port]
            said = question.said
            words = f"names {said.primary[0]}:{said.primary[1]}" if said else ""
            reasons.append(f"{host}:{port} {words or question.answer.exception()}")
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


def _fields(flat: list[bytes]) -> dict[str, str]:
    words = [word.decode() for word in flat]
    return dict(zip(words[::2], words[1::2], strict=True))


def _address(fields: Mapping[str, str]) -> Address:
    return fields["ip"], int(fields["port"])


def _reading(
    watcher: str, primary: Address, master: Mapping[str, str], replicas: list[dict[str, str]]
) -> Reading:
    """A Sentinel in the middle of a failover names two: who it was and who it is to be."""
    flags = set(master["flags"].split(","))
    listed = frozenset(map(_address, replicas))
    answered_ms = int(master["last-ok-ping-reply"])
    healthy = (
        _address(master) == primary
        and primary not in listed  # it switched between two of its answers
        and not flags & {"s_down", "o_down", "failover_in_progress", "disconnected"}
        and answered_ms <= PING_FRESH_MS
    )
    # In TILT the flag stays, though pings are answered.
    answered = frozenset(
        _address(each)
        for each in replicas
        if each["last-ping-sent"] == "0" and "disconnected" not in each["flags"].split(",")
    )
    down = _flagged(replicas, "s_down") - answered
    # The first INFO of an instance brings its run id. (`info-refresh` is 0 until then, and also
    # within the millisecond of each INFO.) `sentinelSelectSlave` of Redis and Valkey skips it.
    unheard = frozenset(_address(each) for each in replicas if not each["runid"])
    return Reading(
        watcher,
        primary,
        primary_healthy=healthy,
        replicas=listed | {_address(master)},
        down=down,
        up=listed - down - unheard,
        unheard=unheard,
        failover="failover_in_progress" in flags,
        chosen=next(iter(_flagged(replicas, "promoted")), None),
        unanswered_s={
            _address(each): unanswered_ms / 1000
            for each in replicas
            # Since the first ping that was not answered; 0 where all were.
            if (unanswered_ms := int(each["last-ping-sent"])) - answered_ms >= LATER_MS
        },
    )


def _flagged(replicas: list[dict[str, str]], flag: str) -> frozenset[Address]:
    return frozenset(_address(each) for each in replicas if flag in each["flags"].split(","))
