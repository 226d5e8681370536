"""What puts a node right that the Sentinels name and that is no primary: the decision.

The masterless deadlock: a primary that comes back as a replica while it is still named. Sentinel
notices late, and then refuses the replicas, whose links were down for too long.
"""

from __future__ import annotations

from collections.abc import Mapping

from guarita.node.boot import why_not_foremost
from guarita.node.own import Own
from guarita.node.peers import PeerState, Role
from guarita.node.words import Words
from guarita.stores.durability import Address

MASTERLESS_S = 3.0


def decide(
    me: Address,
    own: Own,
    words: Words,
    peers: Mapping[Address, PeerState | None],
    masterless_s: float,
) -> str | None:
    """Why to become primary, if so. `masterless_s`: for how long it has been a named replica."""
    if own.role is Role.PRIMARY or words.named != me or words.failover or me in words.chosen:
        return None
    if masterless_s < MASTERLESS_S or own.history is None:
        return None
    if any(peer and peer.leads for peer in peers.values()):
        return None  # somebody was promoted: the Sentinels will name it
    if why_not_foremost(own.history, peers):
        return None
    return "the Sentinels name this node, it is a replica, and no peer has more history"
