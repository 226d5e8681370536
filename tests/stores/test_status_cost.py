"""The status is exact for 200,000 tickets and costs what it costs for ten."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import redis

from guarita.deadline import Deadline
from guarita.stores import scripts
from guarita.stores.base import Status
from guarita.stores.record import split_id
from guarita.stores.redis import KeyNames, RedisStore
from guarita.topology.local import LocalStandalone, Node

from .conftest import settings_for, started
from .test_contract import eventually, redeem_of

TICKETS = 200_000
REDEEMED = 50_000
EXPIRED = 60_000
USED = 2  # in the first byte of a record


@pytest.fixture
def standalone(tmp_path: Path) -> Iterator[LocalStandalone]:
    installation = started(LocalStandalone(tmp_path / "standalone"))
    yield installation
    installation.kill_all()


class Filler:
    """Creates and redeems by the real scripts, many at a time, without an answer to each."""

    def __init__(self, node: Node, names: KeyNames) -> None:
        self._address = (node.host, node.port)
        self._names = names
        with redis.Redis(host=node.host, port=node.port) as client:
            for script in (scripts.CREATE, scripts.REDEEM):
                client.script_load(script.text)

    def create(self, count: int, ttl_s: int) -> list[UUID]:
        ids = [uuid4() for _ in range(count)]
        self._run(scripts.CREATE, [(id, (b"%d" % ttl_s, b"0", b"")) for id in ids])
        return ids

    def redeem(self, ids: list[UUID]) -> None:
        calls = []
        for id in ids:
            redeem = redeem_of(id)
            hashes = (redeem.attempt_sha256, redeem.token_sha256)
            calls.append((id, (*hashes, b"600", b"60", b"0")))
        self._run(scripts.REDEEM, calls)

    def _run(self, script: scripts.Script, calls: list[tuple[UUID, tuple[bytes, ...]]]) -> None:
        begin = (b"EVALSHA", script.sha1, b"3")
        shared = (self._names.counters(""), self._names.expiring(""))
        with socket.create_connection(self._address) as connection:
            connection.sendall(b"CLIENT REPLY OFF\r\n")
            for start in range(0, len(calls), 2000):
                commands = []
                for id, args in calls[start : start + 2000]:
                    rest = b"%d" % split_id(id)[1]
                    key = self._names.record(id, "")
                    commands.append(packed(*begin, key, *shared, rest, *args))
                connection.sendall(b"".join(commands))
            connection.sendall(b"CLIENT REPLY ON\r\n")
            assert connection.recv(100) == b"+OK\r\n"


def packed(*words: bytes) -> bytes:
    """A command as it is sent (https://redis.io/docs/latest/develop/reference/protocol-spec/)."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)


def commands_of_one_status(store: RedisStore, client: redis.Redis) -> int:
    """The fewest of some calls: one may fall on a new second and take out what expired in it."""

    def calls() -> int:
        stats = client.info("commandstats")
        return sum(stat["calls"] for name, stat in stats.items() if name != "cmdstat_info")

    counts = []
    for _ in range(5):
        before = calls()
        store.status(deadline=Deadline.after(10))
        counts.append(calls() - before)
    return min(counts)


def counted_one_by_one(client: redis.Redis, prefix: str) -> tuple[int, int]:
    keys = list(client.scan_iter(f"{prefix}*", count=10_000))
    values: list[bytes | None] = []
    for start in range(0, len(keys), 10_000):
        values += client.mget(keys[start : start + 10_000])
    records = [value for value in values if value is not None]
    return len(records), sum(record[0] & USED != 0 for record in records)


def test_status_is_exact_at_a_cost_that_tickets_do_not_change(standalone, opened):
    settings = settings_for(standalone)
    names = KeyNames(settings.sessions.key_prefix, settings.sessions.stats_key)
    store = opened(settings)
    node = standalone.nodes[0]
    with redis.Redis(host=node.host, port=node.port) as client:
        fill = Filler(node, names)
        fill.create(10, ttl_s=600)
        cost_of_ten = commands_of_one_status(store, client)

        fill.create(EXPIRED, ttl_s=1)
        kept = fill.create(TICKETS - EXPIRED - 10, ttl_s=600)
        fill.redeem(kept[:REDEEMED])
        alive = TICKETS - EXPIRED
        eventually(lambda: store.status(deadline=Deadline.after(10)).total_sessions == alive)

        status = store.status(deadline=Deadline.after(10))
        assert status == Status(alive, REDEEMED, TICKETS, REDEEMED)
        assert status.active_sessions == alive - REDEEMED
        assert counted_one_by_one(client, names.prefix) == (alive, REDEEMED)
        assert commands_of_one_status(store, client) == cost_of_ten
