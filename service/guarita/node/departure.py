"""The departure of a data node that is to stop: it hands over, and leaves when nobody waits for it.

`handover` is the planned switch, `leave` decides when a replica may go; this is their order, and
what becomes of it where the server stands still, others are to stop as well, or a Sentinel promotes
this node on the way.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import redis
import structlog
from redis.exceptions import RedisError

from guarita.node import handover, leave, metrics
from guarita.node.duty import Since
from guarita.node.own import Observer, Own
from guarita.node.peers import PeerState, Role, State
from guarita.node.server import Server
from guarita.node.watch import Watch
from guarita.node.words import Words
from guarita.stores.durability import Address

GONE_S = 2.0  # of silence, after which a server that is to leave holds nobody up
READY_S = 1.5  # at least, for a Sentinel to hear of new priorities, by INFO once a second
STOP_S = 1.5  # for the server to end, of a stop
NAMED_S = 5.0  # after a hand over, until a majority of the Sentinels names the new primary
TOLD_S = 0.5  # within which others are told to stop as well, where several are
HAND_OVERS = 3  # tries

_log = structlog.get_logger("guarita.node")


class Departure:
    """Of one node. `run` returns, or raises `RedisError` or `OSError`, when its server may end."""

    def __init__(
        self,
        me: Address,
        server: Server,
        observer: Observer,
        watch: Watch,
        *,
        look: Callable[[], Own],
        ask_peers: Callable[[], Mapping[Address, PeerState | None]],
        sentinels: Sequence[redis.Redis],
        primary_name: str,
        client_of: Callable[[Address], redis.Redis],
        pause: Callable[[], None],
        ended: threading.Event,
        down_after_s: float,
        deadline_s: float,
    ) -> None:
        """`ended` is set when the server is gone; `deadline_s` is when it is to be."""
        self._me = me
        self._server = server
        self._observer = observer
        self._watch = watch
        self._look = look
        self._ask_peers = ask_peers
        self._sentinels = sentinels
        self._primary_name = primary_name
        self._client_of = client_of
        self._pause = pause
        self._ended = ended
        self._down_after_s = down_after_s
        self._until_s = deadline_s - STOP_S

    def run(self) -> None:
        """Hand over and leave; again where a Sentinel that had not heard of it promotes it then."""
        was_primary = True  # nobody says that it was promoted since where this is not known
        with suppress(RedisError, OSError):
            was_primary = self._look().role is Role.PRIMARY
        self._insist(lambda: self._server.be_promotable(False))
        self._pause_while(lambda: True, TOLD_S)
        while True:
            if successor := self._hand_over():
                self._await_switch(successor)
            if not self._leave(was_primary=was_primary):
                return
            was_primary = True
            self._insist(self._server.open_door)
            self._await_switch(self._me)

    def _insist(self, do: Callable[[], None]) -> None:
        """Until the server does so, which may stand still; its error where it has ended, or in the
        end."""
        while True:
            try:
                return do()
            except (RedisError, OSError):
                if time.monotonic() >= self._until_s or self._ended.is_set():
                    raise
            self._pause()

    def _role(self) -> Role | None:
        """As last seen, also through a door that is closed."""
        own = self._observer.now(fresh_s=GONE_S)
        return own.role if own else None

    def _hand_over(self) -> Address | None:
        """The new primary, if there is one."""
        end_s = self._until_s - handover.PAUSE_S - self._down_after_s - leave.VOTED_OUT_S
        for _ in range(HAND_OVERS):
            self._pause_while(
                lambda: self._why_not_hand_over() in handover.PASSING, end_s - time.monotonic()
            )
            if reason := self._why_not_hand_over():
                _log.info("nothing is handed over", reason=reason)
                return None
            ready_s = max(READY_S, end_s - time.monotonic())
            if (successor := self._one_hand_over(ready_s)) or time.monotonic() > end_s:
                return successor
        return None

    def _one_hand_over(self, ready_s: float) -> Address | None:
        try:
            return handover.HandOver(
                self._me,
                self._server,
                self._look,
                self._sentinels,
                self._primary_name,
                self._client_of,
                self._ask_words,
                self._leaving,
            ).run(ready_s)
        except (RedisError, OSError) as exc:  # how far it came is seen at the next look
            _log.warning("not handed over", reason=str(exc))
            return None

    def _leaving(self) -> frozenset[Address]:
        """The others that are to stop as well, by the word of their agents."""
        peers = self._ask_peers()
        return frozenset(
            node for node, peer in peers.items() if peer and peer.state is State.LEAVING
        )

    def _why_not_hand_over(self) -> str | None:
        try:
            own = self._look()
        except (RedisError, OSError):
            return handover.SILENT
        return handover.why_not(self._me, own, self._ask_words())

    def _await_switch(self, successor: Address) -> None:
        """Until a majority of the Sentinels names the new primary."""

        def is_not_named() -> bool:
            self._watch.hurry()
            return self._watch.now().named != successor

        self._pause_while(is_not_named, min(NAMED_S, self._until_s - time.monotonic()))

    def _leave(self, *, was_primary: bool) -> bool:
        """Stay attached behind a closed door until the Sentinels have voted this node out.

        Whether it was promoted instead. A primary that was replaced, and did not hear of it, just
        goes. `was_primary`: when it was told to stop.
        """
        leads = self._role() is Role.PRIMARY
        if leads and not was_primary:
            _log.warning("leaves later", reason="it was promoted when it was to leave")
            return True
        named = self._ask_words().named
        if named == self._me or (named is None and leads):
            return False
        self._await_hand_over()
        self._insist(self._server.close_door)
        metrics.ACTIONS.labels("leave").inc()
        _log.warning("leave", reason="it is to stop: nobody reaches it until it is voted out")
        since = Since()
        while time.monotonic() < self._until_s and not self._ended.is_set():
            self._watch.hurry()
            words = self._watch.now()
            agreed_s = since.held_s("agreed", words.agrees_down(self._me))
            own = self._observer.now(fresh_s=GONE_S)  # its door closed on the observer as well
            if own is not None and own.role is Role.PRIMARY and not leads:
                _log.warning("leaves later", reason="it was promoted while it was leaving")
                return True
            detached_s = since.held_s("detached", own is not None and not own.link_up)
            step, reason = leave.decide(self._me, own, words, agreed_s, detached_s)
            if step is leave.Step.GO:
                _log.info("leaves", reason=reason)
                return False
            self._pause()
        _log.warning("leaves", reason="its time is over, and the Sentinels have not voted it out")
        return False

    def _await_hand_over(self) -> None:
        """Of its primary, where that is to stop as well."""
        since = Since()

        def is_under_way() -> bool:
            own = self._observer.now(fresh_s=GONE_S)
            follows = own.follows if own else None
            primary = self._ask_peers().get(follows) if follows else None
            silent_s = since.held_s("silent", primary is None)
            return leave.is_handing_over(own, primary, silent_s)

        end_s = self._until_s - self._down_after_s - leave.VOTED_OUT_S
        self._pause_while(is_under_way, end_s - time.monotonic())

    def _ask_words(self) -> Words:
        return self._watch.asked_now(timeout_s=1.0)

    def _pause_while(self, holds: Callable[[], bool], timeout_s: float) -> None:
        """While it holds, and its server runs."""
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s and not self._ended.is_set() and holds():
            self._pause()
