"""Whom a Sentinel watches at its first start."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from guarita.node import first
from guarita.node.peers import PeerState, Role, State
from guarita.node.sentinel_view import View
from guarita.stores.durability import Address
from guarita.stores.guard import History

A: Address = ("n1", 1)
B: Address = ("n2", 2)
C: Address = ("n3", 3)


def view(primary: Address, epoch: int = 0) -> View:
    return View(primary, epoch, True, {}, {})


def peer(
    node: Address,
    tallied: int | None = 0,
    *,
    offset: int = 0,
    role: Role = Role.REPLICA,
    state: State = State.BOOTING,
) -> PeerState:
    history = None if tallied is None else History(b"stream", offset, tallied)
    return PeerState(node, state, role, history)


NOBODY = {A: None, B: None, C: None}


@pytest.mark.parametrize(
    ("views", "primary", "epoch"),
    [
        ([view(B, 3), view(B, 4), None], B, 4),
        ([view(B, 3), view(C, 4), None], C, 4),
        ([view(B, 3), None, None], B, 3),
        ([view(B, 1), view(B, 1), view(C, 9), None, None], C, 9),
        ([view(B, 1), view(B, 1), view(B, 1), view(C, 9), None], B, 1),
    ],
)
def test_what_other_sentinels_name_comes_first(
    views: list[View | None], primary: Address, epoch: int
) -> None:
    peers = {A: peer(A, role=Role.PRIMARY, state=State.RUNNING), B: None, C: None}
    choice = first.decide(views, peers, [A], 0)
    assert choice
    assert (choice.primary, choice.config_epoch) == (primary, epoch)


@pytest.mark.parametrize(
    ("views", "named"),
    [
        ([view(B, 4), view(B, 4)], B),
        ([view(B, 4), view(B, 3)], B),
        ([view(B, 3), view(B, 3)], None),  # what its file has is not older
        ([view(A, 4), view(A, 4)], None),
        ([view(B, 4), view(A, 3)], None),
        ([view(B, 4), None], None),
        ([None, None], None),
    ],
)
def test_who_has_replaced_the_primary_of_a_file_is_believed_of_a_majority(
    views: list[View | None], named: Address | None
) -> None:
    choice = first.later(A, 3, views, 3)
    assert (choice and (choice.primary, choice.config_epoch)) == (named and (named, 4))


def test_a_leader_that_still_names_the_old_primary_gives_no_epoch_of_the_new_one() -> None:
    leading = View(B, 4, False, {}, {})  # it has promoted C, and has the epoch of that
    switched = view(C, 4)
    for views in ([leading, switched, None], [switched, leading, None]):
        choice = first.decide(views, NOBODY, [], 0)
        assert choice
        assert (choice.primary, choice.config_epoch) == (C, 4)
    for views in ([leading, None, None], [leading, view(B, 3), None], [view(B, 3), leading, None]):
        choice = first.decide(views, NOBODY, [], 0)
        assert choice
        assert (choice.primary, choice.config_epoch) == (B, 3)


@pytest.mark.parametrize(
    ("peers", "leading", "primary"),
    [
        # One that runs as primary, whatever others hold; of two the one with more history.
        ({A: None, B: peer(B, 1, role=Role.PRIMARY, state=State.RUNNING), C: peer(C, 9)}, [], B),
        (
            {
                A: peer(A, 1, role=Role.PRIMARY, state=State.RUNNING),
                B: peer(B, 2, role=Role.PRIMARY, state=State.LEAVING),
                C: None,
            },
            [],
            B,
        ),
        # A primary without an agent, where it is the only one.
        (NOBODY, [C], C),
        # All boot: the one with most history, and the first of equals.
        ({A: peer(A, 4), B: peer(B, 5), C: peer(C, 4, offset=99)}, [], B),
        ({A: peer(A, 4), B: peer(B, 4, offset=7), C: peer(C, 4)}, [], B),
        ({A: peer(A), B: peer(B), C: peer(C)}, [], A),
        # A server that boots says "primary" of itself as long as it was told nothing.
        ({A: peer(A, 4), B: peer(B, 3, role=Role.PRIMARY), C: peer(C, 4)}, [], A),
    ],
)
def test_then_what_data_nodes_say(
    peers: dict[Address, PeerState | None], leading: list[Address], primary: Address
) -> None:
    choice = first.decide([None, None, None], peers, leading, 0)
    assert choice
    assert (choice.primary, choice.config_epoch) == (primary, 0)


@pytest.mark.parametrize("leading", [[], [A, B]])
def test_who_is_silent_is_waited_for_for_a_while(leading: list[Address]) -> None:
    for peers in (NOBODY, {A: peer(A, 4), B: None, C: peer(C, 5)}):
        assert first.decide([None, None, None], peers, leading, first.PATIENCE_S - 0.1) is None
    silent = first.decide([None, None, None], NOBODY, leading, first.PATIENCE_S)
    assert silent
    assert silent.primary == A
    some = first.decide([None], {A: peer(A, 4), B: None, C: peer(C, 5)}, leading, first.PATIENCE_S)
    assert some
    assert some.primary == C


def test_who_loads_its_data_is_waited_for_as_long_as_it_takes() -> None:
    peers = {A: peer(A, 4), B: peer(B, None), C: None}
    assert first.decide([None, None, None], peers, [], 3600) is None


def test_every_combination_of_views_watches_whom_a_majority_or_the_newest_of_them_names() -> None:
    """Whatever data nodes say, and however long it took. With each view, the epoch that counts."""
    leads = peer(A, role=Role.PRIMARY, state=State.RUNNING)
    kinds = (
        None,
        (view(B, 3), 3),
        (view(B, 4), 4),
        (view(C, 6), 6),
        (View(C, 6, False, {}, {}), 5),
    )
    for seen in product(kinds, repeat=4):
        answers = [(each[0].primary, each[1]) for each in seen if each]
        named = [primary for primary, _ in answers]
        of_majority = [each for each in answers if named.count(each[0]) >= 3]
        expected = max(of_majority or answers, key=lambda each: each[1], default=None)
        views = [each and each[0] for each in seen]
        for peers, leading, waited_s in (
            (NOBODY, [A], 0.0),
            ({A: leads, B: None, C: None}, [], 0.0),
            ({A: peer(A, 9), B: peer(B), C: peer(C, None)}, [], 3600.0),
        ):
            choice = first.decide([*views, None], peers, leading, waited_s)
            if expected:
                assert choice
                assert (choice.primary, choice.config_epoch) == expected


def test_every_combination_of_data_nodes_watches_the_foremost_that_leads_or_else_of_all() -> None:
    silent, loads = None, peer(A, None)
    behind = peer(A, 3, role=Role.PRIMARY, state=State.RUNNING)
    ahead = peer(A, 6, role=Role.PRIMARY, state=State.LEAVING)
    booting = (peer(A, 4), peer(A, 4, offset=9), peer(A, 5, role=Role.PRIMARY))
    kinds = (silent, loads, behind, *booting, ahead)  # from the least history to the most

    def foremost(nodes: list[Address]) -> Address | None:
        return max(nodes, key=lambda node: kinds.index(is_a[node]), default=None)

    for combination, leading, waited_s in product(
        product(kinds, repeat=3), ([], [B], [A, B]), (first.PATIENCE_S - 0.1, first.PATIENCE_S)
    ):
        is_a = dict(zip((A, B, C), combination, strict=True))
        peers = {node: kind and replace(kind, node=node) for node, kind in is_a.items()}
        known = [node for node, kind in is_a.items() if kind not in (silent, loads)]
        leads = [node for node, kind in is_a.items() if kind in (behind, ahead)]
        if leads:
            expected = foremost(leads)
        elif leading == [B]:
            expected = B
        elif len(known) == 3:
            expected = foremost(known)
        elif loads in combination or waited_s < first.PATIENCE_S:
            expected = None
        else:
            expected = foremost(known) or A
        choice = first.decide([None, None, None], peers, leading, waited_s)
        assert (choice and choice.primary) == expected
        assert choice is None or choice.config_epoch == 0
