"""The smaller decisions of the agent: cutting off, leaving, healing, handing over."""

from __future__ import annotations

import pytest

from guarita.node import handover, heal, leave, silent
from guarita.node.own import Attached, read
from guarita.node.peers import PeerState, Role, State
from guarita.node.server import _ids_of
from guarita.stores.guard import History

from .facts import ME, A, B, own, peer, says, words

# Cutting off


def lagging(lag_s: int, *, online: bool = True) -> list[Attached]:
    return [Attached(A, online, 100, lag_s), Attached(B, True, 100, 0)]


@pytest.mark.parametrize(("lag_s", "into_second_s"), [(3, 0.0), (2, 0.99), (9, 0.5)])
def test_a_replica_that_said_nothing_for_2_s_is_cut_off(lag_s, into_second_s):
    expected = {A} if lag_s - 1 + into_second_s >= 2 else set()
    assert silent.decide(lagging(lag_s), 1000 + into_second_s) == expected


def test_it_is_never_cut_off_before_2_s_have_certainly_passed():
    """Both clocks tell whole seconds: for any moment of the acknowledgement and of the look."""
    for acknowledged_ms in range(0, 2000, 50):
        for silent_ms in range(0, 4000, 50):
            look_ms = acknowledged_ms + silent_ms
            lag_s = look_ms // 1000 - acknowledged_ms // 1000
            if silent.decide(lagging(lag_s), look_ms / 1000):
                assert silent_ms >= 2000
            elif silent_ms >= 3000:
                pytest.fail(f"silent for {silent_ms} ms and not cut off")


def test_one_that_still_gets_its_data_is_not_cut_off():
    assert not silent.decide(lagging(9, online=False), 1000.5)


def test_the_connection_of_the_silent_one_is_found_by_its_place_or_its_address():
    both = lagging(3)
    assert _ids_of({A}, both, [(7, "127.0.0.1"), (9, "127.0.0.1")]) == [7]
    assert _ids_of({B}, both, [(7, "127.0.0.1"), (9, "127.0.0.1")]) == [9]
    assert _ids_of({A}, both, [(7, "n2"), (8, "n3"), (9, "n3")]) == [7]
    assert _ids_of({A}, both, [(7, "127.0.0.1")]) == []


# Leaving


def test_it_stays_attached_until_the_sentinels_have_voted_it_out_for_long_enough():
    gone = words(*(says(A, down=frozenset({ME})) for _ in range(3)))
    assert leave.decide(ME, own(), words(A, A, A), 0.0)[0] is leave.Step.STAY
    assert leave.decide(ME, own(), gone, leave.VOTED_OUT_S - 0.1)[0] is leave.Step.STAY
    assert leave.decide(ME, own(), gone, leave.VOTED_OUT_S)[0] is leave.Step.GO


def test_one_sentinel_that_still_sees_it_or_a_single_voter_is_not_enough():
    down = says(A, down=frozenset({ME}))
    assert leave.decide(ME, own(), words(down, down, A), 99)[0] is leave.Step.STAY
    assert not words(down, sentinels=1).agrees_down(ME)


def test_it_stays_while_a_switch_spreads_and_no_majority_names_anybody():
    assert leave.decide(ME, own(), words(A, ME), 0.0)[0] is leave.Step.STAY


@pytest.mark.parametrize(
    ("node", "heard"),
    [
        (None, words(A, A, A)),
        (own(Role.PRIMARY), words(A, A, A)),
        (own(link_up=False), words(A, A, A)),
        (own(), words()),
        (own(), words(A)),
    ],
)
def test_it_goes_at_once_where_nobody_needs_it_or_nobody_votes(node, heard):
    assert leave.decide(ME, node, heard, 0.0)[0] is leave.Step.GO


# Healing


KNOWN = {A: peer(A), B: peer(B)}


def test_a_replica_that_is_named_leads_after_a_while_where_nobody_has_more():
    assert heal.decide(ME, own(), words(ME, ME, ME), KNOWN, heal.MASTERLESS_S)
    assert heal.decide(ME, own(), words(ME, ME, ME), KNOWN, heal.MASTERLESS_S - 0.1) is None


@pytest.mark.parametrize(
    ("node", "heard", "peers"),
    [
        (own(Role.PRIMARY), words(ME, ME, ME), KNOWN),
        (own(), words(A, A, A), KNOWN),
        (own(), words(ME, A), KNOWN),
        (own(), words(ME, ME, says(failover=True)), KNOWN),
        (own(), words(ME, ME, says(chosen=ME)), KNOWN),
        (own(history=None), words(ME, ME, ME), KNOWN),
        (own(), words(ME, ME, ME), {A: None, B: peer(B)}),
        (own(), words(ME, ME, ME), {A: peer(A, 11), B: peer(B)}),
        (own(), words(ME, ME, ME), {A: peer(A, 10, Role.PRIMARY), B: peer(B)}),
    ],
)
def test_it_does_not_lead_otherwise(node, heard, peers):
    assert heal.decide(ME, node, heard, peers, 99) is None


# Handing over


def primary_with(*replicas: Attached):
    return own(Role.PRIMARY, replicas=replicas)


def test_a_named_primary_hands_over_to_replicas_that_are_there():
    assert handover.why_not(ME, primary_with(*lagging(0)), words(ME, ME, ME)) is None


@pytest.mark.parametrize(
    ("node", "heard"),
    [
        (None, words(ME, ME, ME)),
        (own(), words(A, A, A)),
        (primary_with(*lagging(0)), words(A, A, ME)),
        (primary_with(*lagging(0)), words(ME, ME, says(failover=True))),
        (primary_with(), words(ME, ME, ME)),
        (primary_with(Attached(A, True, 100, 5)), words(ME, ME, ME)),
    ],
)
def test_nothing_is_handed_over_otherwise(node, heard):
    assert handover.why_not(ME, node, heard)


def test_a_hand_over_waits_while_the_sentinels_cannot_name_anybody():
    node = primary_with(*lagging(0))
    assert handover.why_not(ME, node, words(ME)) in handover.PASSING
    assert handover.why_not(ME, node, words(ME, ME, says(failover=True))) in handover.PASSING
    assert handover.why_not(ME, node, words()) not in handover.PASSING
    assert handover.why_not(ME, node, words(A, A, ME)) not in handover.PASSING


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
