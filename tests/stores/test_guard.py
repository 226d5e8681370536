"""What a new primary may lack of what was acknowledged, and who is told."""

from __future__ import annotations

import time
from dataclasses import replace
from uuid import uuid4

import pytest

from guarita.config import Durability
from guarita.deadline import Deadline
from guarita.stores.base import Created, Grant, Redeemed
from guarita.stores.connect import _look_for_loss
from guarita.stores.durability import Reading, Round
from guarita.stores.guard import TALLIES, Guard, History, Rule, Writes
from guarita.topology.local import LocalSentinel

from .conftest import settings_for, started
from .test_contract import create, eventually, redeem

ACKNOWLEDGED = History(b"stream", offset=500, tallied=40)
PROMOTED = History(b"new", 620, 45, second_id=b"stream", second_offset=501)


@pytest.mark.parametrize(
    "history",
    [
        ACKNOWLEDGED,
        replace(ACKNOWLEDGED, offset=501, tallied=41),
        PROMOTED,
        History(b"restarted", 12, 40),
    ],
)
def test_a_primary_that_may_have_all_is_believed(history):
    assert history.lacks(ACKNOWLEDGED) is None


@pytest.mark.parametrize(
    ("history", "words"),
    [
        (replace(ACKNOWLEDGED, offset=499), "at 499 of the same stream"),
        (replace(PROMOTED, second_offset=500), "left the old stream at 500"),
        (History(b"restarted", 12, 39), "counted 39 changes, not 40"),
        (History(b"empty", 0, 0), "counted 0 changes"),
    ],
)
def test_a_primary_that_lacks_something_is_found_out(history, words):
    assert words in str(history.lacks(ACKNOWLEDGED))


PRIMARY, REPLICA = ("n1", 1), ("n2", 2)


def answers_of_a_primary_at(offset: int, *, replica_at: int) -> list[object]:
    """What it says behind a batch that WAIT counted the replica for."""
    replication = (
        "master_replid:stream\r\nmaster_replid2:none\r\nsecond_repl_offset:-1\r\n"
        f"master_repl_offset:{offset}\r\n"
        f"slave0:ip=n2,port=2,state=online,offset={replica_at},lag=0\r\n"
    )
    role = [b"master", offset, [[b"n2", b"2", str(replica_at).encode()]]]
    return [[b"40"], role, 1, replication.encode()]


def test_what_others_wrote_behind_ours_is_not_taken_for_acknowledged():
    rule = Rule(Durability.BALANCED, frozenset({PRIMARY, REPLICA}))
    guard = Guard(rule, b"stats", on_doubt=lambda: None)
    writes = Writes(guard, PRIMARY)
    promoted = History(b"new", 620, 39, second_id=b"stream", second_offset=451)
    assert writes.holds(answers_of_a_primary_at(500, replica_at=450))
    assert guard.loss_in(promoted) is None
    assert writes.holds(answers_of_a_primary_at(500, replica_at=500))
    assert guard.loss_in(promoted)


def test_one_that_was_taken_away_is_not_missed_again_when_nobody_answers_for_it():
    third, now_s = ("n3", 3), time.monotonic()
    rule = Rule(Durability.BALANCED, frozenset({PRIMARY, REPLICA}))
    guard = Guard(rule, b"stats", on_doubt=lambda: None)
    writes = Writes(guard, PRIMARY)
    writes.attached = frozenset({REPLICA})
    guard.note(frozenset({third}))
    assert writes.decision.required == {REPLICA, third}
    replicas = frozenset({REPLICA})
    says = [Reading(f"s{n}", PRIMARY, True, replicas, up=replicas) for n in (1, 2, 3)]
    for age_s in (2.5, 0.1):
        guard.observe(Round(now_s - age_s, now_s - age_s, tuple(says)))
    assert writes.decision.required == {REPLICA}
    guard.observe_nobody()
    assert writes.decision.required == {REPLICA}


