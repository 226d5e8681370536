"""A planned switch: writes pause, everybody has everything, a Sentinel promotes, all follow.

Sentinel is asked, and promotes whom it chooses. What takes it a second or more, to see that this
was done and to tell everybody, is not waited for: the old primary and the other replicas follow
the new one at once, and services that ask the old one are told where to go.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

import redis
import structlog
from redis.exceptions import RedisError, ResponseError

from guarita.node import metrics
from guarita.node.boot import text
from guarita.node.own import Own
from guarita.node.peers import Role
from guarita.node.server import Server
from guarita.node.words import Words
from guarita.stores.durability import Address

PAUSE_S = 4.0  # the server goes on by itself then, whatever becomes of this agent
EQUAL_S = 1.0
PROMOTION_S = 2.5
POLL_S = 0.01
BUSY = "a failover is under way"
UNDECIDED = "no majority of the Sentinels names anybody"
SILENT = "its server does not answer"
# Such as while Sentinels are restarted one after another, or the machine is busy.
PASSING = (BUSY, UNDECIDED, SILENT)

_log = structlog.get_logger("guarita.node")


def why_not(me: Address, own: Own | None, words: Words) -> str | None:
    """In words, why there is nothing to hand over, or nobody to hand it to."""
    if own is None:
        return SILENT
    if own.role is not Role.PRIMARY:
        return "it is a replica"
    if words.named is None and words.readings:
        return UNDECIDED
    if words.named != me:
        return "no majority of the Sentinels names it"
    if words.failover:
        return BUSY
    return None if candidates(own) else "no replica is attached"


def candidates(own: Own) -> frozenset[Address]:
    """The replicas that go on: one that is silent has no part in it."""
    return frozenset(each.node for each in own.replicas if each.online and each.lag_s < 2)


def has_all(role: Sequence[Any], primary: Address, offset: int) -> bool:
    """Whether a replica whose ROLE this is follows the primary and has come to this offset.

    The primary itself hears of it once a second only, while no write asks for it.
    """
    if role[0] != b"slave":
        return False
    return (role[1].decode(), role[2]) == primary and role[4] >= offset


def is_promotable(replica: Mapping[str, str], among: Iterable[Address]) -> bool:
    """Whether a Sentinel that says this of a replica would promote it."""
    return (
        (replica["ip"], int(replica["port"])) in among
        and replica["flags"] == "slave"
        and replica["master-link-status"] == "ok"
        and int(replica["slave-priority"]) > 0
    )


class HandOver:
    """From this node, which is primary, to whom a Sentinel chooses."""

    def __init__(
        self,
        me: Address,
        server: Server,
        look: Callable[[], Own],
        sentinels: Iterable[redis.Redis],
        primary_name: str,
        client_of: Callable[[Address], redis.Redis],
        ask_words: Callable[[], Words],
        ask_leaving: Callable[[], Set[Address]],
    ) -> None:
        """`ask_leaving` tells who else is to stop: nobody hands over to one that goes as well."""
        self._me = me
        self._server = server
        self._look = look
        self._ask_words = ask_words
        self._ask_leaving = ask_leaving
        self._sentinels = tuple(sentinels)
        self._primary_name = primary_name
        self._client_of = client_of

    def run(self, ready_s: float) -> Address | None:
        """The new primary; None, with the reason in the log, where nothing was handed over.

        `ready_s`: how long to wait for a Sentinel that would promote somebody.

        Whatever happens on the way, no write is acknowledged that the new primary lacks: this
        does not rest on the pause.
        """
        end_s = time.monotonic() + ready_s
        leaving, sentinel = frozenset(self._ask_leaving()), None
        while sentinel is None:
            group = candidates(self._look()) - leaving
            if not group:
                self._give_up("all replicas are to stop as well")
                return None
            sentinel = self._wait_ready(group, leaving, end_s)
            if sentinel is None:
                self._give_up("no Sentinel has a replica to promote")
                return None
            if more := self._ask_leaving() - leaving:  # they were told meanwhile
                leaving, sentinel = leaving | more, None
        if reason := why_not(self._me, self._look(), self._ask_words()):  # that took a while
            self._give_up(reason)
            return None
        self._server.pause_writes(PAUSE_S)
        try:
            return self._switch(sentinel, leaving)
        finally:
            try:
                self._server.resume_writes()
            except (RedisError, OSError) as exc:  # it goes on by itself
                _log.warning("the pause of writes is not ended", reason=str(exc))

    def _switch(self, sentinel: redis.Redis, leaving: Set[Address]) -> Address | None:
        own = self._look()
        attached, offset = candidates(own), own.offset
        group = attached - leaving
        if own.role is not Role.PRIMARY or not group:
            self._give_up("somebody else has changed who is primary")
            return None
        clients = {node: self._client_of(node) for node in attached}

        def all_have_all() -> bool:
            return all(has_all(_role(clients[node]), self._me, offset) for node in group)

        if not _wait(all_have_all, EQUAL_S):
            self._give_up("a replica does not get all that was written")
            return None
        if not self._names_me(sentinel):  # it would fail over another one
            self._give_up("the Sentinel does not name it any more")
            return None
        try:
            self._ask(sentinel, "FAILOVER")
        except ResponseError as exc:
            self._give_up(f"the Sentinel refuses: {exc}")
            return None
        except RedisError:
            pass  # the answer is missing: it may have been done, which is seen in the replicas
        promoted: list[Address] = []

        def somebody_leads() -> bool:
            roles = ((node, _role(clients[node])[0]) for node in group)
            promoted.extend(node for node, role in roles if role == b"master")
            return bool(promoted)

        if not _wait(somebody_leads, PROMOTION_S):
            self._give_up("no replica was promoted")
            return None
        self._follow(promoted[0], clients)
        return promoted[0]

    def _follow(self, primary: Address, clients: Mapping[Address, redis.Redis]) -> None:
        """Also those that are to stop: services wait for them until they are voted out."""
        for node, client in clients.items():
            if node != primary:
                try:
                    client.execute_command("REPLICAOF", *primary)  # type: ignore[no-untyped-call]
                except RedisError as exc:  # its own agent and Sentinel do it later
                    _log.warning("a replica does not follow yet", node=text(node), reason=str(exc))
        self._server.follow(primary)
        metrics.ACTIONS.labels("hand_over").inc()
        _log.info("handed over", primary=text(primary), reason="this node is to stop")

    def _wait_ready(
        self, group: Set[Address], leaving: Set[Address], end_s: float
    ) -> redis.Redis | None:
        """A Sentinel that would promote one of them and nobody who is to stop; it learns of a new
        priority, which these take back, from INFO."""
        ready: list[redis.Redis] = []

        def found() -> bool:
            ready.extend(
                each for each in self._sentinels if self._chooses_well(each, group, leaving)
            )
            return bool(ready)

        _wait(found, end_s - time.monotonic(), pause_s=0.1)
        return ready[0] if ready else None

    def _chooses_well(
        self, sentinel: redis.Redis, group: Set[Address], leaving: Set[Address]
    ) -> bool:
        try:
            replicas = self._ask(sentinel, "REPLICAS")
        except RedisError:
            return False
        fields = [_fields(each) for each in replicas]
        return any(is_promotable(each, group) for each in fields) and not any(
            is_promotable(each, leaving) for each in fields
        )

    def _names_me(self, sentinel: redis.Redis) -> bool:
        try:
            found = self._ask(sentinel, "GET-MASTER-ADDR-BY-NAME")
        except RedisError:
            return False
        return bool(found) and (found[0].decode(), int(found[1])) == self._me

    def _ask(self, sentinel: redis.Redis, word: str) -> Any:
        return sentinel.execute_command(  # type: ignore[no-untyped-call]
            "SENTINEL", word, self._primary_name
        )

    def _give_up(self, reason: str) -> None:
        metrics.ACTIONS.labels("hand_over_failed").inc()
        _log.warning("not handed over", reason=reason)


def _role(client: redis.Redis) -> Sequence[Any]:
    """Its ROLE; a word that stands for none where it does not answer."""
    try:
        role: Sequence[Any] = client.execute_command("ROLE")  # type: ignore[no-untyped-call]
    except RedisError:
        return ("silent",)
    return role


def _fields(flat: list[bytes]) -> dict[str, str]:
    words = [word.decode() for word in flat]
    return dict(zip(words[::2], words[1::2], strict=True))


def _wait(done: Callable[[], bool], timeout_s: float, *, pause_s: float = POLL_S) -> bool:
    end_s = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() >= end_s:
            return False
        time.sleep(pause_s)
    return True
