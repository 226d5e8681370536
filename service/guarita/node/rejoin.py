"""Whom a running data node follows: the one that the Sentinels name. The decision.

Sentinel alone makes a returning primary a replica after 8 to 11 s, and a replica that follows
somebody else after the failover timeout: it tells the replicas once, at the end of a failover, and
one that loads just then (from a primary that came back in the midst of it) does not hear it. The
agent does the first at once and the second after a moment.
"""

from __future__ import annotations

from dataclasses import dataclass

from guarita.node.boot import text
from guarita.node.own import Own
from guarita.node.peers import Role
from guarita.node.words import Words
from guarita.stores.durability import Address

PROMOTED_S = 8.0  # a Sentinel may have promoted it, and failed before the others heard of it
ASTRAY_S = 0.5  # Sentinel comes first: it re-points the replicas as it names the next primary


@dataclass(frozen=True, slots=True)
class Standing:
    """What the agent remembers of the node's place, in seconds for which it has held."""

    was_named: bool
    """Whether a majority has named it since it became a primary."""
    unnamed_s: float = 0.0
    """For how long it has been a primary while a majority names another."""
    astray_s: float = 0.0
    """For how long it has been a replica of another node than the one named."""


@dataclass(frozen=True, slots=True)
class Follow:
    primary: Address
    reason: str


def decide(me: Address, own: Own, words: Words, standing: Standing) -> Follow | None:
    """Whom to follow instead; None where nothing is to be done."""
    named = words.named
    if named is None or named == me:
        return None
    if own.role is Role.PRIMARY:
        return _of_primary(named, words, standing)
    if own.follows != named:
        if standing.astray_s < ASTRAY_S or words.may_replace(named):
            return None
        return Follow(
            named, f"it followed {text(own.follows)}" if own.follows else "it followed nobody"
        )
    return None


def _of_primary(named: Address, words: Words, standing: Standing) -> Follow | None:
    if standing.was_named:
        return Follow(named, f"the Sentinels name {text(named)} now")
    # A node that was just promoted takes writes for up to a second before the Sentinels name it.
    if words.failover or standing.unnamed_s < PROMOTED_S:
        return None
    return Follow(named, f"no majority named this node within {PROMOTED_S:.0f} s")
