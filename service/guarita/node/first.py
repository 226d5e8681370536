"""Whom a Sentinel watches when it starts: the decision.

What others know comes first; only where nobody knows anything is it the first in the
configuration. A data node is asked through its agent: without one it can not say how far it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from guarita.node.peers import PeerState, Role, State
from guarita.node.sentinel_view import View, named_by_majority
from guarita.stores.durability import Address

PATIENCE_S = 15.0


@dataclass(frozen=True, slots=True)
class Choice:
    primary: Address
    config_epoch: int
    reason: str


def decide(
    views: Sequence[View | None],
    peers: Mapping[Address, PeerState | None],
    leading: Sequence[Address],
    waited_s: float,
) -> Choice | None:
    """Whom to watch, None while it is better to wait.

    `views` are the Sentinels', this one's (None) among them; `peers` all data nodes by the words
    of their agents, in the order of the configuration; `leading` those that say of themselves,
    without an agent, that replicas follow them.
    """
    answers = [view for view in views if view]
    named = named_by_majority(views, len(views))
    if named:
        epoch = max(_settled_epoch(view) for view in answers if view.primary == named)
        return Choice(named, epoch, "a majority of the Sentinels names it")
    if answers:
        newest = max(answers, key=_settled_epoch)
        return Choice(newest.primary, _settled_epoch(newest), "another Sentinel names it")
    if leads := [each for each, peer in peers.items() if _leads(peer)]:
        return Choice(_foremost(leads, peers), 0, "its agent says that it is primary")
    if len(leading) == 1:
        return Choice(leading[0], 0, "replicas follow it")
    known = [each for each, peer in peers.items() if peer and peer.history]
    if len(known) == len(peers):
        return Choice(_foremost(known, peers), 0, "no data node has more history")
    is_loading = any(peer and not peer.history for peer in peers.values())
    if is_loading or waited_s < PATIENCE_S:
        return None
    if known:
        return Choice(_foremost(known, peers), 0, "no data node that answers has more history")
    return Choice(next(iter(peers)), 0, "it is the first in node.peers, and nobody knows better")


def later(
    primary: Address, config_epoch: int, views: Sequence[View | None], count: int
) -> Choice | None:
    """Who has replaced the `primary` of a Sentinel's file while it was away; None where nobody has.

    It would hear of that within seconds of its start, and names the old one until then. `views` are
    the other Sentinels', of `count` in all.
    """
    named = named_by_majority(views, count)
    if named is None or named == primary:
        return None
    epoch = max(_settled_epoch(view) for view in views if view and view.primary == named)
    if epoch <= config_epoch:
        return None
    return Choice(named, epoch, "a majority of the Sentinels has a later primary than its file")


def _settled_epoch(view: View) -> int:
    """Of the primary that it names.

    The leader of a failover has the new epoch from the promotion on, and names the old primary
    until all replicas follow. With both, a Sentinel would never be told of the new one: what
    comes with an epoch that is not higher counts for nothing. One that is too low is put right.
    """
    return view.config_epoch if view.healthy else max(0, view.config_epoch - 1)


def _leads(peer: PeerState | None) -> bool:
    return peer is not None and peer.role is Role.PRIMARY and peer.state is not State.BOOTING


def _foremost(candidates: Sequence[Address], peers: Mapping[Address, PeerState | None]) -> Address:
    """The first of those that have counted most changes; of these the farthest in its stream."""

    def progress(address: Address) -> tuple[int, int]:
        peer = peers[address]
        history = peer.history if peer else None
        return (history.tallied, history.offset) if history else (-1, -1)

    return max(candidates, key=progress)
