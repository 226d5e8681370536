"""What puts a Sentinel's list of nodes right: the decision.

`forget` is for the dead that were taken out of the configuration: a Sentinel never forgets, and a
majority that counts the dead is no longer reached after a scale-down. `introduce` is for those
that it has lost, by a RESET of somebody else's: without a replica there is no failover.
`reconnect` is for those that it knows, and that somebody else answers for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum

from guarita.node.sentinel_view import View, named_by_majority
from guarita.stores.durability import Address

PATIENCE_S = 10.0
# Where there is nobody to promote: a Sentinel takes no replica whose link has been down for
# `down-after` and ten times that (Redis, sentinelSelectSlave), counted from its own start.
URGENT_S = 2.0


class Step(StrEnum):
    FORGET = "forget"  # SENTINEL RESET, on this Sentinel alone
    INTRODUCE = "introduce"  # start it anew: its file names everybody
    RECONNECT = "reconnect"  # it looks every name up again, and signs in


@dataclass(frozen=True, slots=True)
class Change:
    step: Step
    reason: str
    patience_s: float = PATIENCE_S


@dataclass(frozen=True, slots=True)
class Scene:
    """All that is looked at."""

    me: Address
    views: Mapping[Address, View | None]
    """Of the configured Sentinels, in the order of the configuration."""
    peers: Set[Address]
    """The configured data nodes."""
    primary_answers: bool
    """Whether the data node that a majority names answers as primary."""


def decide(scene: Scene) -> Change | None:
    """What to do once this has been said for its patience; None where nothing is to be done.

    One Sentinel at a time, by their addresses: the others keep what this one is about to lose. By
    connecting anew it loses nothing.
    """
    own = scene.views.get(scene.me)
    if own is None:
        return None
    if own.strange and scene.primary_answers:
        reason = f"something answers at {_words(sorted(own.strange))}, and that not as a node"
        return Change(Step.RECONNECT, reason)
    if not _those_before_are_clean(scene, own):
        return None
    if missing := _missing(own, scene):
        nobody_left = not (own.healthy or own.replicas.keys() & scene.peers)
        patience_s = URGENT_S if nobody_left else PATIENCE_S
        return Change(Step.INTRODUCE, f"it does not know {_words(missing)}", patience_s)
    dead = _dead(own, scene)
    if not dead or not _may_forget(own, scene):
        return None
    return Change(Step.FORGET, f"{_words(dead)} is down and not in the configuration")


def _may_forget(own: View, scene: Scene) -> bool:
    """A majority names one primary that is well, and everybody who stays is there."""
    views = list(scene.views.values())
    named = named_by_majority(views, len(views))
    return (
        named == own.primary
        and scene.primary_answers
        and all(view is not None and view.healthy for view in views)
        and not any(own.replicas[peer] for peer in scene.peers - {own.primary})
    )


def _those_before_are_clean(scene: Scene, own: View) -> bool:
    """One that is silent has nothing to lose, and must not keep the others from learning."""
    for sentinel in sorted(each for each in scene.views if each < scene.me):
        view = scene.views[sentinel]
        if view is None:
            continue
        if view.primary != own.primary:
            return False
        if _missing(view, scene, sentinel) or _dead(view, scene):
            return False
    return True


def _missing(view: View, scene: Scene, sentinel: Address | None = None) -> list[Address]:
    """Who of the configuration is not in this Sentinel's lists."""
    others = scene.views.keys() - {sentinel or scene.me}
    replicas = scene.peers - {view.primary} - view.replicas.keys()
    return sorted(replicas | (others - view.sentinels.keys()))


def _dead(view: View, scene: Scene) -> list[Address]:
    """Who is down and not in the configuration any more."""
    replicas = {each for each, down in view.replicas.items() if down} - scene.peers
    sentinels = {each for each, down in view.sentinels.items() if down} - scene.views.keys()
    return sorted(replicas | sentinels)


def _words(addresses: Sequence[Address]) -> str:
    return ", ".join(f"{host}:{port}" for host, port in addresses)
