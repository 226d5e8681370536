"""Whether Sentinel may promote this node: the decision behind its `replica-priority`.

A restarted, demoted or detached replica has priority 0 until it has caught up once: what it lacks
may be acknowledged (docs/exactly-once.md, row `strict-off-promotable`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from guarita.node.boot import why_not_foremost
from guarita.node.own import Own
from guarita.node.peers import PeerState
from guarita.stores.durability import Address


@dataclass(frozen=True, slots=True)
class PrimaryWord:
    """What the primary that this node follows said of itself."""

    id: bytes
    offset: int
    lists_me: bool


@dataclass(frozen=True, slots=True)
class Change:
    promotable: bool
    reason: str


def decide(
    own: Own,
    promotable: bool,
    primary: PrimaryWord | None,
    peers: Mapping[Address, PeerState | None],
) -> Change | None:
    """A change, if there is to be one.

    `primary` is None where it does not answer; else it was asked before `own` was looked at.
    `peers` are all data nodes but this one; asked for where the primary does not answer only.
    """
    if own.history is None:
        return None
    if primary is not None:
        return _beside(own, promotable, primary)
    if own.link_up or promotable:
        # The primary is gone, and this node had caught up with it: it may be the next one.
        return None
    # Nobody can be caught up with any more. What the primary acknowledged, somebody else has too.
    # Of the primary itself that is known only where its agent is there.
    others = {node: peer for node, peer in peers.items() if peer or node != own.follows}
    if why_not_foremost(own.history, others):
        return None
    return Change(True, "its primary is gone, and no other node has more history")


def _beside(own: Own, promotable: bool, primary: PrimaryWord) -> Change | None:
    if promotable:
        if own.link_up or primary.lists_me:
            return None
        return Change(False, "it is detached from a primary that goes on")
    caught_up = (
        own.link_up
        and own.history is not None
        and (own.history.id == primary.id and own.offset >= primary.offset)
    )
    return Change(True, "it has caught up with its primary") if caught_up else None
