"""The smaller decisions of the agent: cutting off, leaving, healing, handing over."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from guarita.node import handover, heal, leave, silent
from guarita.node.own import Attached, Own, read
from guarita.node.peers import PeerState, Role, State
from guarita.node.server import _ids_of
from guarita.stores.guard import History

from .facts import ME, A, B, heard, own, peer, says, words

# Cutting off


def lagging(lag_s: int, *, online: bool = True) -> list[Attached]:
    return [Attached(A, online, 100, lag_s), Attached(B, True, 100, 0)]


def at_ms(
    look_ms: int, acknowledged_ms: int, *, offset: int = 100, late_ms: int = 0, **changes: bool
) -> Own:
    """What a look finds: the server tells both moments in whole seconds of its clock, the first
    perhaps of one that is late."""
    lag_s = (look_ms - late_ms) // 1000 - acknowledged_ms // 1000
    (first, *others) = lagging(lag_s, **changes)
    replicas = (replace(first, offset=offset), *others)
    times = dict.fromkeys(("clock_s", "asked_s", "seen_s"), look_ms / 1000)
    return replace(own(Role.PRIMARY, replicas=replicas), **times)


def first_cut_ms(
    acknowledged_ms: list[int], every_ms: int, late_ms: int = 0, **changes: bool
) -> int | None:
    """When a replica that acknowledges at these moments is found silent, by looks up to 12 s."""
    silence = silent.Silence()
    for number, look_ms in enumerate(range(5000, 12_000, every_ms)):
        last_ms = max(each for each in acknowledged_ms if each <= look_ms)
        late = late_ms if number % 2 else 0  # it is not late by as much each time
        if A in silence.look(at_ms(look_ms, last_ms, late_ms=late, **changes)):
            return look_ms
    return None


@pytest.mark.parametrize("late_ms", [0, 50, 90])
@pytest.mark.parametrize("every_ms", [70, 100, 250])
def test_it_is_cut_off_when_2_s_have_certainly_passed_and_not_much_later(every_ms, late_ms):
    for last_ms in range(6000, 7000, 30):
        cut_ms = first_cut_ms([*range(last_ms % 1000, last_ms + 1, 1000)], every_ms, late_ms)
        assert cut_ms is not None
        # Its last word may be seen as such once the second in which it came is 0.1 s old.
        assert 2000 <= cut_ms - last_ms <= 2000 + 100 + 2 * every_ms, last_ms


def test_one_that_acknowledges_once_a_second_is_never_cut_off():
    for into_second_ms in range(0, 1000, 30):
        assert first_cut_ms([*range(into_second_ms, 13_000, 1000)], 100) is None


def test_one_whose_offset_goes_on_within_a_second_is_not_silent():
    silence = silent.Silence()
    for number in range(40):
        assert A not in silence.look(
            replace(at_ms(5000, 5000, offset=number), asked_s=number / 10, seen_s=number / 10)
        )


def test_an_answer_that_was_long_on_its_way_says_how_it_was_when_it_was_asked_for():
    silence = silent.Silence()
    silence.look(replace(at_ms(5200, 5000), seen_s=5.5))
    assert not silence.look(replace(at_ms(7400, 5000), seen_s=9.0))
    assert silence.look(at_ms(7500, 5000)) == {A}


def test_a_clock_that_is_set_back_makes_nobody_silent():
    silence = silent.Silence()
    for number in range(100):
        back_ms = 60_000 if number < 50 else 0  # it was at 60 s before
        look_ms = 10_000 + back_ms + number * 100
        last_ms = look_ms - look_ms % 1000
        found = at_ms(look_ms, last_ms)
        assert not silence.look(replace(found, asked_s=number / 10, seen_s=number / 10))


def test_one_that_still_gets_its_data_is_not_cut_off():
    assert first_cut_ms([0], 100, online=False) is None


def test_a_link_that_broke_unnoticed_is_silent_beside_the_one_that_replaced_it():
    silence = silent.Silence()
    for look_ms in range(5200, 7300, 100):
        old, new = at_ms(look_ms, 4900).replicas[0], at_ms(look_ms, look_ms).replicas[0]
        both = replace(at_ms(look_ms, look_ms), replicas=(old, new))
        assert silence.look(both) == ({A} if look_ms >= 7200 else set())


def test_the_connection_of_the_silent_one_is_found_by_its_place_or_its_address():
    both = lagging(3)
    assert _ids_of({A}, both, [(7, "127.0.0.1"), (9, "127.0.0.1")]) == [7]
    assert _ids_of({B}, both, [(7, "127.0.0.1"), (9, "127.0.0.1")]) == [9]
    assert _ids_of({A}, both, [(7, "n2"), (8, "n3"), (9, "n3")]) == [7]
    assert _ids_of({A}, both, [(7, "127.0.0.1")]) == []


# Leaving


def test_it_stays_attached_until_the_sentinels_have_voted_it_out_for_long_enough():
    gone = words(*(says(A, down=frozenset({ME})) for _ in range(3)))
    assert leave.decide(ME, own(), words(A, A, A), 0.0, 0.0)[0] is leave.Step.STAY
    assert leave.decide(ME, own(), gone, leave.VOTED_OUT_S - 0.1, 0.0)[0] is leave.Step.STAY
    assert leave.decide(ME, own(), gone, leave.VOTED_OUT_S, 0.0)[0] is leave.Step.GO


def test_it_stays_only_while_it_is_attached_and_those_that_vote_have_not_voted_it_out_for_long():
    """Whomever they name: while a switch spreads, they vote all the same."""
    attached = (own(), own(history=None))
    for node, votes, named, agreed_s, detached_s in product(
        (*attached, None, own(Role.PRIMARY, link_up=True)),
        product(("silent", "up", "down"), repeat=3),
        ((A, A, A), (A, ME, ME), (A, B, ME)),
        (0.0, leave.VOTED_OUT_S - 0.1, leave.VOTED_OUT_S),
        (0.0, leave.DETACHED_S - 0.1, leave.DETACHED_S),
    ):
        answers = [
            says(who, down=frozenset({ME} if vote == "down" else ()))
            for who, vote in zip(named, votes, strict=True)
            if vote != "silent"
        ]
        voted_out = "up" not in votes and agreed_s >= leave.VOTED_OUT_S
        stays = (
            node in attached
            and detached_s < leave.DETACHED_S
            and len(answers) >= 2
            and not voted_out
        )
        step, _ = leave.decide(ME, node, words(*answers), agreed_s, detached_s)
        assert step is (leave.Step.STAY if stays else leave.Step.GO)


def test_its_primary_hands_over_while_it_leads_and_is_to_stop():
    for state, role in product(State, Role):
        primary = PeerState(A, state, role, own().history)
        is_it = (state, role) == (State.LEAVING, Role.PRIMARY)
        assert leave.is_handing_over(own(), primary, 0.0) is is_it
        assert not leave.is_handing_over(own(Role.PRIMARY), primary, 0.0)
        assert not leave.is_handing_over(None, primary, 0.0)


def test_the_agent_of_its_primary_may_be_late_once():
    assert leave.is_handing_over(own(), None, leave.SILENT_S - 0.1)
    assert not leave.is_handing_over(own(), None, leave.SILENT_S)
    assert not leave.is_handing_over(own(link_up=False), None, 0.0)


def test_a_single_voter_is_not_enough():
    assert not words(says(A, down=frozenset({ME})), sentinels=1).agrees_down(ME)


# Healing


KNOWN = {A: peer(A), B: peer(B)}


def test_a_replica_that_is_named_leads_after_a_while_where_nobody_has_more():
    assert heal.decide(ME, own(), words(ME, ME, ME), KNOWN, heal.MASTERLESS_S)
    assert heal.decide(ME, own(), words(ME, ME, ME), KNOWN, heal.MASTERLESS_S - 0.1) is None


def test_every_combination_leads_only_where_it_is_named_all_is_known_and_nobody_leads_or_has_more():
    behind, equal, ahead = peer(A, 9), peer(A, 10), peer(A, 11)
    booting = peer(A, 9, Role.PRIMARY, State.BOOTING)  # says so as long as it was told nothing
    others = (None, peer(A, None), behind, equal, ahead, booting, peer(A, 9, Role.PRIMARY))
    for named, failover, chosen in product(
        ((), (ME,), (ME, A), (ME, ME), (ME, A, ME), (ME, A, A)), (True, False), (None, ME, A)
    ):
        said = heard(named, failover=failover, chosen=chosen)
        is_told = named.count(ME) >= 2 and not failover and chosen != ME
        for node, seconds, first, second in product(
            (own(), own(history=None), own(Role.PRIMARY)),
            (heal.MASTERLESS_S - 0.1, heal.MASTERLESS_S),
            others,
            (None, behind, ahead),
        ):
            is_foremost = first in (behind, equal, booting) and second == behind
            leads = is_told and is_foremost and node == own() and seconds == heal.MASTERLESS_S
            reason = heal.decide(ME, node, said, {A: first, B: second}, seconds)
            assert (reason is not None) == leads


# Handing over


def primary_with(*replicas: Attached):
    return own(Role.PRIMARY, replicas=replicas)


def test_a_named_primary_hands_over_to_replicas_that_are_there():
    assert handover.why_not(ME, primary_with(*lagging(0)), words(ME, ME, ME)) is None


def test_every_combination_hands_over_only_where_it_is_named_and_a_replica_is_there():
    there, silent, loads = (
        Attached(A, True, 9, 1),
        Attached(B, True, 9, 2),
        Attached(B, False, 9, 0),
    )
    with_one = (primary_with(there), primary_with(silent, there))
    with_none = (primary_with(), primary_with(silent), primary_with(silent, loads))
    for named, failover in product(product((None, ME, A, B), repeat=3), (True, False)):
        is_named = named.count(ME) >= 2
        is_undecided = max(map(named.count, (ME, A, B))) == 1
        for node in (None, own(), *with_none, *with_one):
            why_not = handover.why_not(ME, node, heard(named, failover=failover))
            assert (why_not is None) == (is_named and not failover and node in with_one)
            # It waits only for what passes by itself: a failover, Sentinels that start again, or a
            # server that stands still.
            passes = is_undecided or (is_named and failover)
            waits = node is None or (passes and node in with_none + with_one)
            assert (why_not in handover.PASSING) == waits


def test_a_replica_has_all_once_it_follows_this_node_and_is_where_it_is():
    follows = [b"slave", b"n1", 1, b"connected", 100]
    assert handover.has_all(follows, ME, 100)
    assert not handover.has_all(follows, ME, 101)
    assert not handover.has_all(follows, A, 100)
    assert not handover.has_all([b"master", 100, []], ME, 100)
    assert not handover.has_all(("silent",), ME, 100)


def test_a_sentinel_must_see_the_replica_well_and_promotable():
    good = {
        "ip": "n2",
        "port": "2",
        "flags": "slave",
        "master-link-status": "ok",
        "slave-priority": "100",
    }
    assert handover.is_promotable(good, {A})
    assert not handover.is_promotable(good, {B})
    for change in (
        {"flags": "slave,s_down"},
        {"master-link-status": "err"},
        {"slave-priority": "0"},
    ):
        assert not handover.is_promotable({**good, **change}, {A})


# What is read and told


def test_the_servers_words_are_read():
    primary = read(
        b"role:master\r\nmaster_replid:abc\r\nmaster_replid2:0\r\nmaster_repl_offset:70\r\n"
        b"second_repl_offset:-1\r\nslave0:ip=n2,port=2,state=online,offset=70,lag=1\r\n",
        [b"3", None, b"4"],
        1.0,
    )
    assert (primary.role, primary.offset, primary.follows) == (Role.PRIMARY, 70, None)
    assert primary.history == History(b"abc", 70, 7, b"0", -1)
    assert primary.replicas == (Attached(A, True, 70, 1),)
    replica = read(
        b"role:slave\r\nmaster_host:n2\r\nmaster_port:2\r\nmaster_link_status:up\r\n"
        b"master_sync_in_progress:0\r\nmaster_repl_offset:70\r\n",
        None,
        1.0,
    )
    assert (replica.follows, replica.link_up, replica.history) == (A, True, None)


@pytest.mark.parametrize("tallied", [None, 12])
def test_what_an_agent_tells_its_peers_is_read_as_it_was_meant(tallied):
    state = peer(A, tallied, Role.PRIMARY, State.LEAVING)
    assert PeerState.from_json(state.as_json()) == state
