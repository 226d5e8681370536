"""How an id is split between the key and the record, and what a ticket costs in memory."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

import pytest
import redis

from guarita.deadline import Deadline
from guarita.stores.base import Created, Grant, Redeemed
from guarita.stores.record import split_id
from guarita.stores.redis import KeyNames
from guarita.topology.local import LocalStandalone

from .conftest import settings_for, started
from .test_contract import create, eventually, redeem
from .test_status_cost import Filler

TICKETS = 50_000
FIFTY_DAYS_S = 2**32 // 1000  # in milliseconds, four bytes
MOST_BYTES = {"redis": 150, "valkey": 100}


@pytest.fixture
def standalone(tmp_path):
    installation = started(LocalStandalone(tmp_path))
    yield installation
    installation.kill_all()


def test_an_id_is_split_without_losing_a_bit():
    seen = {split_id(uuid4()) for _ in range(10_000)}
    assert len(seen) == 10_000
    for bit in range(128):
        one = UUID(int=1 << bit)
        other = UUID(int=0)
        fixed = 76 <= bit < 80 or 62 <= bit < 64
        assert (split_id(one) == split_id(other)) == fixed, bit


def test_ids_that_share_a_key_are_not_taken_for_each_other(standalone, opened):
    store = opened(settings_for(standalone))
    deadline = Deadline.after(10)
    id = create(store, deadline)
    for twin in (UUID(int=id.int ^ 1), UUID(int=id.int ^ 2), UUID(int=id.int ^ 3)):
        assert split_id(twin)[0] == split_id(id)[0]
        assert store.read(twin, deadline=deadline) is None
        assert store.open(twin, deadline=deadline) is None
        assert redeem(store, deadline, twin) is Redeemed.UNKNOWN
        assert not store.revoke(twin, tenant=None, deadline=deadline)
        answer = store.create(twin, Grant(), ttl_s=60, max_sessions=0, deadline=deadline)
        assert answer is Created.CONFLICT
    assert redeem(store, deadline, id) is Redeemed.ADMITTED
    assert store.status(deadline=deadline).total_created == 1


@pytest.mark.parametrize("ttl_s", [60, FIFTY_DAYS_S - 1, FIFTY_DAYS_S + 1])
def test_an_unused_ticket_without_a_grant_lies_short_and_reads_whole(standalone, opened, ttl_s):
    settings = settings_for(standalone)
    store = opened(settings)
    deadline = Deadline.after(10)
    node = standalone.nodes[0]
    names = KeyNames(settings.sessions.key_prefix, settings.sessions.stats_key)
    id = uuid4()
    with redis.Redis(host=node.host, port=node.port) as client:

        def now_ms():
            seconds, us = client.time()
            return seconds * 1000 + us // 1000

        before_ms = now_ms()
        store.create(id, Grant(), ttl_s=ttl_s, max_sessions=0, deadline=deadline)
        after_ms = now_ms()
        lies_short = len(client.get(names.record(id, ""))) == 5
        assert lies_short == (ttl_s < FIFTY_DAYS_S)
        expires_ms = client.execute_command("PEXPIRETIME", names.record(id, ""))
        unopened = store.read(id, deadline=deadline)
        opened_record = store.open(id, deadline=deadline)
        assert (len(client.get(names.record(id, ""))) == 5) == lies_short
        assert client.execute_command("PEXPIRETIME", names.record(id, "")) == expires_ms
    assert before_ms <= unopened.created_at_ms <= after_ms
    assert unopened.ticket_expires_at_ms == expires_ms
    assert not unopened.iframe_opened
    assert opened_record == store.read(id, deadline=deadline)
    assert opened_record == replace(unopened, iframe_opened=True)
    assert redeem(store, deadline, id) is Redeemed.ADMITTED
    used = store.read(id, deadline=deadline)
    assert used.created_at_ms == unopened.created_at_ms
    assert used.ticket_expires_at_ms == expires_ms


def test_an_unredeemed_ticket_costs_no_more_memory_than_stated(standalone, figure):
    node = standalone.nodes[0]
    with redis.Redis(host=node.host, port=node.port) as client:
        kind = "valkey" if "valkey_version" in client.info("server") else "redis"
        # What is not the tickets': a histogram for each command's first use, and the slow log,
        # which fills where the machine is busy.
        client.config_set("latency-tracking", "no")
        client.config_set("slowlog-log-slower-than", -1)
        Filler(node, KeyNames("warm:", "auth_stats")).create(10, ttl_s=1800)
        before = client.info("memory")["used_memory"]
        # So many that the server's table is as full as with 200,000.
        Filler(node, KeyNames("auth_session:", "auth_stats")).create(TICKETS, ttl_s=1800)
        # Its connections had buffers of their own: they go with them.
        eventually(lambda: client.info("clients")["connected_clients"] == 1)
        each = (client.info("memory")["used_memory"] - before) / TICKETS
    figure(f"memory of an unredeemed ticket on {kind}: {each:.1f} bytes")
    assert each <= MOST_BYTES[kind]
