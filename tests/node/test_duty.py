"""What an agent does while its server runs, look after look, on a clock that is moved by hand."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest
import redis

from guarita.node import duty, heal, rejoin
from guarita.node.duty import NOTICED_S, SETTLED_S
from guarita.node.own import Attached, Own
from guarita.node.peers import Role
from guarita.node.silent import SILENT_S, STOOD_STILL_S

from .facts import ME, A, B, own, peer, says, words
from .scene import INTERVAL_S, Clock, Primary, Scene

PRIMARY = own(Role.PRIMARY)
REPLICA = own()  # of A
ASTRAY = own(follows=B)
DETACHED = own(link_up=False)
NAMED, OTHER, NOBODY = words(ME, ME, ME), words(A, A, A), words(ME, A)


@pytest.fixture(scope="module")
def listening() -> Iterator[Primary]:
    with Primary() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def scene(listening: Primary, monkeypatch: pytest.MonkeyPatch) -> Scene:
    clock = Clock()
    monkeypatch.setattr(duty, "time", clock)
    listening.says()
    listening.asked = 0
    return Scene(listening, clock)


@pytest.fixture
def replica(scene: Scene) -> Scene:
    """One that began as replica, and is not promotable yet."""
    scene.begin(leads=False)
    return scene


@pytest.fixture
def primary(scene: Scene) -> Scene:
    """One that began as primary, because it was named."""
    scene.begin(leads=True)
    return scene


@pytest.fixture
def caught_up(replica: Scene) -> Scene:
    """A replica that has become promotable."""
    replica.look_for(2 * INTERVAL_S, REPLICA, OTHER)
    assert replica.done() == [("promotable", True)]
    replica.primary.asked = 0
    replica.clients_of.clear()
    return replica


# What others change


@pytest.mark.parametrize("is_primary", [True, False])
def test_a_role_that_others_have_changed_sets_the_priority_once(scene, is_primary):
    scene.begin(leads=not is_primary)
    after = PRIMARY if is_primary else DETACHED
    scene.look(after, NOBODY)
    assert scene.done() == [("promotable", is_primary)]
    scene.look_for(INTERVAL_S, after, NOBODY)
    assert scene.done() == []


@pytest.mark.parametrize("is_primary", [True, False])
def test_a_priority_that_the_server_did_not_take_is_set_at_the_next_look(scene, is_primary):
    scene.begin(leads=not is_primary)
    after = PRIMARY if is_primary else DETACHED
    scene.server.answers = False
    for _ in range(2):
        with pytest.raises(redis.TimeoutError):
            scene.look(after, NOBODY)
    scene.server.answers = True
    scene.look(after, NOBODY)
    scene.look(after, NOBODY)
    assert scene.done() == [("promotable", is_primary)] * 3


def test_a_look_from_before_the_last_action_leads_to_nothing(primary):
    primary.look(PRIMARY, OTHER)
    assert primary.done() == [("follow", A)]
    acted_s = primary.clock.now_s
    for asked_s in (acted_s - INTERVAL_S, acted_s):
        assert primary.look_of(asked_s, PRIMARY, OTHER)
    assert primary.done() == []
    primary.look(PRIMARY, NAMED)  # one from after it does: somebody has promoted it
    assert primary.done() == [("promotable", True)]


@pytest.mark.parametrize("role", Role)
def test_the_sentinels_are_asked_often_unless_all_is_as_they_say(scene, role):
    heard = [(), (ME,), (ME, A), (ME, A, B), (ME, ME), (A, B, A), (B, B, B)]
    for follows, link_up, named in product((A, B), (True, False), heard):
        scene.begin(leads=role is Role.PRIMARY)
        node = own(role, link_up=link_up, follows=None if role is Role.PRIMARY else follows)
        if role is Role.PRIMARY:
            well = named.count(ME) >= 2
        else:
            well = link_up and named.count(follows) >= 2
        assert scene.look(node, words(*named)) is not well


# Whom it follows


def test_a_primary_that_was_named_follows_the_next_one_at_the_first_look(primary):
    primary.look_for(1, PRIMARY, NOBODY)
    assert primary.done() == []
    primary.look(PRIMARY, OTHER)
    assert primary.done() == [("follow", A)]


def test_one_that_was_promoted_is_left_alone_until_it_was_named_or_its_time_is_over(replica):
    replica.look(PRIMARY, OTHER)
    assert replica.done() == [("promotable", True)]
    replica.look_for(rejoin.PROMOTED_S - INTERVAL_S, PRIMARY, OTHER)
    assert replica.done() == []
    replica.look(PRIMARY, OTHER)
    assert replica.done() == [("follow", A)]


def test_its_time_begins_anew_where_nobody_was_named_meanwhile(replica):
    replica.look(PRIMARY, OTHER)
    replica.look_for(rejoin.PROMOTED_S - INTERVAL_S, PRIMARY, OTHER)
    replica.look(PRIMARY, NOBODY)
    replica.look_for(rejoin.PROMOTED_S, PRIMARY, OTHER)
    assert replica.done() == [("promotable", True)]
    replica.look(PRIMARY, OTHER)
    assert replica.done() == [("follow", A)]


def test_once_it_was_named_it_follows_at_once_and_that_is_forgotten_with_its_role(replica):
    replica.look(PRIMARY, OTHER)
    replica.look(PRIMARY, NAMED)
    replica.look(PRIMARY, OTHER)
    assert replica.done() == [("promotable", True), ("follow", A)]
    replica.look(DETACHED, OTHER)
    replica.look(PRIMARY, OTHER)  # promoted once more
    replica.look_for(rejoin.PROMOTED_S - INTERVAL_S, PRIMARY, OTHER)
    assert replica.done() == [("promotable", True)]


def test_a_primary_that_could_not_be_made_to_follow_is_told_again(primary):
    primary.server.answers = False
    for _ in range(2):
        with pytest.raises(redis.TimeoutError):
            primary.look(PRIMARY, OTHER)
    primary.server.answers = True
    primary.look(PRIMARY, OTHER)
    assert primary.done() == [("follow", A)] * 3


def test_one_that_did_as_told_and_could_not_say_so_is_not_promotable(primary):
    primary.server.answers = False
    with pytest.raises(redis.TimeoutError):
        primary.look(PRIMARY, OTHER)
    primary.server.answers = True
    primary.look(DETACHED, OTHER)
    assert primary.done() == [("follow", A), ("promotable", False)]


def test_a_replica_of_another_node_is_put_right_once_sentinel_had_its_turn(replica):
    replica.primary.says(999)
    replica.look_for(rejoin.ASTRAY_S, ASTRAY, OTHER)
    replica.look(REPLICA, OTHER)  # Sentinel did it
    replica.look_for(rejoin.ASTRAY_S, ASTRAY, OTHER)
    assert replica.done() == []
    replica.look(ASTRAY, OTHER)
    assert replica.done() == [("follow", A)]


@pytest.mark.parametrize("role", ["slave", "silent"])
def test_a_replica_is_not_sent_to_one_that_does_not_answer_as_a_primary(replica, role):
    replica.primary.says(999, role=role)
    if role == "silent":
        replica.primary.is_gone()
    replica.look_for(3 * rejoin.ASTRAY_S, ASTRAY, OTHER)
    assert replica.done() == []
    assert replica.clients_of[-1] == A
    replica.primary.says(999)
    replica.look(ASTRAY, OTHER)
    assert replica.done() == [("follow", A)]


def test_one_that_was_put_right_has_its_time_to_come_up_to_its_new_primary(replica):
    replica.primary.says(999)
    replica.peers = {A: None, B: peer(B, 11)}
    replica.look_for(rejoin.ASTRAY_S, replace(ASTRAY, link_up=False), OTHER)
    replica.look(replace(ASTRAY, link_up=False), OTHER)
    assert replica.done() == [("follow", A)]
    asked = replica.primary.asked
    replica.look_for(NOTICED_S, DETACHED, OTHER)
    assert replica.primary.asked == asked


# A replica that is named


def test_a_replica_that_is_named_leads_after_a_while_and_is_a_primary_that_was_named(replica):
    replica.primary.says(999)
    replica.look_for(heal.MASTERLESS_S, REPLICA, NAMED)
    replica.look(REPLICA, NOBODY)
    replica.look_for(heal.MASTERLESS_S, REPLICA, NAMED)
    assert replica.done() == []
    assert replica.peers_asked == 0
    replica.look(REPLICA, NAMED)
    assert replica.done() == [("lead",)]
    replica.look_of(replica.clock.now_s, REPLICA, NAMED)  # from before
    assert replica.done() == []
    replica.look(PRIMARY, OTHER)
    assert replica.done() == [("follow", A)]


def test_one_that_could_not_be_made_to_lead_is_told_again(replica):
    replica.primary.says(999)
    replica.look_for(heal.MASTERLESS_S, REPLICA, NAMED)
    replica.server.answers = False
    with pytest.raises(redis.TimeoutError):
        replica.look(REPLICA, NAMED)
    replica.server.answers = True
    replica.look(REPLICA, NAMED)
    assert replica.done() == [("lead",)] * 2


@pytest.mark.parametrize(
    ("peers", "words_now"),
    [
        ({A: peer(A, 11), B: peer(B)}, NAMED),
        ({A: peer(A), B: None}, NAMED),
        ({A: peer(A), B: peer(B)}, OTHER),
        ({A: peer(A), B: peer(B)}, words(ME, ME, says(ME, failover=True))),
    ],
)
def test_it_does_not_lead_by_what_peers_and_sentinels_say_when_they_are_asked_for_it(
    replica, peers, words_now
):
    replica.primary.says(999)
    replica.peers, replica.words_now = peers, words_now
    replica.look_for(2 * heal.MASTERLESS_S, REPLICA, NAMED)
    assert replica.peers_asked > 0
    assert replica.done() == []


# Whether it is promotable


def test_a_replica_is_promotable_once_it_was_seen_with_all_that_its_primary_had_before(replica):
    replica.primary.says(100)
    replica.look_for(1, own(offset=99), OTHER)
    assert replica.done() == []
    replica.look_for(2 * INTERVAL_S, REPLICA, OTHER)
    assert replica.done() == [("promotable", True)]
    asked = replica.primary.asked
    assert set(replica.clients_of) == {A}
    replica.look_for(2, REPLICA, OTHER)
    assert (replica.done(), replica.primary.asked) == ([], asked)


def test_the_word_of_a_primary_is_used_while_it_is_fresh_and_not_after(replica):
    replica.look(own(offset=99), OTHER)
    replica.primary.says(150)
    replica.look(REPLICA, OTHER, after_s=SETTLED_S + INTERVAL_S)
    assert replica.primary.asked == 2
    replica.look(REPLICA, OTHER)
    assert replica.done() == []
    replica.look(own(offset=150), OTHER)
    replica.look(own(offset=150), OTHER, after_s=SETTLED_S)
    assert replica.done() == [("promotable", True)]


def test_the_word_of_another_primary_than_the_one_followed_is_not_used(replica):
    replica.look(REPLICA, OTHER)
    replica.look(ASTRAY, OTHER)
    assert replica.clients_of == [A, B]
    assert replica.done() == []


@pytest.mark.parametrize("role", ["slave", "silent"])
def test_it_has_not_caught_up_with_one_that_does_not_answer_as_a_primary(replica, role):
    replica.primary.says(role=role)
    if role == "silent":
        replica.primary.is_gone()
    replica.look_for(2, REPLICA, OTHER)
    assert replica.primary.asked > 0
    assert replica.done() == []


def test_one_that_had_caught_up_asks_its_primary_only_after_it_was_detached_for_a_while(caught_up):
    caught_up.primary.says(lists=False)
    caught_up.look_for(SETTLED_S, DETACHED, OTHER)
    caught_up.look(REPLICA, OTHER)
    caught_up.look_for(SETTLED_S, DETACHED, OTHER)
    assert caught_up.primary.asked == 0
    caught_up.look_for(2 * INTERVAL_S, DETACHED, OTHER)
    assert caught_up.primary.asked == 1
    assert caught_up.done() == [("promotable", False)]


def test_one_that_had_caught_up_stays_promotable_while_it_is_listed_or_its_primary_is_gone(
    caught_up,
):
    caught_up.look_for(3, DETACHED, OTHER)
    caught_up.primary.is_gone()
    caught_up.look_for(3, DETACHED, OTHER)
    assert caught_up.primary.asked > 0
    assert (caught_up.done(), caught_up.peers_asked) == ([], 0)


def test_without_a_primary_peers_are_asked_soon_and_it_is_promotable_if_none_has_more(replica):
    replica.primary.is_gone()
    replica.look_for(NOTICED_S, DETACHED, OTHER)
    assert (replica.primary.asked, replica.peers_asked) == (0, 0)
    replica.look_for(2 * INTERVAL_S, DETACHED, OTHER)
    assert (replica.primary.asked, replica.peers_asked) == (1, 1)
    assert replica.done() == [("promotable", True)]


@pytest.mark.parametrize("peers", [{A: None, B: None}, {A: None, B: peer(B, 11)}])
def test_and_not_where_one_has_or_is_not_heard(replica, peers):
    replica.primary.is_gone()
    replica.peers = peers
    replica.look_for(2, DETACHED, OTHER)
    assert replica.peers_asked > 1
    assert replica.done() == []


def test_a_promotability_that_the_server_did_not_take_is_set_after_another_word(replica):
    replica.look(REPLICA, OTHER)
    replica.server.answers = False
    with pytest.raises(redis.TimeoutError):
        replica.look(REPLICA, OTHER)
    replica.server.answers = True
    replica.look_for(2 * INTERVAL_S, REPLICA, OTHER)
    assert replica.done() == [("promotable", True)] * 2
    assert replica.primary.asked == 2


def test_nothing_is_said_of_a_replica_that_loads(replica):
    replica.look_for(2, replace(REPLICA, history=None), OTHER)
    assert replica.done() == []


# Whom it cuts off


def acknowledged(a: int, b: int, role: Role = Role.PRIMARY) -> Own:
    """A and B have acknowledged up to these offsets."""
    return own(role, replicas=(Attached(A, True, a, 0), Attached(B, True, b, 0)))


def until_silent(scene: Scene) -> None:
    """A has said nothing for 2 s, and one look has found that; B goes on."""
    for number in range(int(SILENT_S / INTERVAL_S) + 1):
        scene.look(acknowledged(100, number), NAMED)


def test_a_replica_is_cut_off_where_two_looks_agree_that_it_is_silent(primary):
    until_silent(primary)
    assert primary.done() == []
    primary.look(acknowledged(101, 50), NAMED)
    assert primary.done() == []
    until_silent(primary)
    assert primary.done() == []
    primary.look(acknowledged(100, 51), NAMED)
    assert primary.done() == [("cut", {A}, acknowledged(100, 51).replicas)]


def test_nobody_is_cut_off_at_the_first_look_after_the_server_itself_stood_still(primary):
    until_silent(primary)
    primary.look(acknowledged(100, 50), NAMED, after_s=STOOD_STILL_S)
    assert primary.done() == []
    primary.look(acknowledged(100, 51), NAMED)
    assert [call[:2] for call in primary.done()] == [("cut", {A})]


def test_one_that_the_server_did_not_cut_off_is_cut_off_at_the_next_look(primary):
    until_silent(primary)
    primary.server.answers = False
    with pytest.raises(redis.TimeoutError):
        primary.look(acknowledged(100, 50), NAMED)
    primary.server.answers = True
    primary.look(acknowledged(100, 50), NAMED)
    assert [call[:2] for call in primary.done()] == [("cut", {A})] * 2


def test_a_replica_cuts_nobody_off_nor_does_it_at_its_first_look_as_primary(replica):
    replica.primary.says(999)
    replica.look_for(3, acknowledged(100, 100, Role.REPLICA), OTHER)
    assert replica.done() == []
    until_silent(replica)
    assert replica.done() == [("promotable", True)]
    replica.look(acknowledged(100, 50), NAMED)
    assert [call[:2] for call in replica.done()] == [("cut", {A})]
