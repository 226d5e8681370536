"""Whom a running node follows: every combination of what it is and what the Sentinels say."""

from __future__ import annotations

from itertools import product

from guarita.node.peers import Role
from guarita.node.rejoin import ASTRAY_S, PROMOTED_S, Standing, decide

from .facts import ME, A, B, heard, own, says, words

NAMED = Standing(was_named=True)
PROMOTED = Standing(was_named=False, unnamed_s=1.0)
PRIMARY = own(Role.PRIMARY)


def test_a_primary_that_was_named_follows_the_next_one_at_once():
    follow = decide(ME, PRIMARY, words(A, A, ME), NAMED)
    assert follow is not None
    assert follow.primary == A


def test_also_while_the_failover_is_not_over_for_every_sentinel():
    assert decide(ME, PRIMARY, words(A, A, says(ME, failover=True)), NAMED)


def test_one_that_was_just_promoted_is_left_alone_until_the_sentinels_had_time_to_say_so():
    assert decide(ME, PRIMARY, words(A, A, A), PROMOTED) is None
    late = Standing(was_named=False, unnamed_s=PROMOTED_S)
    assert decide(ME, PRIMARY, words(A, A, A), late)
    assert decide(ME, PRIMARY, words(A, A, says(A, failover=True)), late) is None


def test_a_replica_that_follows_another_node_is_put_right_after_sentinel_had_its_turn():
    astray = own(follows=B)
    assert decide(ME, astray, words(A, A, A), Standing(False, astray_s=ASTRAY_S - 0.1)) is None
    follow = decide(ME, astray, words(A, A, A), Standing(False, astray_s=ASTRAY_S))
    assert follow is not None
    assert follow.primary == A


def test_a_replica_that_missed_the_end_of_a_failover_does_not_wait_until_its_leader_gives_up():
    long = Standing(False, astray_s=ASTRAY_S)
    of_its_end = says(A, failover=True, chosen=A)
    assert decide(ME, own(follows=B), words(A, A, of_its_end), long)


def test_nobody_is_sent_to_a_primary_that_is_being_replaced():
    long = Standing(False, astray_s=99)
    for chosen in (None, ME, B):
        of_the_next = says(A, failover=True, chosen=chosen)
        assert decide(ME, own(follows=B), words(A, A, of_the_next), long) is None


def test_a_replica_of_the_one_named_is_left_alone_whatever_its_link_does():
    """`REPLICAOF` of whom it follows does nothing but make it unpromotable, for ever where nobody
    can be caught up with any more."""
    long = Standing(False, 99, 99)
    for node in (own(), own(link_up=False), own(link_up=False, syncing=True)):
        assert decide(ME, node, words(A, A, A), long) is None


def test_every_combination_follows_only_whom_a_majority_names_and_only_once_it_is_time():
    everybody = (None, ME, A, B)
    failovers = ((False, None), *((True, each) for each in everybody))
    for named, (failover, chosen) in product(product(everybody, repeat=3), failovers):
        said = heard(named, failover=failover, chosen=chosen)
        whom = next((each for each in (A, B) if named.count(each) >= 2), None)
        for was_named, unnamed_s, astray_s in product(
            (True, False),
            (0.0, PROMOTED_S - 0.1, PROMOTED_S),
            (0.0, ASTRAY_S - 0.1, ASTRAY_S),
        ):
            of_primary = was_named or (unnamed_s == PROMOTED_S and not failover)
            is_replaced = failover and chosen != whom
            of_replica = astray_s == ASTRAY_S and not (is_replaced and any(named))
            for node, is_time in (
                (PRIMARY, of_primary),
                (own(), of_replica and whom == B),
                (own(follows=B, link_up=False), of_replica and whom == A),
                (own(follows=None), of_replica),
            ):
                follow = decide(ME, node, said, Standing(was_named, unnamed_s, astray_s))
                assert (follow and follow.primary) == (whom if is_time else None)
