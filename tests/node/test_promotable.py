"""Whether Sentinel may promote a node: priority 0 until it has caught up."""

from __future__ import annotations

from itertools import product

from guarita.node.promotable import Change, PrimaryWord, decide

from .facts import A, B, history, own, peer

HERE = PrimaryWord(b"stream", 100, lists_me=True)
GONE_BY = {A: None, B: peer(B)}  # A is the primary


def became(change: Change | None, before: bool) -> bool:
    return change.promotable if change else before


def test_it_becomes_promotable_once_it_has_all_that_its_primary_had():
    assert became(decide(own(offset=100), False, HERE, {}), False)
    assert not became(decide(own(offset=99), False, HERE, {}), False)


def test_another_stream_or_no_link_or_a_load_under_way_is_not_caught_up():
    for node in (
        own(history=history(id=b"other")),
        own(link_up=False),
        own(history=None),
    ):
        assert not became(decide(node, False, HERE, {}), False)


def test_one_that_is_detached_while_its_primary_goes_on_is_not_promotable_any_more():
    detached = own(link_up=False)
    left_it = PrimaryWord(b"stream", 100, lists_me=False)
    assert not became(decide(detached, True, left_it, {}), True)
    assert became(decide(detached, True, HERE, {}), True)  # its primary has not noticed yet


def test_one_that_had_caught_up_stays_promotable_when_its_primary_is_gone():
    assert became(decide(own(link_up=False), True, None, GONE_BY), True)


def test_without_a_primary_the_one_that_no_other_surpasses_becomes_promotable():
    alone = own(link_up=False)
    assert became(decide(alone, False, None, GONE_BY), False)
    for other in (None, peer(B, None), peer(B, 11)):
        assert not became(decide(alone, False, None, {A: None, B: other}), False)


def test_a_primary_that_waits_with_more_history_is_not_gone():
    alone = own(link_up=False)
    for waiting in (peer(A, 11), peer(A, None)):
        assert not became(decide(alone, False, None, {A: waiting, B: peer(B)}), False)
    assert became(decide(alone, False, None, {A: peer(A, 9), B: peer(B)}), False)


def test_every_combination_never_makes_one_promotable_that_may_lack_something():
    for link_up, before, primary, other in product(
        (True, False),
        (True, False),
        (None, HERE, PrimaryWord(b"stream", 101, True), PrimaryWord(b"new", 1, True)),
        (None, peer(B, 9), peer(B, 11)),
    ):
        after = became(decide(own(link_up=link_up), before, primary, {A: None, B: other}), before)
        caught_up = link_up and primary == HERE
        foremost = primary is None and not link_up and other == peer(B, 9)
        if after and not before:
            assert caught_up or foremost
