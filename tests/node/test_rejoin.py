"""Whom a running node follows: every combination of what it is and what the Sentinels say."""

from __future__ import annotations

from itertools import product

import pytest

from guarita.node.peers import Role
from guarita.node.rejoin import ASTRAY_S, PROMOTED_S, Standing, decide

from .facts import ME, A, B, own, says, words

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


@pytest.mark.parametrize("role", [Role.PRIMARY, Role.REPLICA])
def test_nothing_is_done_on_the_word_of_a_minority_or_when_all_is_well(role):
    long = Standing(True, 99, 99)
    for heard in ((), (A,), (A, B), (ME, ME, ME)):
        assert decide(ME, own(role, follows=B), words(*heard), long) is None


def test_a_replica_that_follows_another_node_is_put_right_after_sentinel_had_its_turn():
    astray = own(follows=B)
    assert decide(ME, astray, words(A, A, A), Standing(False, astray_s=ASTRAY_S - 0.1)) is None
    follow = decide(ME, astray, words(A, A, A), Standing(False, astray_s=ASTRAY_S))
    assert follow is not None
    assert follow.primary == A
    in_failover = words(A, A, says(A, failover=True))
    assert decide(ME, astray, in_failover, Standing(False, astray_s=99)) is None


def test_a_replica_of_the_one_named_is_left_alone_whatever_its_link_does():
    """`REPLICAOF` of whom it follows does nothing but make it unpromotable, for ever where nobody
    can be caught up with any more."""
    long = Standing(False, 99, 99)
    for node in (own(), own(link_up=False), own(link_up=False, syncing=True)):
        assert decide(ME, node, words(A, A, A), long) is None


def test_it_never_follows_anybody_but_the_one_that_a_majority_names():
    for named in product([None, ME, A, B], repeat=3):
        heard = words(*filter(None, named))
        for node in (PRIMARY, own(), own(follows=B), own(link_up=False)):
            follow = decide(ME, node, heard, Standing(True, 99, 99))
            assert follow is None or follow.primary == heard.named != ME