def test_one_that_was_voted_out_while_attached_is_left_out_as_soon_as_it_is_gone():
    """A frozen replica, or one that is about to leave: it had everything until it went."""
    third = ("n3", 3)
    guard = Guard(Rule(Durability.BALANCED), b"stats", on_doubt=lambda: None)
    writes = Writes(guard, PRIMARY)
    alone = answers_of_a_primary_at(500, replica_at=500)
    tallies, role, _, replication = both = answers_of_a_primary_at(500, replica_at=500)
    role[2].append([b"n3", b"3", b"500"])
    both = [tallies, role, 2, replication + b"slave1:ip=n3,port=3,state=online,offset=500,lag=0"]
    assert writes.holds(both)
    vote_out(guard, third)
    assert third in writes.decision.required  # it is attached
    assert writes.holds(alone)
    assert third in writes.decision.left_out
    assert writes.holds(both)
    assert writes.holds(alone) is False  # it had attached again: it has to be voted out anew


def with_link(answers: list[object], host: str, port: int, *, at: int) -> list[object]:
    """The same, with one more link that WAIT counts."""
    tallies, role, counted, replication = answers
    assert isinstance(role, list)
    assert isinstance(counted, int)
    assert isinstance(replication, bytes)
    links = [*role[2], [host.encode(), str(port).encode(), str(at).encode()]]
    line = f"slave{len(role[2])}:ip={host},port={port},state=online,offset={at},lag=0\r\n"
    return [tallies, [*role[:2], links], counted + 1, replication + line.encode()]


def test_two_links_of_one_replica_do_not_count_for_two():
    """The first broke unnoticed, and the replica came anew: WAIT counts both."""
    third = ("n3", 3)
    rule = Rule(Durability.BALANCED, frozenset({PRIMARY, REPLICA, third}))
    writes = Writes(Guard(rule, b"stats", on_doubt=lambda: None), PRIMARY)
    alone = answers_of_a_primary_at(500, replica_at=500)
    assert not writes.holds(with_link(alone, "n2", 2, at=500))
    assert writes.holds(with_link(with_link(alone, "n2", 2, at=500), "n3", 3, at=500))


def test_a_tool_that_takes_a_copy_is_no_replica():
    """`redis-cli --rdb` names no port on which anybody could promote it."""
    guard = Guard(Rule(Durability.BALANCED), b"stats", on_doubt=lambda: None)
    writes = Writes(guard, PRIMARY)
    alone = answers_of_a_primary_at(500, replica_at=500)
    assert writes.holds(with_link(alone, "tool", 0, at=0))
    assert writes.decision.required == {REPLICA}
    behind = answers_of_a_primary_at(500, replica_at=499)
    behind[2] = 0  # the replica has not acknowledged yet
    assert not writes.holds(with_link(behind, "tool", 0, at=500))
    assert not guard.knows(("tool", 0))


def test_where_the_sentinels_name_nobody_no_earlier_word_leaves_anybody_out():
    third = ("n3", 3)
    guard = Guard(Rule(Durability.BALANCED), b"stats", on_doubt=lambda: None)
    writes = Writes(guard, PRIMARY)
    alone = answers_of_a_primary_at(500, replica_at=500)
    writes.holds(alone)
    vote_out(guard, third)
    assert writes.holds(alone)
    guard.observe_nobody()
    assert third in writes.decision.required
    assert not writes.holds(alone)


class Lacking:
    """A primary that has counted less than was acknowledged, and notes the marks of a loss."""

    def __init__(self) -> None:
        self.marks: list[object] = []
        self._answers: list[object] = []

    def pack_commands(self, commands):
        return list(commands)

    def send_packed_command(self, commands, *, check_health):
        assert not check_health
        info = (
            b"master_replid:other\r\nmaster_replid2:none\r\nsecond_repl_offset:-1\r\n"
            b"master_repl_offset:9\r\n"
        )
        answers = {"INFO": info, "HMGET": [b"39"], "TIME": [b"7", b"5"], "HSET": 1}
        self.marks += [each for each in commands if each[0] == "HSET"]
        self._answers = [answers[each[0]] for each in commands]

    def read_response(self):
        return self._answers.pop(0)


def test_a_loss_is_marked_on_each_next_primary_until_something_is_acknowledged_again():
    """The first of them may die before any replica has its mark."""
    guard = Guard(Rule(Durability.BALANCED), b"stats", on_doubt=lambda: None)
    guard.remember(ACKNOWLEDGED)
    primaries = [Lacking() for _ in range(3)]
    for each in primaries[:2]:
        _look_for_loss(each, guard, "n1:1")
        assert each.marks == [("HSET", b"stats", "doubted_us", 7_000_005)]
    guard.remember(History(b"other", 9, 39))
    _look_for_loss(primaries[2], guard, "n1:1")
    assert primaries[2].marks == []


