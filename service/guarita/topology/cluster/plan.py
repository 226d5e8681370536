"""What is to be done to make one Cluster of these nodes: a function of what they say.

Each step may be repeated, and two who take steps at once take the same ones. Slots are given out
once, at the first start; whose slots are gone with their node is for a person to decide.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from guarita.errors import TopologyError
from guarita.topology.cluster.view import Address, Member, View

SLOTS = 16384

Views = Mapping[Address, View]  # of the nodes that answer, by their configured address
Command = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """A command of `CLUSTER` for one node, and in words what it does; "" where nobody cares."""

    at: Address
    command: Command
    words: str = ""


@dataclass(frozen=True, slots=True)
class Meet:
    """Have one node meet another, whose name is resolved when it is done."""

    at: Address
    whom: Address


@dataclass(frozen=True, slots=True)
class Installation:
    """The nodes as they are configured, in their order: the first are the first primaries."""

    nodes: tuple[Address, ...]
    replicas: int

    @property
    def shares(self) -> dict[Address, range]:
        """The slots of each first primary."""
        count = len(self.nodes) // (1 + self.replicas)
        ends = [number * SLOTS // count for number in range(count + 1)]
        starts = zip(self.nodes, ends, ends[1:], strict=False)
        return {node: range(start, end) for node, start, end in starts}


def steps(installation: Installation, views: Views) -> list[Step | Meet]:
    """What can be done now; empty when everything is done, or must be waited for.

    Raises `TopologyError` where something would be damaged: two Clusters would become one, or slots
    would be given out whose keys are elsewhere.
    """
    _check_kinship(views)
    is_complete = len(views) == len(installation.nodes)
    owned = {slot for view in views.values() for slot in _slots_of(view.members)}
    if not owned:
        if not is_complete:
            return []
        _check_blank(views)
    if unmet := list(_unmet(views)):
        return [*(() if owned else _epochs(installation, views)), *unmet]
    if len(owned) < SLOTS:
        return list(_gifts(installation, views, owned)) if is_complete else []
    if joins := list(_joins(views)):
        return [*joins]
    return list(_farewells(views)) if is_complete else []


def obstacle(installation: Installation, views: Views) -> str:
    """What is missing where all answer and no step is left, in words; "" when nothing is."""
    for node, member in _replaced(views):
        return f"{named(node)} has not noticed yet that another node is in the place of {member.id}"
    for node in installation.nodes:
        view = views[node]
        for slots, owner in _lost(view):
            return f"slots {slots} belong to {owner}, which {named(node)} takes for failed"
        if not view.is_ok:
            return f"{named(node)} says that the Cluster is not ok"
        if not view.link_up:
            return f"{named(node)} is not linked to its primary"
        for other, others in views.items():
            if not _agree(view.known(others.id), others.me):
                return f"{named(node)} has not heard yet what {named(other)} is"
    return ""


def _agree(one: Member | None, other: Member) -> bool:
    return one is not None and (one.slots, one.primary_id) == (other.slots, other.primary_id)


def named(node: Address) -> str:
    """`host:port`."""
    return f"{node[0]}:{node[1]}"


def summary(views: Views) -> str:
    """How many serve, in words."""
    primaries = sum(view.me.serves for view in views.values())
    return f"{primaries} primaries, {len(views) - primaries} replicas"


# What must never happen


def _check_kinship(views: Views) -> None:
    """Nodes that do not know each other, also not through others, may meet where one is new."""
    old = [nodes for nodes in _families(views) if not all(_is_new(views[each]) for each in nodes)]
    if len(old) > 1:
        raise TopologyError(
            f"{named(old[0][0])} and {named(old[1][0])} belong to two Clusters, which are never "
            "made one: store.cluster.nodes must be nodes of one, and new ones without keys."
        )


def _families(views: Views) -> list[list[Address]]:
    """The nodes, those together that know each other."""
    families: list[list[Address]] = []
    for node, view in views.items():
        kin = [each for each in families if any(_are_kin(view, views[one]) for one in each)]
        families = [each for each in families if each not in kin]
        families.append([*(one for each in kin for one in each), node])
    return families


def _are_kin(one: View, other: View) -> bool:
    return bool(one.known(other.id) or other.known(one.id))


def _is_new(view: View) -> bool:
    return not view.keys and not any(member.slots for member in view.members)


def _check_blank(views: Views) -> None:
    """Nobody has slots yet."""
    ids = {view.id for view in views.values()}
    for node, view in views.items():
        if view.keys:
            raise TopologyError(f"{named(node)} holds {view.keys} keys and has no slots: empty it.")
        for member in view.members:
            if member.id not in ids and not member.failed:
                raise TopologyError(
                    f"{named(node)} knows {member.host}:{member.port}, which is not one of "
                    "store.cluster.nodes: add it, or `CLUSTER RESET` both."
                )


# The steps


def _unmet(views: Views) -> Iterator[Meet]:
    for node, view in views.items():
        for other, others in views.items():
            if other != node and not view.sees(others.id):
                yield Meet(node, other)


def _epochs(installation: Installation, views: Views) -> Iterator[Step]:
    """Different ones from the start; it is possible only before a node meets the first other."""
    for number, node in enumerate(installation.nodes, start=1):
        if views[node].epoch == 0 and len(views[node].members) == 1:
            yield Step(node, ("SET-CONFIG-EPOCH", number))


def _gifts(installation: Installation, views: Views, owned: set[int]) -> Iterator[Step]:
    """The rest of the slots, where those that have an owner have the one they were meant for."""
    for node, view in views.items():
        meant = installation.shares.get(node, range(0))
        is_replica = "master" not in view.me.flags
        if not set(_slots_of([view.me])) <= set(meant) or (meant and is_replica):
            raise TopologyError(
                f"{SLOTS - len(owned)} slots belong to nobody, and the others were not given out "
                "in the order of store.cluster.nodes: give them out with `CLUSTER ADDSLOTSRANGE`."
            )
    for node, meant in installation.shares.items():
        if views[node].keys:
            keys = views[node].keys
            raise TopologyError(f"{named(node)} holds {keys} keys and lacks slots: empty it.")
        for first, last in _runs(slot for slot in meant if slot not in owned):
            words = f"{named(node)} gets the slots {first} to {last}"
            yield Step(node, ("ADDSLOTSRANGE", first, last), words)


def _joins(views: Views) -> Iterator[Step]:
    """Who has no slots follows the primary that has fewest replicas."""
    owners = sorted(
        (view.me.slots, node) for node, view in views.items() if view.me.serves
    )  # as each says of itself
    followers = Counter(_followed(views))
    for node, view in views.items():
        slots_by_others = any(
            member.slots for each in views.values() if (member := each.known(view.id))
        )
        if "master" not in view.me.flags or slots_by_others or not owners:
            continue
        primary = min((node for _, node in owners), key=lambda each: followers[views[each].id])
        followers[views[primary].id] += 1
        words = f"{named(node)} follows {named(primary)}"
        yield Step(node, ("REPLICATE", views[primary].id), words)


def _followed(views: Views) -> Iterator[str]:
    """The primary of each replica that is well: by its own word, else by that of the first node."""
    ids = {view.id for view in views.values()}
    yield from (view.me.primary_id for view in views.values())
    for view in list(views.values())[:1]:
        yield from (each.primary_id for each in view.members if each.id not in ids | _failed(view))


def _failed(view: View) -> set[str]:
    return {member.id for member in view.members if member.failed}


def _farewells(views: Views) -> Iterator[Step]:
    """Forget whose place another one has: a node that lost its directory comes back as another.

    Where that one answers in its place, a node is left without an address (`noaddr`).
    """
    for node, member in _replaced(views):
        if not member.flags.isdisjoint({"noaddr", "fail"}):
            words = f"{named(node)} forgets {member.id}, in whose place another one is"
            yield Step(node, ("FORGET", member.id), words)


def _replaced(views: Views) -> Iterator[tuple[Address, Member]]:
    """Who knows whom of those in whose place another one answers."""
    ids = {view.id for view in views.values()}
    places = {_place(view.me) for view in views.values()}
    for node, view in views.items():
        for member in view.members:
            if member.id in ids or member.slots:
                continue
            if "noaddr" in member.flags or _place(member) in places:
                yield node, member


def _place(member: Member) -> Address:
    return (member.name or member.host, member.port)


# Slots


def _slots_of(members: tuple[Member, ...] | list[Member]) -> Iterator[int]:
    for member in members:
        for first, last in member.slots:
            yield from range(first, last + 1)


def _lost(view: View) -> Iterator[tuple[str, str]]:
    """Slots whose owner has failed, in this view."""
    for member in view.members:
        if member.slots and member.failed:
            slots = ", ".join(f"{first} to {last}" for first, last in member.slots)
            yield slots, f"{member.host}:{member.port}"


def _runs(slots: Iterator[int]) -> Iterator[tuple[int, int]]:
    """The first and the last of each run of numbers that follow one another."""
    run: list[int] = []
    for slot in slots:
        if run and slot != run[-1] + 1:
            yield run[0], run[-1]
            run = []
        run.append(slot)
    if run:
        yield run[0], run[-1]
