"""Trouble that is made in a real installation, and what doctor says of it."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from guarita import processes
from guarita.config import Address
from guarita.doctor.findings import findings
from guarita.doctor.seen import Seen
from guarita.topology.local import LocalSentinel, Node
from guarita.topology.local.sentinel import PRIMARY_NAME

from .conftest import PASSWORD, codes, look, said, settings, tell


def wait_for(well: LocalSentinel, code: str, **store: object) -> Seen:
    """What is seen as soon as doctor finds this."""
    seen: list[Seen] = []

    def is_found() -> bool:
        seen[:] = [look(settings(well, **store))]
        return code in codes(seen[0])

    assert processes.wait_until(is_found, timeout_s=15), codes(seen[0])
    return seen[0]


def sentinel_settings(well: LocalSentinel, nodes: list[str]) -> dict[str, object]:
    return {
        "primary_name": PRIMARY_NAME,
        "nodes": nodes,
        "password": well.sentinel_password,
    }


def named(nodes: tuple[Node, ...]) -> list[str]:
    return [str(node) for node in nodes]


def test_a_well_installation_has_no_findings(well: LocalSentinel) -> None:
    seen = look(settings(well, data_nodes=named(well.nodes)))
    assert findings(seen) == ()
    assert [node.is_primary for node in seen.nodes].count(True) == 1
    assert all(server.ahead_s is not None for server in seen.servers)


def test_names_in_place_of_addresses_change_nothing(well: LocalSentinel) -> None:
    nodes = [f"localhost:{each.port}" for each in well.sentinels]
    seen = look(settings(well, sentinel=sentinel_settings(well, nodes)))
    assert findings(seen) == ()
    assert [name.host for name in seen.names] == ["localhost"]


def test_a_dead_sentinel_and_then_no_majority(well: LocalSentinel) -> None:
    first, second, _ = well.sentinels
    well.kill(first)
    assert "connection refused" in said(look(settings(well)), "sentinel-silent")
    well.kill(second)
    seen = look(settings(well))
    assert "2 of 3 Sentinels must name one primary: 1 for" in said(seen, "no-majority")


def test_a_sentinel_that_was_paused_is_in_tilt(well: LocalSentinel) -> None:
    sentinel = well.pause(well.sentinels[0])
    began = time.monotonic()
    # It takes a pause of more than two seconds for a jump of the clock.
    processes.wait_until(lambda: time.monotonic() > began + 2.2, timeout_s=5)
    well.resume(sentinel)
    assert str(sentinel) in said(wait_for(well, "tilt"), "tilt")
    well.kill(sentinel)  # or else it stays so for 30 s


def test_two_primaries(well: LocalSentinel) -> None:
    primary, replica = well.primary(), well.replicas()[0]
    tell(well, replica, "REPLICAOF", "NO", "ONE")
    found = [each for each in findings(look(settings(well))) if each.code == "two-primaries"]
    assert [each.node for each in found] == [str(replica)]
    assert f"REPLICAOF {primary.host} {primary.port}" in found[0].advice


def test_a_named_primary_that_is_a_replica(well: LocalSentinel) -> None:
    primary, replica = well.primary(), well.replicas()[0]
    tell(well, primary, "REPLICAOF", replica.host, replica.port)
    seen = look(settings(well))
    assert f"{primary}: It is named as primary but is a replica" in said(seen, "named-is-replica")


def test_a_frozen_primary_and_a_sentinel_that_lists_nobody_after_a_reset(
    well: LocalSentinel,
) -> None:
    well.pause(well.primary())
    tell(well, well.sentinels[0], "SENTINEL", "RESET", PRIMARY_NAME)
    seen = look(settings(well))
    assert "cannot be asked" in said(seen, "named-unreachable")
    assert str(well.sentinels[0]) in said(seen, "lists-nobody")
    assert "node-silent" not in codes(seen)


def test_a_dead_replica(well: LocalSentinel) -> None:
    replica = well.kill(well.replicas()[0])
    assert str(replica) in said(look(settings(well)), "node-silent")


def test_dead_peers_that_are_not_configured_any_more_are_counted(well: LocalSentinel) -> None:
    sentinel, replica = well.kill(well.sentinels[2]), well.kill(well.replicas()[0])
    store = {
        "sentinel": sentinel_settings(well, named(well.sentinels[:2])),
        "data_nodes": [str(node) for node in well.nodes if node != replica],
    }
    assert str(sentinel) in said(
        wait_for(well, "dead-sentinel-counted", **store), "dead-sentinel-counted"
    )
    assert str(replica) in said(
        wait_for(well, "dead-replica-listed", **store), "dead-replica-listed"
    )


def test_living_peers_that_are_not_configured_are_foreign(well: LocalSentinel) -> None:
    replica = well.replicas()[0]
    store = {
        "sentinel": sentinel_settings(well, named(well.sentinels[:1])),
        "data_nodes": [str(node) for node in well.nodes if node != replica],
    }
    seen = look(settings(well, **store))
    assert str(well.sentinels[2]) in said(seen, "foreign-sentinel")
    assert f"It lists a replica {replica}" in said(seen, "foreign-node")


def test_a_foreign_sentinel_that_watches_a_node(well: LocalSentinel) -> None:
    node = well.nodes[1]
    with (
        well.client(node) as client,
        closing(client.pubsub()) as subscription,  # type: ignore[no-untyped-call]
    ):
        subscription.subscribe("__sentinel__:hello")
        subscription.connection.send_command("CLIENT", "SETNAME", "sentinel-feedbeef-pubsub")
        seen = wait_for(well, "foreign-watcher")
    assert f"{node}: A Sentinel that is not configured" in said(seen, "foreign-watcher")


def test_one_primary_under_two_names(well: LocalSentinel) -> None:
    primary, sentinel = well.primary(), well.sentinels[1]
    tell(well, sentinel, "SENTINEL", "MONITOR", "twin", primary.host, primary.port, 2)
    try:
        assert "as twin" in said(look(settings(well)), "name-shared")
    finally:
        tell(well, sentinel, "SENTINEL", "REMOVE", "twin")


def test_an_unknown_name_of_the_primary(well: LocalSentinel) -> None:
    sentinel = {**sentinel_settings(well, named(well.sentinels)), "primary_name": "mymaster"}
    seen = look(settings(well, sentinel=sentinel))
    assert "no primary called mymaster" in said(seen, "primary-name-unknown")
    assert "no-majority" in codes(seen)


def test_a_name_that_does_not_resolve(well: LocalSentinel) -> None:
    nodes = [*named(well.sentinels), "no-such-name.invalid:26379"]
    seen = look(settings(well, sentinel=sentinel_settings(well, nodes)))
    assert "no-such-name.invalid" in said(seen, "name-unresolved")
    assert "sentinels-even" in codes(seen)


def test_a_data_node_in_the_place_of_a_sentinel_and_the_reverse(well: LocalSentinel) -> None:
    sentinel = {**sentinel_settings(well, named(well.nodes[:1])), "password": PASSWORD}
    data = {"password": well.sentinel_password}
    seen = look(settings(well, sentinel=sentinel, data_nodes=named(well.sentinels[:1]), data=data))
    assert "it is standalone" in said(seen, "wrong-kind")
    assert "it is a Sentinel" in said(seen, "wrong-kind")


def test_a_replica_of_a_replica(well: LocalSentinel) -> None:
    first, second = well.replicas()
    tell(well, second, "REPLICAOF", first.host, first.port)
    assert f"{second}: It follows {first}" in said(look(settings(well)), "replica-of-replica")


def test_a_replica_of_a_dead_address(well: LocalSentinel) -> None:
    replica = well.replicas()[1]
    tell(well, replica, "REPLICAOF", "127.0.0.1", 1)
    seen = look(settings(well))
    assert f"{replica}: It follows 127.0.0.1:1, which does not answer" in said(
        seen, "replica-of-dead"
    )
    assert "link-down" in codes(seen)


def test_a_primary_that_takes_no_writes(well: LocalSentinel) -> None:
    tell(well, well.primary(), "CONFIG", "SET", "min-replicas-to-write", 3)
    try:
        assert "2 of 3 replicas" in said(look(settings(well)), "primary-not-writable")
    finally:
        tell(well, well.primary(), "CONFIG", "SET", "min-replicas-to-write", 1)


def test_a_failed_snapshot_that_stops_writes(well: LocalSentinel) -> None:
    primary = well.primary()
    in_the_way = primary.directory / "dump.rdb"
    if in_the_way.is_file():
        in_the_way.unlink()
    in_the_way.mkdir()
    tell(well, primary, "CONFIG", "SET", "save", "86400 1")
    try:
        tell(well, primary, "BGSAVE")
        assert "MISCONF" in said(wait_for(well, "snapshot-failing"), "primary-not-writable")
    finally:
        in_the_way.rmdir()
        tell(well, primary, "CONFIG", "SET", "save", "")
        tell(well, primary, "BGSAVE")

        def is_saved() -> bool:
            with well.client(primary) as client:
                return bool(client.info("persistence")["rdb_last_bgsave_status"] == "ok")

        assert processes.wait_until(is_saved, timeout_s=10)


NODE_SETTINGS = [
    ("persistence-off", "appendonly", "no"),
    ("fsync-loose", "appendfsync", "no"),
    ("unfenced", "min-replicas-to-write", 0),
    ("fenced-late", "min-replicas-max-lag", 10),
    ("frozen-replica-kept", "repl-timeout", 60),
    ("priorities-unequal", "replica-priority", 50),
]


@pytest.mark.parametrize(("code", "name", "value"), NODE_SETTINGS)
def test_unsafe_settings_of_a_data_node(
    well: LocalSentinel, code: str, name: str, value: object
) -> None:
    node = well.nodes[0]
    with well.client(node) as client:
        before = client.config_get(name)[name]
        client.config_set(name, value)  # type: ignore[arg-type]
        try:
            assert codes(look(settings(well))) == {code}
        finally:
            client.config_set(name, before)


def test_a_data_node_that_evicts(well: LocalSentinel) -> None:
    with well.client(well.nodes[0]) as client:
        client.execute_command("CONFIG SET maxmemory 1gb maxmemory-policy allkeys-lru")  # type: ignore[no-untyped-call]
        try:
            assert codes(look(settings(well))) == {"evicts"}
        finally:
            client.execute_command("CONFIG SET maxmemory 0 maxmemory-policy noeviction")  # type: ignore[no-untyped-call]


def test_replicas_that_are_never_promoted(well: LocalSentinel) -> None:
    for node in well.replicas():
        tell(well, node, "CONFIG", "SET", "replica-priority", 0)
    try:
        assert codes(look(settings(well))) == {"nobody-promotable"}
    finally:
        for node in well.replicas():
            tell(well, node, "CONFIG", "SET", "replica-priority", 100)


SENTINEL_SETTINGS = [
    ({"quorum-unsafe"}, "quorum", 1, 2),
    ({"down-after-short"}, "down-after-milliseconds", 2000, 3000),
    ({"down-after-long"}, "down-after-milliseconds", 30_000, 3000),
    ({"failover-timeout-long"}, "failover-timeout", 180_000, 3000),
    ({"parallel-syncs-few"}, "parallel-syncs", 1, 2),
]


@pytest.mark.parametrize(("expected", "name", "value", "safe"), SENTINEL_SETTINGS)
def test_unsafe_settings_of_the_sentinels(
    well: LocalSentinel, expected: set[str], name: str, value: int, safe: int
) -> None:
    for sentinel in well.sentinels:
        tell(well, sentinel, "SENTINEL", "SET", PRIMARY_NAME, name, value)
    try:
        assert codes(look(settings(well))) == expected
        tell(well, well.sentinels[0], "SENTINEL", "SET", PRIMARY_NAME, name, safe)
        assert f"{name} differs" in said(look(settings(well)), "sentinel-settings-differ")
    finally:
        for sentinel in well.sentinels:
            tell(well, sentinel, "SENTINEL", "SET", PRIMARY_NAME, name, safe)


def test_wrong_and_missing_passwords(well: LocalSentinel) -> None:
    seen = look(settings(well, data={"password": "wrong"}))
    assert "password-wrong" in codes(seen)
    seen = look(settings(well, data={}))
    assert "password-missing" in codes(seen)


def test_a_user_who_lacks_permissions(well: LocalSentinel) -> None:
    rules = ["on", ">secret", "~*", "&*", "+info", "+role", "+wait", "+evalsha", "+script|load"]
    for node in well.nodes:
        tell(well, node, "ACL", "SETUSER", "service", *rules)
    try:
        seen = look(settings(well, data={"username": "service", "password": "secret"}))
    finally:
        for node in well.nodes:
            tell(well, node, "ACL", "DELUSER", "service")
    text = said(seen, "permission-missing")
    assert "user service lacks +get +set" in text
    assert "+evalsha" not in text
    assert "+config|get" in said(seen, "not-seen")
    assert "frozen-replica-kept" not in codes(seen)


def test_somebody_who_is_refused_is_named(well: LocalSentinel) -> None:
    node = well.nodes[0]
    with (
        redis.Redis(
            node.host,
            node.port,
            username="replicator",
            password="a secret",
            retry=Retry(NoBackoff(), 0),
        ) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()
    text = said(look(settings(well)), "refused-by-acl")
    assert "The user replicator was refused auth" in text
    assert "secret" not in text


def test_a_clock_that_is_off(well: LocalSentinel) -> None:
    assert "here" in said(look(settings(well), now=lambda: time.time() + 3), "clock-off")
    assert "here" in said(look(settings(well), now=lambda: time.time() - 9), "clock-far-off")


def test_who_does_not_answer_before_time_is_up_is_silent(well: LocalSentinel) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        seen = look(
            settings(well, data_nodes=[*named(well.nodes), address]),
            agents=[Address.parse(address)],
            budget_s=0.3,
        )
    assert "no answer within 0.3 s" in said(seen, "node-silent")
    assert "no answer within 0.3 s" in said(seen, "agent-silent")
    assert address in said(seen, "data-nodes-mismatch")


def test_nothing_is_written(well: LocalSentinel, tmp_path: Path) -> None:
    with well.client(well.primary()) as client:
        before = client.dbsize(), client.info("persistence")["rdb_changes_since_last_save"]
        look(settings(well))
        after = client.dbsize(), client.info("persistence")["rdb_changes_since_last_save"]
    assert before == after
