"""What the agent of a data node answers over HTTP: to probes, load balancers and its peers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from redis.exceptions import RedisError

from guarita.node import metrics
from guarita.node.child import Child
from guarita.node.endpoint import Answer
from guarita.node.handover import candidates
from guarita.node.own import Observer, Own
from guarita.node.peers import PeerState, Role, State
from guarita.node.words import Words
from guarita.stores.durability import Address


class Status:
    """The node as it is now; the agent keeps `state`, `reason` and `observer` up to date."""

    def __init__(
        self, me: Address, child: Child, words: Callable[[], Words], look: Callable[[], Own]
    ) -> None:
        self._me = me
        self._look = look
        self._child = child
        self._words = words
        self.state = State.BOOTING
        self.reason = ""
        """Why it waits, while it boots."""
        self.is_waiting = False
        """Without a server, which refused its file."""
        self.observer: Observer | None = None

    def routes(self) -> Mapping[str, Callable[[], Answer]]:
        return {
            "/livez": self._live,
            "/readyz": self._ready,
            "/role": self._role,
            "/node": self._node,
            "/metrics": metrics.exposition,
        }

    def _own(self) -> Own | None:
        return self.observer.now() if self.observer else None

    def _live(self) -> Answer:
        """A server that loads its data, or waits for a word, is alive."""
        alive = self._child.pid is not None or self.is_waiting
        return _said(alive, "alive", "the server does not run")

    def _ready(self) -> Answer:
        reason = self._why_not_ready()
        return _said(reason is None, "ready", reason or "")

    def _why_not_ready(self) -> str | None:
        own = self._own()
        if self.is_waiting:
            return self.reason
        if own is None:
            refusal = self.observer.refusal if self.observer else ""
            return refusal or "the server does not answer"
        if own.history is None:
            return "the server loads its data"
        if self.state is not State.RUNNING:
            return f"{self.state}: {self.reason}" if self.reason else str(self.state)
        if own.role is Role.REPLICA and not own.link_up:
            return "the link to its primary is down"
        return None

    def role(self) -> Role | None:
        """What it is to those outside; None while its server does not answer.

        One that boots, or that a majority does not name, is no primary yet or no more. Where no
        majority answers it is one as long as a replica listens to it: one that is cut off has none.
        """
        own = self._own()
        if own is None:
            return None
        named = self._words().named
        leads = (
            own.role is Role.PRIMARY
            and self.state is not State.BOOTING
            and (named == self._me or (named is None and bool(candidates(own))))
        )
        return Role.PRIMARY if leads else Role.REPLICA

    def confirmed_role(self) -> Role | None:
        """The same, and None also for a primary while no majority names anybody: it may be the
        primary still, or another one may be."""
        own = self._own()
        is_primary = own is not None and own.role is Role.PRIMARY
        if is_primary and self.state is not State.BOOTING and self._words().named is None:
            return None
        return self.role()

    def _role(self) -> Answer:
        """200 on the primary only: for load balancers."""
        role = self.role()
        return _said(role is Role.PRIMARY, Role.PRIMARY, role or "unknown")

    def _node(self) -> Answer:
        """For the other agents: as it is at this moment. One that starts again in no time asks what
        others have of what it wrote last, and an answer from before would be too small.
        """
        try:
            own = self._look()
        except (RedisError, OSError) as exc:
            return _said(False, "", f"the server does not answer: {exc}")
        state = PeerState(self._me, self.state, own.role, own.history)
        return Answer(200, state.as_json(), "application/json")


def _said(good: bool, yes: str, no: str) -> Answer:
    return Answer.text(200 if good else 503, yes if good else no)
