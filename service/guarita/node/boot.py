"""As what a data node starts: the decision, while its server has loaded and nobody reaches it.

A node never starts as primary on its own word, nor behind a peer: a lost tail of its file is as
bad as an empty directory, since its replicas would throw away what it lost
(docs/exactly-once.md, rows `off-boot` and `strict-off-chosen`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from guarita.node.peers import PeerState
from guarita.node.words import Words
from guarita.stores.durability import Address
from guarita.stores.guard import History


class Step(StrEnum):
    WAIT = "wait"
    FOLLOW = "follow"
    LEAD = "lead"


@dataclass(frozen=True, slots=True)
class Verdict:
    step: Step
    reason: str
    primary: Address | None = None  # whom to follow


def decide(
    me: Address, own: History, words: Words, peers: Mapping[Address, PeerState | None]
) -> Verdict:
    """What to start as. `peers` are all other data nodes, None where an agent does not answer."""
    named = words.named
    # Before anybody is chosen it makes no difference; an election that is lost takes long. The one
    # whom a majority names already has been promoted: what is left is to tell the replicas.
    settled = frozenset() if named == me else frozenset([named])
    if chosen := words.chosen - settled:
        others = ", ".join(map(text, sorted(chosen)))
        return Verdict(Step.WAIT, f"a failover is under way, to {others}")
    if named is None:
        return Verdict(
            Step.WAIT,
            f"{len(words.readings)} of {words.sentinels} Sentinels answer, and "
            f"{words.majority} must agree on the primary",
        )
    if named != me:
        return Verdict(Step.FOLLOW, f"the Sentinels name {text(named)}", named)
    if leading := [each.node for each in peers.values() if each and each.leads]:
        return Verdict(Step.WAIT, f"the Sentinels name this node, but {text(leading[0])} leads")
    if obstacle := why_not_foremost(own, peers):
        return Verdict(Step.WAIT, f"the Sentinels name this node, but {obstacle}")
    return Verdict(Step.LEAD, "the Sentinels name this node, and no peer has more history")


def why_not_foremost(own: History, peers: Mapping[Address, PeerState | None]) -> str | None:
    """In words, why somebody may have more history than this node; None if nobody has."""
    for address, peer in sorted(peers.items()):
        if peer is None:
            return f"the agent of {text(address)} does not answer"
        if peer.history is None:
            return f"{text(address)} has not loaded its data yet"
        if lack := own.lacks(peer.history):
            return f"{text(address)} has more history: here, {lack}"
    return None


def text(address: Address) -> str:
    return f"{address[0]}:{address[1]}"
