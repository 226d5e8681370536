"""As what a node starts: every combination of what Sentinels and peers may say."""

from __future__ import annotations

from itertools import product

import pytest

from guarita.node.boot import Step, decide
from guarita.node.peers import Role, State

from .facts import ME, A, B, history, peer, says, words

ALL_KNOWN = {A: peer(A), B: peer(B)}


def test_it_follows_whom_a_majority_names_however_much_history_it_has():
    verdict = decide(ME, history(99), words(A, A, ME), {A: None, B: None})
    assert (verdict.step, verdict.primary) == (Step.FOLLOW, A)


def test_it_leads_where_it_is_named_and_nobody_has_more():
    assert decide(ME, history(10), words(ME, ME, ME), ALL_KNOWN).step is Step.LEAD


@pytest.mark.parametrize(
    ("other", "words_of_it"),
    [
        (None, "does not answer"),
        (peer(B, None), "has not loaded"),
        (peer(B, 11), "has more history"),
    ],
)
def test_it_waits_where_one_peer_may_have_more_and_says_which(other, words_of_it):
    verdict = decide(ME, history(10), words(ME, ME, ME), {A: peer(A), B: other})
    assert verdict.step is Step.WAIT
    assert words_of_it in verdict.reason
    assert "n3:3" in verdict.reason


@pytest.mark.parametrize("heard", [(), (ME,), (ME, A), (ME, A, B)])
def test_it_waits_where_no_majority_of_all_sentinels_names_anybody(heard):
    verdict = decide(ME, history(), words(*heard), ALL_KNOWN)
    assert verdict.step is Step.WAIT
    assert f"{len(heard)} of 3 Sentinels answer" in verdict.reason


@pytest.mark.parametrize("chosen", [ME, A])
def test_it_waits_for_a_failover_that_has_chosen_somebody(chosen):
    for named in (ME, B):
        verdict = decide(ME, history(), words(named, named, says(chosen=chosen)), ALL_KNOWN)
        assert verdict.step is Step.WAIT


def test_it_follows_whom_a_majority_names_while_the_others_are_still_told_so():
    leader = says(A, failover=True, chosen=A)
    for rest in ((A, A), (A, ME), (A,)):
        verdict = decide(ME, history(), words(leader, *rest), ALL_KNOWN)
        assert (verdict.step, verdict.primary) == (Step.FOLLOW, A)
    assert decide(ME, history(), words(leader, B, B), ALL_KNOWN).step is Step.WAIT
    assert decide(ME, history(), words(leader, ME, ME), ALL_KNOWN).step is Step.WAIT


def test_it_waits_while_another_one_leads():
    leading = {A: peer(A, 9, Role.PRIMARY), B: peer(B)}
    verdict = decide(ME, history(), words(ME, ME, ME), leading)
    assert verdict.step is Step.WAIT
    assert "n2:2 leads" in verdict.reason
    booting = {A: peer(A, 9, Role.PRIMARY, State.BOOTING), B: peer(B)}
    assert decide(ME, history(), words(ME, ME, ME), booting).step is Step.LEAD


def test_it_does_not_wait_for_an_election():
    heard = words(ME, ME, says(failover=True))
    assert decide(ME, history(), heard, ALL_KNOWN).step is Step.LEAD


def test_every_combination_leads_only_where_all_is_known_and_nobody_has_more():
    for named in product([None, ME, A], repeat=3):
        heard = [each for each in named if each]
        for first, second in product(
            [None, peer(A, None), peer(A, 9), peer(A, 10), peer(A, 11)], repeat=2
        ):
            verdict = decide(ME, history(10), words(*heard), {A: first, B: second})
            may_lead = all(p and p.history and p.history.tallied <= 10 for p in (first, second))
            if heard.count(A) >= 2:
                assert verdict.step is Step.FOLLOW
            elif heard.count(ME) >= 2 and may_lead:
                assert verdict.step is Step.LEAD
            else:
                assert verdict.step is Step.WAIT
