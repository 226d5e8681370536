"""Values that the decisions of the agent are tried on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from guarita.node.own import Own
from guarita.node.peers import PeerState, Role, State
from guarita.node.words import Words
from guarita.stores.durability import Address, Reading
from guarita.stores.guard import History

ME: Address = ("n1", 1)
A: Address = ("n2", 2)
B: Address = ("n3", 3)
NODES = frozenset({ME, A, B})


def history(tallied: int = 10, *, id: bytes = b"stream", offset: int = 100) -> History:
    return History(id, offset, tallied)


def own(role: Role = Role.REPLICA, **changes: object) -> Own:
    """A node in good order: a primary, or a replica of A."""
    follows = A if role is Role.REPLICA else None
    good = Own(role, follows, role is Role.REPLICA, False, 100, history(), (), 0.0)
    return replace(good, **changes)  # type: ignore[arg-type]


def says(primary: Address = ME, **changes: object) -> Reading:
    """A Sentinel that sees all well."""
    others = NODES - {primary}
    good = Reading("s", primary, True, frozenset(NODES), frozenset(), frozenset(others))
    return replace(good, **changes)  # type: ignore[arg-type]


def words(*named: Address | Reading, sentinels: int = 3) -> Words:
    """What those that answer say."""
    readings = (each if isinstance(each, Reading) else says(each) for each in named)
    return Words(sentinels, tuple(readings))


def heard(named: Iterable[Address | None], **of_last: object) -> Words:
    """What those say that name somebody, each in turn; the last of them says this as well."""
    readings = [says(each) for each in named if each]
    return words(*readings[:-1], *(replace(each, **of_last) for each in readings[-1:]))  # type: ignore[arg-type]


def peer(
    node: Address,
    tallied: int | None = 10,
    role: Role = Role.REPLICA,
    state: State = State.RUNNING,
) -> PeerState:
    return PeerState(node, state, role, None if tallied is None else history(tallied, id=b"old"))
