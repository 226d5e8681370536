"""What is done to make one Cluster, and what never is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from guarita.errors import TopologyError
from guarita.topology.cluster.plan import SLOTS, Installation, Meet, Step, obstacle, steps
from guarita.topology.cluster.view import Address, Member, View

NODES: tuple[Address, ...] = tuple((f"node-{n}", 6379) for n in range(1, 7))
SIX = Installation(NODES, replicas=1)
SHARES = ((0, 5460), (5461, 10921), (10922, 16383))

Views = dict[Address, View]


def member(number: int) -> Member:
    master = frozenset({"master"})
    return Member(f"id-{number}", f"10.0.0.{number}", 6379, "", master, "", (), linked=True)


def whole() -> list[Member]:
    primaries = [replace(member(n), slots=(SHARES[n - 1],)) for n in (1, 2, 3)]
    slave = frozenset({"slave"})
    return [
        *primaries,
        *(replace(member(n), flags=slave, primary_id=f"id-{n - 3}") for n in (4, 5, 6)),
    ]


def view(number: int, members: list[Member], *, keys: int = 0) -> View:
    return View(f"id-{number}", tuple(members), is_ok=True, epoch=number, keys=keys, link_up=True)


def all_see(members: list[Member]) -> Views:
    return {node: view(n, members) for n, node in enumerate(NODES, start=1)}


def alone() -> Views:
    return {
        node: replace(view(n, [member(n)]), epoch=0, is_ok=False)
        for n, node in enumerate(NODES, start=1)
    }


def commands(found: list[Step | Meet]) -> list[tuple[Address, tuple[str | int, ...]]]:
    return [(each.at, each.command) for each in found if isinstance(each, Step)]


def test_new_nodes_get_an_epoch_each_and_all_meet_all() -> None:
    found = steps(SIX, alone())
    assert commands(found) == [
        (node, ("SET-CONFIG-EPOCH", n)) for n, node in enumerate(NODES, start=1)
    ]
    assert sum(isinstance(each, Meet) for each in found) == 30


def test_nothing_is_begun_before_all_answer() -> None:
    views = alone()
    del views[NODES[5]]
    assert steps(SIX, views) == []


def test_who_have_met_get_all_slots_and_then_replicas_in_their_order() -> None:
    met = [member(n) for n in range(1, 7)]
    assert commands(steps(SIX, all_see(met))) == [
        (node, ("ADDSLOTSRANGE", *share)) for node, share in zip(NODES, SHARES, strict=False)
    ]
    with_slots = [*whole()[:3], *met[3:]]
    assert commands(steps(SIX, all_see(with_slots))) == [
        (NODES[n + 2], ("REPLICATE", f"id-{n}")) for n in (1, 2, 3)
    ]
    assert steps(SIX, all_see(whole())) == []
    assert obstacle(SIX, all_see(whole())) == ""


def test_slots_go_on_being_given_out_where_it_was_interrupted() -> None:
    half = [whole()[0], *(member(n) for n in range(2, 7))]
    rest = zip(NODES[1:], SHARES[1:], strict=False)
    given = [(node, ("ADDSLOTSRANGE", *share)) for node, share in rest]
    assert commands(steps(SIX, all_see(half))) == given


def test_slots_of_a_primary_that_is_gone_are_never_given_out() -> None:
    dead = frozenset({"master", "fail"})
    members = [replace(whole()[0], id="gone", flags=dead, host="10.0.0.9"), *whole()[1:]]
    new = replace(member(1))
    views = all_see([*members, new])
    told = [words for words, *_ in commands(steps(SIX, views))]
    assert told == [NODES[0]]  # it follows somebody; no ADDSLOTSRANGE
    follows = replace(new, flags=frozenset({"slave"}), primary_id="id-2")
    assert steps(SIX, all_see([*members, follows])) == []
    assert "0 to 5460 belong to 10.0.0.9:6379" in obstacle(SIX, all_see([*members, follows]))


@pytest.mark.parametrize("keys", [0, 7])
def test_two_clusters_are_never_made_one(keys: int) -> None:
    views = all_see(whole())
    other = member(6) if keys else replace(member(6), slots=((0, SLOTS - 1),))
    views = {node: each for node, each in views.items() if node != NODES[5]}
    views = {
        node: replace(each, members=tuple(m for m in each.members if m.id != "id-6"))
        for node, each in views.items()
    }
    views[NODES[5]] = view(6, [other], keys=keys)
    with pytest.raises(TopologyError, match="two Clusters, which are never made one"):
        steps(SIX, views)


def test_who_was_just_met_by_one_node_is_no_other_cluster() -> None:
    five = [each for each in whole() if each.id != "id-6"]
    views = {node: view(n, five) for n, node in enumerate(NODES, start=1)}
    views[NODES[0]] = view(1, [*five, member(6)])
    views[NODES[5]] = view(6, [whole()[0], member(6)])  # knows one, and so all slots of it
    assert Meet(NODES[1], NODES[5]) in steps(SIX, views)


def test_nodes_that_lost_sight_of_each_other_meet_again_and_nothing_else_is_done() -> None:
    lost = [replace(each, linked=False) for each in whole()]
    views = {
        node: view(n, [*(e for e in lost if e.id != f"id-{n}"), whole()[n - 1]])
        for n, node in enumerate(NODES, start=1)
    }
    found = steps(SIX, views)
    assert len(found) == 30
    assert not commands(found)


def test_an_unknown_neighbour_of_new_nodes_is_asked_about() -> None:
    views = alone()
    stranger = replace(member(9), id="a stranger")
    views[NODES[0]] = view(1, [member(1), stranger])
    with pytest.raises(TopologyError, match=r"node-1:6379 knows 10\.0\.0\.9:6379, which is not"):
        steps(SIX, views)


def test_keys_without_slots_are_not_thrown_away() -> None:
    views = alone()
    views[NODES[1]] = replace(views[NODES[1]], keys=3)
    with pytest.raises(TopologyError, match=r"node-2:6379 holds 3 keys and has no slots"):
        steps(SIX, views)


def test_a_new_node_follows_the_primary_that_lacks_a_replica() -> None:
    members = [*whole()[:4], member(5), whole()[5]]
    assert commands(steps(SIX, all_see(members))) == [(NODES[4], ("REPLICATE", "id-2"))]


@pytest.mark.parametrize("flag", ["noaddr", "fail"])
def test_who_was_replaced_is_forgotten_when_all_answer_and_not_before(flag: str) -> None:
    flags = frozenset({"slave", flag})
    replaced = replace(member(6), id="replaced", flags=flags, linked=False, primary_id="id-3")
    views = all_see([*whole(), replaced])
    assert commands(steps(SIX, views)) == [(node, ("FORGET", "replaced")) for node in NODES]
    del views[NODES[0]]
    assert steps(SIX, views) == []


@pytest.mark.parametrize("flag", ["slave", "fail?"])
def test_it_is_not_whole_while_one_node_still_believes_in_who_was_replaced(flag: str) -> None:
    """Its gossip would bring the replaced node back to those that forgot it."""
    flags = frozenset({"slave", flag})
    replaced = replace(member(6), id="replaced", flags=flags, primary_id="id-3")
    views = all_see(whole())
    views[NODES[1]] = view(2, [*whole(), replaced])
    assert steps(SIX, views) == []
    assert "node-2:6379 has not noticed yet" in obstacle(SIX, views)


def test_a_dead_node_that_others_added_is_not_forgotten() -> None:
    dead = replace(member(9), flags=frozenset({"slave", "fail"}), linked=False)
    assert steps(SIX, all_see([*whole(), dead])) == []


def test_slots_given_out_in_another_order_are_left_to_people() -> None:
    other = [member(n) for n in range(1, 7)]
    other[1] = replace(other[1], slots=((0, 100),))
    with pytest.raises(TopologyError, match=r"were not given out in the order of"):
        steps(SIX, all_see(other))
