"""When a Sentinel forgets the dead, and when it is told again of those whom it has lost."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from guarita.node.forget import PATIENCE_S, URGENT_S, Scene, Step, decide
from guarita.node.sentinel_view import View, _is_strange, named_by_majority
from guarita.stores.durability import Address

S1, S2, S3 = SENTINELS = [("s1", 1), ("s2", 2), ("s3", 3)]
A: Address = ("n1", 1)
B: Address = ("n2", 2)
C: Address = ("n3", 3)
GONE: Address = ("gone", 9)
PEERS = frozenset({A, B, C})


def view(me: Address, **changes: object) -> View:
    """A Sentinel that sees everybody well."""
    others = {each: False for each in SENTINELS if each != me}
    return replace(View(A, 1, True, {B: False, C: False}, others), **changes)  # type: ignore[arg-type]


def scene(me: Address = S1, views: dict[Address, View | None] | None = None) -> Scene:
    """All are well, but for the views that are given."""
    well: dict[Address, View | None] = {each: view(each) for each in SENTINELS}
    return Scene(me, well | (views or {}), PEERS, True)


def with_dead_replica(me: Address, **changes: object) -> View:
    return view(me, **({"replicas": {B: False, C: False, GONE: True}} | changes))


def with_dead_sentinel(me: Address, **changes: object) -> View:
    seen = view(me).sentinels
    return view(me, sentinels={**seen, GONE: True}, **changes)


def step(of: Scene) -> Step | None:
    change = decide(of)
    return change.step if change else None


def test_where_all_is_well_nothing_is_done() -> None:
    for me in SENTINELS:
        assert decide(scene(me)) is None


def test_a_sentinel_that_a_stranger_answers_connects_anew_whatever_the_others_see() -> None:
    for me in SENTINELS:
        views: dict[Address, View | None] = {each: with_dead_replica(each) for each in SENTINELS}
        views[me] = with_dead_replica(me, strange=frozenset({C}))
        acting = [each for each in SENTINELS if step(scene(each, views)) is Step.RECONNECT]
        assert acting == [me]
        change = decide(scene(me, views))
        assert change is not None
        assert change.patience_s == PATIENCE_S
        assert "n3:3" in change.reason


def test_nobody_connects_anew_while_the_primary_does_not_answer() -> None:
    views: dict[Address, View | None] = {S1: view(S1, strange=frozenset({C}))}
    assert decide(replace(scene(S1, views), primary_answers=False)) is None


@pytest.mark.parametrize(
    ("flags", "last_ms", "good_ms", "strange"),
    [
        ("slave,s_down", 90, 9000, True),
        ("slave", 90, 9000, False),
        ("slave,s_down,disconnected", 90, 9000, True),
        ("slave,s_down,disconnected", 9000, 9000, False),
        ("slave,s_down", 9000, 9000, False),
        ("slave,s_down", 90, 90, False),
    ],
)
def test_a_stranger_is_who_answers_and_not_as_a_node(
    flags: str, last_ms: int, good_ms: int, strange: bool
) -> None:
    row = {"flags": flags, "last-ping-reply": last_ms, "last-ok-ping-reply": str(good_ms)}
    assert _is_strange(row) == strange


@pytest.mark.parametrize("with_dead", [with_dead_replica, with_dead_sentinel])
def test_one_sentinel_after_the_other_forgets_the_dead(with_dead: object) -> None:
    assert callable(with_dead)
    views: dict[Address, View | None] = {each: with_dead(each) for each in SENTINELS}
    for me in SENTINELS:
        acting = [each for each in SENTINELS if step(scene(each, views)) is Step.FORGET]
        assert acting == [me]
        change = decide(scene(me, views))
        assert change
        assert "gone:9 is down" in change.reason
        # It knows nobody for a moment: the next one waits until it knows everybody.
        views[me] = view(me, replicas={}, sentinels={})
        assert not [each for each in SENTINELS if step(scene(each, views)) is Step.FORGET]
        views[me] = view(me)


def test_who_lives_or_is_configured_is_not_forgotten() -> None:
    alive = view(S1, replicas={B: False, C: False, GONE: False})
    assert decide(scene(S1, {S1: alive})) is None
    for configured in (
        view(S1, replicas={B: False, C: True}),
        view(S1, sentinels={S2: True, S3: False}),
    ):
        assert decide(scene(S1, {S1: configured})) is None


@pytest.mark.parametrize(
    "views",
    [
        {S2: None},
        {S1: with_dead_replica(S1, healthy=False)},
        {S2: view(S2, healthy=False)},
        {S1: with_dead_replica(S1, primary=B, replicas={A: False, C: False, GONE: True})},
        {S1: view(S1, replicas={B: False, C: True, GONE: True})},
    ],
    ids=["a silent one", "flagged here", "flagged there", "another primary", "a peer is down"],
)
def test_nobody_is_forgotten_while_anything_else_is_amiss(
    views: dict[Address, View | None],
) -> None:
    assert step(scene(S1, {S1: with_dead_replica(S1)})) is Step.FORGET
    assert decide(scene(S1, {S1: with_dead_replica(S1)} | views)) is None


def test_nobody_is_forgotten_while_the_primary_does_not_answer_as_one() -> None:
    bad = replace(scene(S1, {S1: with_dead_replica(S1)}), primary_answers=False)
    assert decide(bad) is None


@pytest.mark.parametrize(
    "lost",
    [view(S1, replicas={B: False}), view(S1, sentinels={S2: False}), view(S1, replicas={})],
)
def test_whom_a_sentinel_has_lost_it_is_told_of_again(lost: View) -> None:
    change = decide(scene(S1, {S1: lost}))
    assert change
    assert change.step is Step.INTRODUCE
    # Also while the primary is dead: without replicas nobody replaces it.
    dead = replace(scene(S1, {S1: replace(lost, healthy=False)}), primary_answers=False)
    assert step(dead) is Step.INTRODUCE


def test_of_those_that_lost_somebody_the_first_is_told_first() -> None:
    lost: dict[Address, View | None] = {each: view(each, replicas={}) for each in SENTINELS}
    assert [step(scene(me, lost)) for me in SENTINELS] == [Step.INTRODUCE, None, None]
    # One that is silent keeps nobody from it: without replicas there is no failover.
    lost[S1] = None
    assert [step(scene(me, lost)) for me in SENTINELS] == [None, Step.INTRODUCE, None]


@pytest.mark.parametrize(
    ("healthy", "replicas", "patience_s"),
    [
        (False, {}, URGENT_S),
        (False, {GONE: False}, URGENT_S),
        (False, {B: False}, PATIENCE_S),
        (True, {}, PATIENCE_S),
    ],
    ids=["dead", "dead, and a stranger", "dead, but one is known", "well"],
)
def test_it_is_urgent_where_the_primary_is_dead_and_nobody_could_follow_it(
    healthy: bool, replicas: dict[Address, bool], patience_s: float
) -> None:
    change = decide(scene(S1, {S1: view(S1, healthy=healthy, replicas=replicas)}))
    assert change
    assert (change.step, change.patience_s) == (Step.INTRODUCE, patience_s)


def test_never_do_two_sentinels_act_on_what_they_all_see() -> None:
    kinds = [
        lambda me: view(me),
        lambda me: with_dead_replica(me),
        lambda me: with_dead_sentinel(me),
        lambda me: view(me, replicas={}),
        lambda me: view(me, primary=B, replicas={A: False, C: False}),
        lambda me: with_dead_replica(me, healthy=False),
        lambda me: None,
    ]
    acted = 0
    for choice in product(kinds, repeat=3):
        views = {me: kind(me) for me, kind in zip(SENTINELS, choice, strict=True)}
        acting = [me for me in SENTINELS if decide(scene(me, views))]
        assert len(acting) <= 1
        acted += len(acting)
        forgetting = [me for me in acting if step(scene(me, views)) is Step.FORGET]
        if forgetting:
            assert all(view is not None and view.healthy for view in views.values())
            assert named_by_majority(views.values(), 3) == views[forgetting[0]].primary
    assert acted > 50
