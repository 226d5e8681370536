"""What the agent does while its server runs: each look at it may lead to one of the actions.

Which, is decided by rejoin, heal, promotable and silent; here is what they need to know, and what
is done then, logged and counted.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import redis
import structlog
from redis.exceptions import RedisError

from guarita.node import heal, metrics, promotable, rejoin, silent
from guarita.node.boot import text
from guarita.node.own import Own
from guarita.node.peers import PeerState, Role
from guarita.node.server import Server
from guarita.node.words import Words
from guarita.stores.durability import Address

SETTLED_S = 1.0  # a link that breaks is up again by then, or something is wrong
NOTICED_S = 0.3  # a primary that is gone: before the Sentinels look for another one

_REPLICA = re.compile(rb"slave\d+:ip=([^,]*),port=(\d+),")
_log = structlog.get_logger("guarita.node")

Ask = Callable[[frozenset[Address]], Mapping[Address, PeerState | None]]


@dataclass(frozen=True, slots=True)
class _Heard:
    """What the primary that this node follows said, and when."""

    of: Address
    word: promotable.PrimaryWord | None
    at_s: float


class Since:
    """For how long something has held, each time that it is looked at."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def held_s(self, name: str, holds: bool) -> float:
        if not holds:
            self._since.pop(name, None)
            return 0.0
        now_s = time.monotonic()
        return now_s - self._since.setdefault(name, now_s)


class Duty:
    """Of one data node, from the moment in which others reach it."""

    def __init__(
        self,
        me: Address,
        server: Server,
        *,
        peers: frozenset[Address],
        ask_peers: Ask,
        ask_words: Callable[[], Words],
        client_of: Callable[[Address], redis.Redis],
        leads: bool,
    ) -> None:
        self._me = me
        self._server = server
        self._peers = peers
        self._ask_peers = ask_peers
        self._ask_words = ask_words
        self._client_of = client_of
        self._role = Role.PRIMARY if leads else Role.REPLICA
        self._was_named = leads
        self._promotable = leads
        self._since = Since()
        self._acted_s = time.monotonic()
        self._looked_s = self._acted_s
        self._silence = silent.Silence()
        self._silent: frozenset[Address] = frozenset()
        self._heard: _Heard | None = None

    def look(self, own: Own, words: Words) -> bool:
        """Do what is to be done now; whether the Sentinels are to be asked more often.

        Raises `RedisError` or `OSError` where the server does not do as told.
        """
        if own.asked_s <= self._acted_s:
            return True  # from before the last action
        self._note_role(own)
        self._was_named = own.role is Role.PRIMARY and (self._was_named or words.named == self._me)
        if not (self._rejoin(own, words) or self._heal(own, words)):
            self._mind_priority(own)
            self._cut_silent(own)
        return self._in_trouble(own, words)

    def _in_trouble(self, own: Own, words: Words) -> bool:
        named = words.named
        if own.role is Role.PRIMARY:
            return named != self._me
        return named in (None, self._me) or own.follows != named or not own.link_up

    def _note_role(self, own: Own) -> None:
        """Sentinel may have changed it, or somebody by hand."""
        if own.role is self._role:
            return
        if own.role is Role.PRIMARY:
            self._set_promotable(True, "it was made primary")
        else:
            self._set_promotable(False, f"it was made a replica of {own.follows}")
        self._since = Since()
        self._role = own.role  # last: where the server does not do as told, it is told again

    def _rejoin(self, own: Own, words: Words) -> bool:
        named, is_primary = words.named, own.role is Role.PRIMARY
        other = named is not None and named != self._me
        standing = rejoin.Standing(
            self._was_named,
            self._since.held_s("unnamed", is_primary and other),
            self._since.held_s("astray", other and not is_primary and own.follows != named),
        )
        follow = rejoin.decide(self._me, own, words, standing)
        if follow is None:
            return False
        # Some Sentinels name the old primary yet when a hand-over is done.
        if not is_primary and self._ask_primary(follow.primary) is None:
            return False
        self._server.follow(follow.primary)
        self._role, self._promotable, self._since = Role.REPLICA, False, Since()
        self._was_named = False
        self._done("rejoin" if is_primary else "heal_replica", follow.reason, follow.primary)
        return True

    def _heal(self, own: Own, words: Words) -> bool:
        masterless_s = self._since.held_s(
            "masterless", own.role is Role.REPLICA and words.named == self._me
        )
        if masterless_s < heal.MASTERLESS_S:
            return False
        peers = self._ask_peers(self._peers)
        reason = heal.decide(self._me, own, self._ask_words(), peers, masterless_s)
        if reason is None:
            return False
        self._server.lead()
        self._role, self._promotable, self._was_named = Role.PRIMARY, True, True
        self._since = Since()
        self._done("heal_masterless", reason, self._me)
        return True

    def _mind_priority(self, own: Own) -> None:
        if own.role is Role.PRIMARY or own.follows is None:
            return
        unlinked_s = self._since.held_s("detached", not own.link_up)
        if own.link_up and self._promotable:
            self._heard = None
            return
        if not own.link_up and unlinked_s < (SETTLED_S if self._promotable else NOTICED_S):
            return
        heard, self._heard = self._heard, None
        if heard is None or heard.of != own.follows or own.asked_s - heard.at_s > SETTLED_S:
            word = self._ask_primary(own.follows)
            self._heard = _Heard(own.follows, word, time.monotonic())
            return  # what this node has is to be looked at after that
        primary = heard.word
        peers: Mapping[Address, PeerState | None] = {}
        if primary is None and not own.link_up and not self._promotable:
            peers = self._ask_peers(self._peers)
        change = promotable.decide(own, self._promotable, primary, peers)
        if change:
            self._set_promotable(change.promotable, change.reason)

    def _ask_primary(self, primary: Address) -> promotable.PrimaryWord | None:
        client = self._client_of(primary)
        try:
            info: Any = client.execute_command("INFO", "replication")  # type: ignore[no-untyped-call]
        except (RedisError, OSError):
            return None
        finally:
            client.close()
        fields = info if isinstance(info, dict) else {}
        if fields.get("role") != "master":
            return None
        listed = [each for name, each in fields.items() if re.fullmatch(r"slave\d+", name)]
        return promotable.PrimaryWord(
            str(fields["master_replid"]).encode(),
            int(fields["master_repl_offset"]),
            any((each["ip"], int(each["port"])) == self._me for each in listed),
        )

    def _set_promotable(self, promotable: bool, reason: str) -> None:
        self._server.be_promotable(promotable)
        self._promotable = promotable
        self._done("promotable" if promotable else "not_promotable", reason)

    def _cut_silent(self, own: Own) -> None:
        if own.role is not Role.PRIMARY:
            self._silence, self._silent = silent.Silence(), frozenset()
            return
        nodes = self._silence.look(own)
        # A server that stood still itself has not read yet what they said meanwhile.
        went_on = own.seen_s - self._looked_s < silent.STOOD_STILL_S
        self._looked_s = own.seen_s
        nodes, self._silent = (nodes & self._silent if went_on else frozenset()), nodes
        if nodes:
            self._server.cut(nodes, own.replicas)
            self._done("cut_silent", f"{', '.join(map(text, sorted(nodes)))} said nothing for 2 s")

    def _done(self, action: str, reason: str, primary: Address | None = None) -> None:
        self._acted_s = time.monotonic()
        metrics.ACTIONS.labels(action).inc()
        more = {"primary": text(primary)} if primary else {}
        _log.warning(action, reason=reason, **more)
