"""When a replica that is to stop may go: the decision.

A replica that just stops is required until two Sentinels have had no answer for 2 s and report it
down, and writes stand still meanwhile. So it closes its door to the Sentinels first, stays attached
and has every write until they have voted it out, and then goes: nobody waits for it.
"""

from __future__ import annotations

from enum import StrEnum

from guarita.node.own import Own
from guarita.node.peers import PeerState, Role, State
from guarita.node.words import Words
from guarita.stores.discovery import STEADY_INTERVAL_S
from guarita.stores.durability import APART_S, VOTERS, Address

# Two readings of a service that looks once a second, and the time that its last one may take.
VOTED_OUT_S = APART_S + STEADY_INTERVAL_S + 0.6
# A link is down for a moment where the primary has just changed; a server tries once a second.
DETACHED_S = 2.0
SILENT_S = 1.0  # of the primary's agent, which may just be late


class Step(StrEnum):
    STAY = "stay"
    GO = "go"


def is_handing_over(own: Own | None, primary: PeerState | None, silent_s: float) -> bool:
    """Whether the primary of this replica is to stop as well, by the word of its agent, which may
    have said nothing for `silent_s`: it has all who are attached follow the next one, as long as
    it reaches them."""
    if own is None or own.role is Role.PRIMARY:
        return False
    if primary is None:
        return own.link_up and silent_s < SILENT_S
    return primary.leads and primary.state is State.LEAVING


def decide(
    me: Address, own: Own | None, words: Words, agreed_s: float, detached_s: float
) -> tuple[Step, str]:
    """Whether to go on staying attached. `agreed_s`: for how long the Sentinels have agreed;
    `detached_s`: for how long its link to a primary has been down.

    While a switch spreads, no majority may name anybody; they vote all the same.
    """
    if own is None or own.role is Role.PRIMARY or detached_s >= DETACHED_S:
        return Step.GO, "it is attached to no primary"
    if len(words.readings) < VOTERS:
        return Step.GO, "too few Sentinels answer to vote"
    if not words.agrees_down(me):
        return Step.STAY, "the Sentinels have not noticed yet"
    if agreed_s < VOTED_OUT_S:
        return Step.STAY, "the services have not seen that yet"
    return Step.GO, "the Sentinels have voted it out"