def test_a_node_that_need_not_have_a_write_is_waited_for_too_where_it_is_attached():
    """Else WAIT ends with others, and asks nobody how far he is: a heartbeat takes a second."""
    third = ("n3", 3)
    both = with_link(answers_of_a_primary_at(500, replica_at=500), "n3", 3, at=500)
    for configured, awaited in (({PRIMARY, REPLICA}, 2), ({PRIMARY, REPLICA, third}, 2)):
        rule = Rule(Durability.STRICT, frozenset(configured))
        writes = Writes(Guard(rule, b"stats", on_doubt=lambda: None), PRIMARY)
        assert writes.holds(both)
        [wait] = [each for each in writes.questions() if each[0] == "WAIT"]
        assert wait[1] == awaited


def vote_out(guard: Guard, node: tuple[str, int]) -> None:
    """Two Sentinels have said for a good while, and just now, that this one is down."""
    now_s = time.monotonic()
    readings = tuple(
        Reading(name, PRIMARY, True, frozenset({PRIMARY, REPLICA, node}), frozenset({node}))
        for name in ("s1", "s2")
    )
    for ahead_s in (0.0, 2.0):  # said of the moments to come: nothing here waits
        guard.observe(Round(now_s + ahead_s, now_s + ahead_s, readings))


@pytest.fixture
def sentinel(tmp_path):
    installation = started(LocalSentinel(tmp_path))
    yield installation
    installation.kill_all()


def test_after_a_loss_older_tickets_are_refused_and_newer_ones_redeemed(sentinel, opened):
    settings = settings_for(sentinel)
    store, other_process = opened(settings), opened(settings)
    old, used = (create(store, Deadline.after(10)) for _ in range(2))
    assert redeem(store, Deadline.after(10), used) is Redeemed.ADMITTED
    with sentinel.client(sentinel.primary()) as client:
        # As if the last changes had not been there: the counters go back.
        client.hincrby(settings.sessions.stats_key, "total_created", -1)
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        store.ping(deadline=Deadline.after(10))  # an idle connection is missed when it is used
        eventually(lambda: client.hexists(settings.sessions.stats_key, "doubted_us"))
    assert redeem(store, Deadline.after(10), old) is Redeemed.DOUBTED
    assert redeem(other_process, Deadline.after(10), old) is Redeemed.DOUBTED
    assert redeem(store, Deadline.after(10), used) is Redeemed.REPLAYED
    assert redeem(store, Deadline.after(10), create(store, Deadline.after(10))) is Redeemed.ADMITTED


def test_every_change_that_is_acknowledged_is_counted(sentinel, opened):
    """What is not counted, a node that restarts without it does not know that it lacks."""
    settings = settings_for(sentinel)
    store, deadline = opened(settings), Deadline.after(20)
    id, other = (create(store, deadline) for _ in range(2))
    changes = (
        lambda: create(store, deadline),
        lambda: redeem(store, deadline, id),
        lambda: redeem(store, deadline, id),  # the same attempt again
        lambda: redeem(store, deadline, id, attempt=2),
        lambda: redeem(store, deadline, uuid4()),
        lambda: store.revoke(other, tenant=None, deadline=deadline),
        lambda: store.revoke(uuid4(), tenant=None, deadline=deadline),
        lambda: store.revoke_subject("", "ana", ttl_s=60, deadline=deadline),
    )
    with sentinel.client(sentinel.primary()) as client:
        for change in changes:
            before = client.hmget(settings.sessions.stats_key, TALLIES)
            change()
            after = client.hmget(settings.sessions.stats_key, TALLIES)
            assert sum(int(n or 0) for n in after) > sum(int(n or 0) for n in before)


def test_lost_connections_alone_put_no_ticket_in_doubt(sentinel, opened):
    settings = settings_for(sentinel)
    store = opened(settings)
    id = create(store, Deadline.after(10))
    with sentinel.client(sentinel.primary()) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert redeem(store, Deadline.after(10), id) is Redeemed.ADMITTED
    repeated = store.create(uuid4(), Grant(), ttl_s=60, max_sessions=0, deadline=Deadline.after(10))
    assert repeated is Created.NEW
