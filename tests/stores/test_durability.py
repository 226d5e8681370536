"""Who must have a write: every sentence of the rule, and all small histories against it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import combinations_with_replacement, product

import pytest

from guarita.config import Durability
from guarita.stores.durability import (
    APART_S,
    FRESH_S,
    Address,
    Reading,
    Round,
    View,
    decide,
    why_required,
)

P, A, B, C = (("node", port) for port in (1, 2, 3, 4))
NOW_S = 1000.0
BALANCED, STRICT, FAST = Durability.BALANCED, Durability.STRICT, Durability.FAST
NOBODY: frozenset[Address] = frozenset()


def reading(watcher: str = "s1", **changes: object) -> Reading:
    """A Sentinel that sees all well; who is `up` follows from `down` and `unheard`."""
    given = {"primary": P, "primary_healthy": True, "replicas": {A, B}, "down": set(), **changes}
    down, replicas = frozenset(given["down"]), frozenset(given["replicas"])  # type: ignore[call-overload]
    unheard = frozenset(given.get("unheard", ()))  # type: ignore[call-overload]
    up = frozenset(given.get("up", replicas - down - unheard))  # type: ignore[call-overload]
    return Reading(
        watcher,
        given["primary"],  # type: ignore[arg-type]
        given["primary_healthy"],  # type: ignore[arg-type]
        replicas,
        down,
        up,
        unheard,
        bool(given.get("failover")),
        given.get("chosen"),  # type: ignore[arg-type]
        given.get("unanswered_s", {}),  # type: ignore[arg-type]
    )


def rounds(*readings: Reading, ages_s: tuple[float, ...] = (2.5, 0.5)) -> tuple[Round, ...]:
    return tuple(Round(NOW_S - age_s, NOW_S - age_s, readings) for age_s in ages_s)


def view(**changes: object) -> View:
    given = {
        "written_to": P,
        "attached": frozenset({A, B}),
        "known": frozenset({P, A, B}),
        "rounds": rounds(reading("s1"), reading("s2"), reading("s3")),
        **changes,
    }
    return View(**given)  # type: ignore[arg-type]


def required(view: View, durability: Durability = BALANCED, configured=NOBODY) -> set[Address]:
    return set(decide(durability, view, configured, NOW_S).required)


def two_of_three_say_down(**changes: object) -> View:
    """A is dead: detached, and reported down by two Sentinels for two seconds."""
    says = [reading("s1", down={A}), reading("s2", down={A})]
    return view(**{"attached": frozenset({B}), "rounds": rounds(*says), **changes})


def why(view: View, durability: Durability = BALANCED) -> dict[Address, str]:
    return why_required(durability, view, decide(durability, view, NOBODY, NOW_S), NOW_S)


def test_all_replicas_must_have_it_while_all_is_well():
    assert required(view()) == {A, B}


def test_fast_and_standalone_require_nobody():
    for decision in (
        decide(FAST, view(), NOBODY, NOW_S),
        decide(BALANCED, view(watched=False), NOBODY, NOW_S),
    ):
        assert not decision.required
        assert decision.alone_is_enough


def test_a_replica_that_detached_is_required_until_it_is_voted_out():
    assert required(view(attached=frozenset({B}))) == {A, B}


def test_a_replica_is_left_out_by_two_votes_in_two_readings_while_it_is_detached():
    decision = decide(BALANCED, two_of_three_say_down(), NOBODY, NOW_S)
    assert decision.required == {B}
    assert "reported down by 2" in decision.left_out[A]


def test_a_node_that_one_sentinel_names_as_primary_is_required():
    other = reading("s3", primary=C)
    assert C in required(view(rounds=rounds(reading("s1"), other)))


def test_a_node_that_one_sentinel_lists_is_required():
    other = reading("s3", replicas={A, B, C})
    assert C in required(view(rounds=rounds(reading("s1"), other)))


def test_a_node_that_only_the_primary_lists_is_required():
    assert C in required(view(attached=frozenset({A, B, C})))


def test_a_node_known_before_is_required_though_nobody_lists_it_any_more():
    reset = [reading(f"s{i}", replicas=set()) for i in (1, 2, 3)]
    assert required(view(attached=frozenset({B}), rounds=rounds(*reset))) == {A, B}


def test_not_listed_is_no_vote():
    says = [reading("s1", down={A}), reading("s2", replicas=set())]
    assert required(two_of_three_say_down(rounds=rounds(*says))) == {A, B}


def test_configuration_forgets_a_node_and_makes_one_known():
    assert required(view(known=frozenset({P, A, B, C})), configured=frozenset({P, A, B})) == {A, B}
    assert required(view(), configured=frozenset({P, A, B, C})) == {A, B, C}


OURS, WITH_C = frozenset({P, A, B}), frozenset({P, A, B, C})
HEARS_C = [reading(f"s{i}", replicas={A, B, C}) for i in (1, 2, 3)]
C_IS_DOWN = [reading(f"s{i}", replicas={A, B, C}, down={C}) for i in (1, 2, 3)]


@pytest.mark.parametrize("durability", [BALANCED, STRICT])
@pytest.mark.parametrize(
    "given",
    [
        rounds(*HEARS_C),
        rounds(*C_IS_DOWN[:2], HEARS_C[2]),
        rounds(*C_IS_DOWN, ages_s=(0.5,)),  # not for long
        rounds(*C_IS_DOWN[:1]),  # one voter
        rounds(*C_IS_DOWN[:2], reading("s3", primary=C)),
        rounds(*C_IS_DOWN[:2], reading("s3", primary_healthy=False, failover=True, chosen=C)),
        rounds(*C_IS_DOWN, ages_s=(6.5, 0.5)),  # nobody knows what was in between
        (*rounds(*HEARS_C, ages_s=(2.5,)), *rounds(*C_IS_DOWN, ages_s=(0.5,))),
        (*rounds(*C_IS_DOWN), *rounds(ages_s=(0.1,))),  # nobody answers
        (),
    ],
)
def test_one_that_is_not_configured_counts_until_it_is_gone_for_long(
    given: tuple[Round, ...], durability: Durability
):
    """A service that has not heard of a new node yet: that could be promoted all the same."""
    assert required(view(known=WITH_C, rounds=given), durability, OURS) == {A, B, C}


@pytest.mark.parametrize("durability", [BALANCED, STRICT])
def test_one_that_is_not_configured_is_forgotten_once_it_is_gone(durability: Durability):
    just_started = reading("s3", replicas={A, B, C}, unheard={C})
    gone_for_all = (
        C_IS_DOWN,
        [*C_IS_DOWN[:2], just_started],
        [reading(f"s{i}") for i in (1, 2, 3)],
    )
    for gone in gone_for_all:
        decision = decide(durability, view(known=WITH_C, rounds=rounds(*gone)), OURS, NOW_S)
        assert decision.required == {A, B}
        assert not decision.left_out  # nobody misses it
    attached = view(known=WITH_C, attached=frozenset({A, B, C}), rounds=rounds(*C_IS_DOWN))
    assert required(attached, durability, OURS) == {A, B, C}


def test_nobody_is_left_out_where_no_sentinel_answers():
    assert required(two_of_three_say_down(rounds=rounds())) == {A, B}
    assert required(two_of_three_say_down(rounds=())) == {A, B}


def test_the_last_replica_is_not_done_without():
    both = [reading("s1", down={A, B}), reading("s2", down={A, B})]
    alone = view(attached=NOBODY, rounds=rounds(*both))
    decision = decide(BALANCED, alone, NOBODY, NOW_S)
    assert not decision.required
    assert not decision.alone_is_enough


def test_a_cluster_goes_on_with_the_last_node_of_a_slot():
    both = [reading("s1", down={A, B}), reading("s2", down={A, B})]
    alone = view(attached=NOBODY, rounds=rounds(*both), may_stand_alone=True)
    assert decide(BALANCED, alone, NOBODY, NOW_S).alone_is_enough
    waiting = view(attached=NOBODY, may_stand_alone=True)
    assert not decide(BALANCED, waiting, NOBODY, NOW_S).alone_is_enough


def test_strict_never_acknowledges_on_the_last_node_of_a_slot():
    alone = view(attached=NOBODY, known=frozenset({P}), rounds=(), may_stand_alone=True)
    assert decide(BALANCED, alone, NOBODY, NOW_S).alone_is_enough
    assert not decide(STRICT, alone, NOBODY, NOW_S).alone_is_enough


def test_strict_requires_all_always():
    assert required(two_of_three_say_down(), STRICT) == {A, B}
    decision = decide(STRICT, two_of_three_say_down(), frozenset({P, A, B}), NOW_S)
    assert decision.required == {A, B}


def test_every_attached_node_is_required_so_that_the_count_tells_who_has_it():
    extra = view(attached=frozenset({A, B, C}))
    for durability in (BALANCED, STRICT):
        for configured in (NOBODY, frozenset({P, A, B})):
            assert decide(durability, extra, configured, NOW_S).required == {A, B, C}


@pytest.mark.parametrize(
    "objection",
    [
        reading("s3"),  # sees it up
        reading("s3", primary=B, down={A}),
        reading("s3", primary_healthy=False, down={A}),
    ],
    ids=["up", "another primary", "a failover or a primary that is not healthy"],
)
@pytest.mark.parametrize("where", ["first", "last"])
def test_one_sentinel_that_speaks_against_it_ends_it(objection, where):
    votes = (reading("s1", down={A}), reading("s2", down={A}))
    both = (*votes, objection)
    first, last = (both, votes) if where == "first" else (votes, both)
    history = rounds(*first, ages_s=(2.5,)) + rounds(*last, ages_s=(0.5,))
    assert required(two_of_three_say_down(rounds=history)) == {A, B}


@pytest.mark.parametrize(
    ("third", "reason"),
    [
        (reading("s3"), "s3 hears it"),
        (reading("s3", primary=B), "s3 names node:3 as primary"),
        (reading("s3", primary_healthy=False), "s3 does not find the primary well"),
    ],
)
def test_who_speaks_against_leaving_a_node_out_is_named(third, reason):
    votes = (reading("s1", down={A}), reading("s2", down={A}))
    told = why(two_of_three_say_down(rounds=rounds(*votes, third)))
    assert told == {A: f"detached, but {reason}", B: "attached"}


def test_for_how_long_a_node_is_silent_is_told():
    def told(**changes: object) -> str:
        votes = [reading(s, down={A}, **changes) for s in ("s1", "s2")]
        state = two_of_three_say_down(rounds=rounds(*votes))
        return decide(BALANCED, state, NOBODY, NOW_S).left_out[A]

    assert told() == "detached, reported down by 2 or more, silent for 2.5 s"
    assert told(unanswered_s={A: 60.0}).endswith("silent for 60.5 s")


def test_what_is_missing_to_leave_a_node_out_is_told():
    votes = (reading("s1", down={A}), reading("s2", down={A}))
    one = rounds(votes[0], reading("s2", unheard={A}))
    assert why(two_of_three_say_down(rounds=one))[A] == (
        "detached, and reported down by 1 where 2 must"
    )
    near = rounds(*votes, ages_s=(1.0, 0.0))
    assert why(two_of_three_say_down(rounds=near))[A] == (
        "detached, and not yet silent for 2 s to 2 that report it down"
    )
    old = rounds(*votes, ages_s=(FRESH_S + 2.5, FRESH_S + 0.1))
    none_younger = "detached, and no reading is younger than 3 s"
    assert why(two_of_three_say_down(rounds=old))[A] == none_younger
    assert why(two_of_three_say_down(rounds=()))[A] == none_younger
    strict = why(two_of_three_say_down(), STRICT)
    assert strict == {A: "detached, and strict does without nobody", B: "attached"}
    assert A not in why(two_of_three_say_down())


def test_readings_too_near_to_each_other_or_too_old_leave_nobody_out():
    votes = (reading("s1", down={A}), reading("s2", down={A}))
    near = rounds(*votes, ages_s=(APART_S - 0.1, 0.0))
    assert required(two_of_three_say_down(rounds=near)) == {A, B}
    old = rounds(*votes, ages_s=(FRESH_S + 2.1, FRESH_S + 0.1))
    assert required(two_of_three_say_down(rounds=old)) == {A, B}
    gap = rounds(*votes, ages_s=(FRESH_S + 1, 0.0))
    assert required(two_of_three_say_down(rounds=gap)) == {A, B}


def test_an_answer_that_was_long_on_its_way_is_as_old_as_its_question():
    votes = (reading("s1", down={A}), reading("s2", down={A}))

    def decided(*ages_s: tuple[float, float], **changes: object) -> set[Address]:
        history = tuple(Round(NOW_S - asked, NOW_S - answered, votes) for asked, answered in ages_s)
        return required(two_of_three_say_down(rounds=history, **changes))

    assert decided((2.6, 2.5), (0.4, 0.3)) == {B}
    assert decided((2.6, 2.1), (0.4, 0.0)) == {A, B}  # perhaps less than 2 s apart
    assert decided((6.0, 5.9), (FRESH_S + 0.1, 0.0)) == {A, B}  # perhaps too old
    seen_between = {A: NOW_S - 2.55}
    assert decided((2.6, 2.5), (0.4, 0.3), attached_at_s=seen_between) == {A, B}


def found_down_after(
    *unanswered_s: float, ages_s: tuple[float, float] = (2.5, 0.5)
) -> set[Address]:
    """Each Sentinel saw A up, and says now that it is down, asked in vain for so long."""
    first = rounds(*(reading(f"s{n}") for n, _ in enumerate(unanswered_s)), ages_s=ages_s[:1])
    says = [reading(f"s{n}", down={A}, unanswered_s={A: s}) for n, s in enumerate(unanswered_s)]
    return required(two_of_three_say_down(rounds=first + rounds(*says, ages_s=ages_s[1:])))


def test_who_reports_a_node_down_counts_from_when_it_asked_it_in_vain():
    assert found_down_after(2.1, 2.1, 2.1) == {B}
    assert found_down_after(2.1, 2.1) == {B}


def test_who_heard_it_after_an_earlier_reading_speaks_against_it_there():
    assert found_down_after(2.1, 2.1, 1.9) == {A, B}
    assert found_down_after(2.1, 1.9) == {A, B}
    assert found_down_after(2.1) == {A, B}
    assert found_down_after(2.1, 2.1, 2.0) == {A, B}  # perhaps right before it was asked


def test_who_heard_it_between_two_readings_in_which_it_was_down_speaks_against_it():
    flagged = rounds(*(reading(s, down={A}) for s in ("s1", "s2")), ages_s=(2.5,))
    again = [reading(s, down={A}, unanswered_s={A: 1.6}) for s in ("s1", "s2")]
    history = flagged + rounds(*again, ages_s=(0.5,))
    assert required(two_of_three_say_down(rounds=history)) == {A, B}


def test_silence_is_no_vote_before_anybody_reports_the_node_down():
    quiet = [reading(s, unanswered_s={A: 9.0}) for s in ("s1", "s2", "s3")]
    assert required(two_of_three_say_down(rounds=rounds(*quiet))) == {A, B}


def test_long_silence_does_not_do_without_readings_far_enough_apart():
    assert found_down_after(9.0, 9.0, ages_s=(1.9, 0.0)) == {A, B}


def test_who_was_silent_while_the_primary_was_not_well_has_to_be_silent_anew():
    votes = [reading(s, down={A}, unanswered_s={A: 9.0}) for s in ("s1", "s2")]
    unwell = [replace(each, primary_healthy=False) for each in votes]
    history = rounds(*unwell, ages_s=(2.5,)) + rounds(*votes, ages_s=(1.5, 0.5))
    assert required(two_of_three_say_down(rounds=history)) == {A, B}


def test_a_replica_that_was_attached_in_between_has_to_be_voted_out_anew():
    seen = {A: NOW_S - 1.0}
    assert required(two_of_three_say_down(attached_at_s=seen)) == {A, B}
    before = {A: NOW_S - 3.0}
    assert required(two_of_three_say_down(attached_at_s=before)) == {B}


def test_attached_ends_it_at_once():
    assert required(two_of_three_say_down(attached=frozenset({A, B}))) == {A, B}


SAYS = {
    "silent": None,
    "up": reading(),
    "down": reading(down={A}),
    "unlisted": reading(replicas={B}),
    "other": reading(primary=B, down={A}),
    "unwell": reading(primary_healthy=False, down={A}),
}


def agreed(words: tuple[str, ...]) -> bool:
    """The sentence itself: two vote for it, and nobody who answers speaks against it."""
    return words.count("down") >= 2 and not {"up", "other", "unwell"} & set(words)


def said(words: tuple[str, ...], unanswered_s: float, age_s: float) -> tuple[Round, ...]:
    """`long` is down, and was asked in vain for so long."""
    says = SAYS | {"long": reading(down={A}, unanswered_s={A: unanswered_s})}
    named = zip(("s1", "s2", "s3"), map(says.get, words), strict=True)
    return rounds(*(replace(each, watcher=s) for s, each in named if each), ages_s=(age_s,))


@pytest.mark.parametrize("attached", [False, True])
@pytest.mark.parametrize("ages_s", [(2.0, 0.0), (2.5, 1.0), (1.5, 0.0), (5.0, 3.5)])
def test_every_history_of_two_readings_of_three_sentinels(attached, ages_s):
    spread_s, age_s = ages_s[0] - ages_s[1], ages_s[1]
    # Sentinels have no rank: three of them say the same whichever of them says what.
    for each in combinations_with_replacement(product(SAYS, (*SAYS, "long")), 3):
        first, last = zip(*each, strict=True)
        history = said(first, 0, ages_s[0]) + said(last, spread_s + 0.01, age_s)
        found_out = zip(first, last, strict=True)
        expected = (
            not attached
            and agreed(tuple("down" if pair == ("up", "long") else pair[0] for pair in found_out))
            and agreed(tuple("down" if word == "long" else word for word in last))
            and spread_s >= APART_S
            and age_s <= FRESH_S
        )
        present = frozenset({A, B}) if attached else frozenset({B})
        state = view(attached=present, rounds=history)
        assert (A not in required(state)) == expected, (first, last)
        assert B in required(state)


def a_switch(*later: dict[str, object], names: Address = A, **changes: object) -> View:
    """Two Sentinels named A, half a second ago; what both said of it in each reading since."""
    history = (rounds(*(reading(s, primary=names) for s in ("s1", "s2")), ages_s=(0.5,)),)
    for number, says in enumerate(later):
        both = (reading(s, **says) for s in ("s1", "s2"))
        history += (rounds(*both, ages_s=(0.4 - number / 10,)),)
    every = tuple(each for some in history for each in some)
    return view(**{"attached": frozenset({B}), "rounds": every, **changes})


UNHEARD: dict[str, object] = {"unheard": {A}}


def test_who_was_primary_is_left_out_by_two_that_have_not_heard_it_since_they_switched():
    decision = decide(BALANCED, a_switch(UNHEARD), NOBODY, NOW_S)
    assert decision.required == {B}
    assert "was primary before" in decision.left_out[A]


def test_one_sentinel_that_has_not_heard_who_was_primary_is_not_enough():
    before = a_switch().rounds
    one = rounds(reading("s1", **UNHEARD), ages_s=(0.1,))
    assert required(two_of_three_say_down(rounds=(*before, *one))) == {A, B}
    other = rounds(reading("s1", **UNHEARD), reading("s2", down={A}), ages_s=(0.1,))
    assert required(two_of_three_say_down(rounds=(*before, *other))) == {A, B}


def test_a_replica_that_nobody_has_heard_since_the_switch_is_required():
    both = {"unheard": {A, B}}
    assert required(a_switch(both, attached=NOBODY)) == {B}
    assert required(a_switch(both, names=B, attached=frozenset({B}))) == {A, B}


def test_who_was_primary_earlier_still_is_required():
    says_b = {"primary": B}
    assert required(a_switch(says_b, {"unheard": {A, B}}, attached=NOBODY)) == {A}


def test_who_was_primary_stays_left_out_when_it_is_flagged_down_too():
    assert required(a_switch(UNHEARD, {"unheard": {A}, "down": {A}})) == {B}


def test_who_was_heard_once_since_the_switch_is_required_though_it_is_forgotten_again():
    assert required(a_switch({}, UNHEARD)) == {A, B}
    assert required(a_switch({"replicas": {B}}, UNHEARD)) == {A, B}


def test_who_was_primary_is_required_by_a_process_that_did_not_see_the_switch():
    says = rounds(reading("s1", **UNHEARD), reading("s2", **UNHEARD))
    assert required(two_of_three_say_down(rounds=says)) == {A, B}
    later = rounds(reading("s1", **UNHEARD), reading("s2", **UNHEARD), ages_s=(0.0,))
    long_ago = rounds(reading("s1", primary=A), reading("s2", primary=A), ages_s=(FRESH_S + 0.1,))
    assert required(two_of_three_say_down(rounds=long_ago + later)) == {A, B}


def test_who_was_primary_is_required_from_when_it_attached_to_its_successor():
    assert required(a_switch(UNHEARD, attached=frozenset({A, B}))) == {A, B}
    assert required(a_switch(UNHEARD, attached_at_s={A: NOW_S - 0.3})) == {A, B}
    assert required(a_switch(UNHEARD, attached_at_s={A: NOW_S - 0.45})) == {B}


def test_the_sentinel_that_leads_the_failover_need_not_have_ended_it():
    def decided(**changes: object) -> set[Address]:
        leads = reading("s3", primary_healthy=False, failover=True, **changes)
        both = (reading("s1", **UNHEARD), reading("s2", **UNHEARD), leads)
        before = a_switch().rounds
        return required(two_of_three_say_down(rounds=(*before, *rounds(*both, ages_s=(0.1,)))))

    assert decided(chosen=P) == {B}
    assert decided(chosen=B) == {A, B}
    assert decided(chosen=A) == {A, B}
    assert decided() == {A, B}
    assert decided(chosen=P, primary=A) == {A, B}


def test_the_sentinel_that_led_the_failover_has_a_vote_when_it_has_ended_it():
    leads = reading("s2", primary_healthy=False, failover=True, chosen=P, replicas={A, B, P})
    history = a_switch().rounds
    history += rounds(reading("s1", **UNHEARD), leads, ages_s=(0.2,))
    assert required(two_of_three_say_down(rounds=history)) == {A, B}
    history += rounds(reading("s1", **UNHEARD), reading("s2", **UNHEARD), ages_s=(0.1,))
    assert required(two_of_three_say_down(rounds=history)) == {B}


SINCE = {
    "silent": None,
    "former": reading(primary=A),
    "other": reading(primary=B, down={A}),
    "up": reading(),
    "down": reading(down={A}),
    "unlisted": reading(replicas={B}),
    "unheard": reading(unheard={A}),
    "unwell": reading(primary_healthy=False, unheard={A}),
    "switching": reading(primary_healthy=False, failover=True, chosen=P, replicas={A, P, B}),
}


def has_replaced(first: str, middle: str, last: str) -> bool:
    """The sentence itself, of one Sentinel: A was primary, and it has not heard A since."""
    since = [word for word in (middle, last) if word not in ("silent", "switching")]
    if middle == "former":
        since = [last]
    elif first != "former":
        return False
    return last == "unheard" and set(since) <= {"unheard", "unwell"}


@cache
def heard(said: tuple[str, str, str], age_s: float) -> tuple[Round, ...]:
    named = zip(("s1", "s2", "s3"), map(SINCE.get, said), strict=True)
    return rounds(*[replace(each, watcher=name) for name, each in named if each], ages_s=(age_s,))


def test_every_history_of_a_switch():
    histories = product(("former", "other", "silent"), SINCE, SINCE)
    for one, two in combinations_with_replacement(histories, 2):
        for third in ("silent", "unheard", "switching"):
            history: tuple[Round, ...] = ()
            for number, age_s in enumerate((0.6, 0.4, 0.2)):
                said = (one[number], two[number], third if number == 2 else "former")
                history += heard(said, age_s)
            last = {one[2], two[2], third}
            votes = has_replaced(*one) + has_replaced(*two) + (third == "unheard")
            expected = votes >= 2 and not last & {"former", "other", "up", "unwell"}
            state = view(attached=frozenset({B}), rounds=history)
            names = required(state)
            assert (A not in names) == expected, (one, two, third)
            assert B in names
