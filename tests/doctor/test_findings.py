"""Each kind of trouble in constructed states: found where it is, and only there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from guarita.config import Address, Durability, Topology
from guarita.doctor.finding import Severity
from guarita.doctor.findings import findings
from guarita.doctor.kinds import Kind
from guarita.doctor.seen import (
    Agent,
    Cause,
    Failure,
    HostName,
    Listed,
    Member,
    Node,
    Refusal,
    Seen,
    Server,
)

from .states import (
    DATA,
    NOW_S,
    SENTINELS,
    STRANGER,
    Change,
    after,
    having,
    id_of,
    node,
    server,
    view_of,
    well,
    with_node,
    with_server,
    with_view,
)

DOWN = frozenset({"s_down", "slave"})
REFUSED = Failure(Cause.REFUSED, "connection refused")
AGENT = Address("10.0.0.1", 8300)
AGENTS = tuple(Agent(Address(each.host, 8300), alive=True, ready=True) for each in DATA)


def codes(seen: Seen) -> set[str]:
    return {each.code for each in findings(seen)}


def failing(kind: str, place: int, cause: Cause, text: str = "words of the server") -> Change:
    return with_server(kind, place, failure=Failure(cause, text))


def view(**changes: object) -> dict[str, object]:
    return changes


def listed(*addresses: Address, flags: frozenset[str] = frozenset({"slave"})) -> tuple[Listed, ...]:
    return tuple(Listed(each, flags) for each in addresses)


def follows(place: int, address: Address, **more: str) -> Change:
    info = {"role": "slave", "master_host": address.host, "master_port": str(address.port)}
    return with_node(place, info={"master_link_status": "up", **info, **more})


def is_primary(place: int) -> Change:
    return with_node(place, info={"role": "master", "connected_slaves": "0"})


def with_more(*nodes: Node) -> Change:
    return lambda seen: replace(seen, nodes=(*seen.nodes, *nodes))


def version(kind: str, place: int, **info: str) -> Change:
    if kind == "nodes":
        return with_node(place, info=info)
    return with_server(kind, place, info={"redis_mode": "sentinel", **info})


OTHER_SENTINEL = Address("10.0.1.9", 26379)
FOREIGN = (*view_of(SENTINELS[0]).others, Listed(OTHER_SENTINEL, frozenset({"sentinel"}), "f" * 40))
DEAD = (*view_of(SENTINELS[0]).others, Listed(OTHER_SENTINEL, frozenset({"s_down"}), "f" * 40))
LAGGING = f"ip={DATA[1].host},port=6379,state=online,offset=0,lag=9"
CLUSTER = (
    Member(DATA[0], frozenset({"master"}), "a", "", has_slots=True),
    Member(DATA[1], frozenset({"slave", "fail"}), "b", "a", has_slots=False),
)
STANDALONE = having(
    topology=Topology.STANDALONE, sentinels=(), data_nodes=(), nodes=(node(DATA[0]),)
)
ALIVE = having(agents=AGENTS[:2])  # an agent's own configuration lacks that agent
OF_SENTINELS = having(agents=tuple(replace(each, of_data_node=False) for each in AGENTS))
FOURTH = [having(data_nodes=(*DATA, STRANGER)), with_more(Node(Server(STRANGER, REFUSED)))]
AS_CLUSTER = having(topology=Topology.CLUSTER, sentinels=(), data_nodes=())

# What happened, by the code of what must be found.
STATES: list[tuple[str, list[Change]]] = [
    (
        "no-majority",
        [failing("sentinels", 0, Cause.REFUSED), failing("sentinels", 1, Cause.SILENT)],
    ),
    ("no-majority", [with_view(0, primary=DATA[1]), with_view(1, primary=DATA[2])]),
    ("two-primaries", [is_primary(2)]),
    ("named-is-replica", [follows(0, DATA[1], master_link_status="down")]),
    ("named-unreachable", [failing("nodes", 0, Cause.SILENT)]),
    ("named-unreachable", [failing("nodes", 0, Cause.REFUSED)]),
    ("primary-not-writable", [with_node(0, info={"min_slaves_good_slaves": "0"})]),
    ("primary-not-writable", [with_node(0, info={"aof_last_write_status": "err"})]),
    (
        "primary-not-writable",
        [with_node(0, info={"rdb_last_bgsave_status": "err"}, config={"save": "60 1"})],
    ),
    (
        "primary-not-writable",
        [
            with_node(
                0,
                info={"used_memory": "9", "maxmemory": "9", "maxmemory_policy": "noeviction"},
            )
        ],
    ),
    ("failover-under-way", [with_view(1, flags=frozenset({"master", "failover_in_progress"}))]),
    ("alone", [with_node(0, info={"connected_slaves": "0"})]),
    ("replica-of-replica", [follows(2, DATA[1])]),
    ("replica-of-dead", [follows(2, STRANGER)]),
    ("replica-of-dead", [follows(2, STRANGER), with_more(Node(Server(STRANGER, REFUSED)))]),
    ("replica-of-other", [follows(2, DATA[1]), is_primary(1)]),
    ("link-down", [with_node(1, info={"master_link_status": "down"})]),
    (
        "syncing",
        [with_node(1, info={"master_link_status": "down", "master_sync_in_progress": "1"})],
    ),
    ("replica-behind", [with_node(0, info={"slave0": LAGGING})]),
    ("replica-behind", [with_node(0, info={"master_repl_offset": "9000000"})]),
    ("loading", [with_node(1, info={"loading": "1"})]),
    ("data-nodes-mismatch", [having(data_nodes=(*DATA, STRANGER))]),
    ("sentinel-silent", [failing("sentinels", 2, Cause.REFUSED)]),
    ("sentinel-silent", [failing("sentinels", 2, Cause.SILENT)]),
    ("sentinels-disagree", [with_view(1, primary=DATA[1])]),
    ("primary-name-unknown", [with_view(1, primary=None)]),
    ("tilt", [with_view(2, tilt=True)]),
    ("tilt", [with_view(2, primary=None, tilt=True)]),
    ("no-quorum", [with_view(0, quorum_trouble="NOQUORUM 1 usable Sentinels.")]),
    ("primary-seen-down", [with_view(0, flags=frozenset({"master", "s_down"}))]),
    (
        "seen-down",
        [with_view(0, replicas=(*listed(DATA[1]), *listed(DATA[2], flags=DOWN)))],
    ),
    (
        "seen-down",
        [
            with_view(
                0,
                others=tuple(
                    Listed(each, frozenset({"s_down"}), id_of(each)) for each in SENTINELS[1:]
                ),
            )
        ],
    ),
    ("lists-nobody", [with_view(0, replicas=())]),
    ("replica-not-listed", [with_view(0, replicas=listed(DATA[1]))]),
    ("sentinel-not-listed", [with_view(0, others=view_of(SENTINELS[0]).others[:1])]),
    ("dead-sentinel-counted", [with_view(0, others=DEAD)]),
    (
        "dead-replica-listed",
        [with_view(0, replicas=(*listed(*DATA[1:]), *listed(STRANGER, flags=DOWN)))],
    ),
    ("foreign-node", [with_view(0, replicas=listed(*DATA[1:], STRANGER))]),
    ("foreign-node", [with_view(0, primary=STRANGER)]),
    ("foreign-sentinel", [with_view(0, others=FOREIGN)]),
    ("foreign-watcher", [with_node(1, watchers=frozenset({"feedbeef"}))]),
    ("name-shared", [with_view(0, also_named=("mymaster",))]),
    ("wrong-kind", [with_server("sentinels", 0, info={"redis_mode": "standalone"})]),
    ("wrong-kind", [with_node(1, info={"redis_mode": "sentinel"})]),
    ("sentinels-few", [lambda seen: replace(seen, sentinels=seen.sentinels[:2])]),
    ("sentinels-even", [lambda seen: replace(seen, sentinels=seen.sentinels[:2])]),
    ("quorum-unsafe", [with_view(quorum=1)]),
    ("quorum-unsafe", [with_view(quorum=3)]),
    ("sentinel-settings-differ", [with_view(0, failover_timeout_ms=20_000)]),
    ("node-silent", [failing("nodes", 1, Cause.REFUSED)]),
    ("name-unresolved", [having(names=(HostName("gone", 0.1, failure="not known"),))]),
    ("name-slow", [having(names=(HostName("slow", 0.9, ("10.0.0.1",)),))]),
    ("network-slow", [with_server("nodes", 1, unsure_s=0.0101)]),
    ("answer-not-understood", [failing("nodes", 1, Cause.NOT_UNDERSTOOD)]),
    ("answer-not-understood", [failing("sentinels", 1, Cause.NOT_UNDERSTOOD)]),
    ("password-missing", [failing("nodes", 1, Cause.PASSWORD_MISSING)]),
    ("password-wrong", [failing("sentinels", 1, Cause.PASSWORD_WRONG)]),
    ("password-unwanted", [failing("nodes", 1, Cause.PASSWORD_UNWANTED)]),
    ("permission-missing", [with_node(0, lacks=("evalsha", "set"))]),
    ("permission-missing", [with_server("sentinels", 0, denied=("replicas",))]),
    ("not-seen", [with_server("nodes", 0, denied=("config", "acl log"))]),
    ("refused-by-acl", [with_server("nodes", 0, refusals=(Refusal("s", "auth", "AUTH", 3, 5),))]),
    ("open-to-all", [with_server("nodes", 0, open=True)]),
    ("open-to-all", [with_server("sentinels", 0, open=True)]),
    ("certificate-expired", [failing("nodes", 1, Cause.CERTIFICATE_EXPIRED)]),
    (
        "certificate-ends-soon",
        [with_server("nodes", 0, certificate_ends_s=NOW_S + 29 * 86_400)],
    ),
    ("certificate-name", [failing("sentinels", 1, Cause.CERTIFICATE_NAME)]),
    ("certificate-untrusted", [failing("nodes", 1, Cause.CERTIFICATE_UNTRUSTED)]),
    ("tls-failed", [failing("nodes", 1, Cause.TLS)]),
    ("agent-silent", [having(agents=(Agent(AGENT, alive=False, ready=False),))]),
    ("agent-not-ready", [having(agents=(Agent(AGENT, alive=True, ready=False),))]),
    ("aof-failing", [with_node(1, info={"aof_last_write_status": "err"})]),
    ("snapshot-failing", [with_node(1, info={"rdb_last_bgsave_status": "err"})]),
    ("rewrite-failing", [with_node(1, info={"aof_last_bgrewrite_status": "err"})]),
    ("memory-full", [with_node(1, info={"used_memory": "95", "maxmemory": "100"})]),
    (
        "evicts",
        [with_node(1, info={"maxmemory": "100", "maxmemory_policy": "allkeys-lru"})],
    ),
    ("persistence-off", [with_node(1, config={"appendonly": "no"})]),
    ("fsync-loose", [having(durability=Durability.STRICT)]),
    ("fsync-loose", [with_node(1, config={"appendfsync": "no"})]),
    ("down-after-short", [with_view(down_after_ms=2999)]),
    ("down-after-short", [having(agents=AGENTS[:1]), with_view(down_after_ms=2999)]),
    ("down-after-short", [*FOURTH, ALIVE, with_view(down_after_ms=2999)]),
    ("down-after-short", [OF_SENTINELS, with_view(down_after_ms=2999)]),
    ("down-after-long", [with_view(down_after_ms=3001)]),
    ("failover-timeout-long", [with_view(failover_timeout_ms=180_000)]),
    ("parallel-syncs-none", [with_view(parallel_syncs=0)]),
    ("parallel-syncs-few", [with_view(parallel_syncs=1)]),
    (
        "nobody-promotable",
        [with_node(n, config={"replica-priority": "0"}) for n in (1, 2)],
    ),
    ("held-back", [ALIVE, with_node(1, config={"replica-priority": "0"})]),
    ("priorities-unequal", [with_node(1, config={"replica-priority": "50"})]),
    ("priorities-unequal", [with_node(1, config={"replica-priority": "0"})]),
    ("unfenced", [with_node(0, config={"min-replicas-to-write": "0"})]),
    ("fenced-late", [with_node(0, config={"min-replicas-max-lag": "10"})]),
    ("frozen-replica-kept", [with_node(0, config={"repl-timeout": "60"})]),
    (
        "frozen-replica-kept",
        [having(agents=AGENTS[:1]), with_node(0, config={"repl-timeout": "60"})],
    ),
    ("version-old", [version("nodes", 1, redis_version="6.2.14")]),
    ("version-old", [version("sentinels", 1, redis_version="6.2.14")]),
    ("version-old", [version("nodes", 1, redis_version="7.2.4", valkey_version="7.1.0")]),
    ("versions-differ", [version("nodes", 1, redis_version="7.2.4", valkey_version="8.1.0")]),
    ("clock-off", [with_server("nodes", 1, ahead_s=2.0)]),
    ("clock-off", [with_server("sentinels", 1, ahead_s=-2.0)]),
    ("clock-far-off", [with_server("nodes", 1, ahead_s=6.0)]),
    ("cluster-down", [AS_CLUSTER, with_node(0, cluster={"cluster_state": "fail"})]),
    ("cluster-node-failed", [AS_CLUSTER, with_node(0, members=CLUSTER)]),
    ("cluster-without-replica", [AS_CLUSTER, with_node(0, members=CLUSTER)]),
    ("cluster-replica-address", [AS_CLUSTER, with_node(0, members=CLUSTER)]),
    ("nothing-to-ask", [having(topology=Topology.MEMORY, sentinels=(), nodes=())]),
]


def test_a_well_installation_has_no_findings() -> None:
    assert findings(well()) == ()
    assert findings(after(STANDALONE)) == ()


@pytest.mark.parametrize(("code", "changes"), STATES)
def test_trouble_is_found(code: str, changes: list[Change]) -> None:
    assert code in codes(after(*changes))


def test_every_kind_of_trouble_has_a_state() -> None:
    assert {code for code, _ in STATES} == {kind.code for kind in Kind}


@pytest.mark.parametrize(("code", "changes"), STATES)
def test_what_is_said_is_whole_sentences_without_holes(code: str, changes: list[Change]) -> None:
    for each in findings(after(*changes)):
        for text in (each.text, each.advice):
            assert "{" not in text
            assert text.endswith((".", "`"))
            assert ".." not in text


def test_the_most_serious_stands_first() -> None:
    changes = [with_view(parallel_syncs=1), with_view(down_after_ms=1000), is_primary(2)]
    levels = [each.severity for each in findings(after(*changes))]
    assert levels == sorted(levels, key=list(Severity).index)
    assert set(levels) == set(Severity)


# What looks like trouble, and is none.
HARMLESS: list[tuple[str, list[Change]]] = [
    ("down-after-short", [ALIVE, with_view(down_after_ms=1000)]),
    ("frozen-replica-kept", [ALIVE, with_node(0, config={"repl-timeout": "60"})]),
    (
        "frozen-replica-kept",
        [having(durability=Durability.FAST), with_node(0, config={"repl-timeout": "60"})],
    ),
    ("priorities-unequal", [ALIVE, with_node(1, config={"replica-priority": "0"})]),
    ("held-back", [with_node(1, config={"replica-priority": "0"})]),
    ("held-back", [ALIVE, with_node(1, config={"replica-priority": "50"})]),
    ("held-back", [ALIVE, *(with_node(n, config={"replica-priority": "0"}) for n in (1, 2))]),
    ("network-slow", [with_server("nodes", 1, unsure_s=0.01)]),
    ("network-slow", [with_server("sentinels", 1, unsure_s=1.0)]),
    ("node-silent", [failing("nodes", 1, Cause.NOT_UNDERSTOOD)]),
    ("sentinel-silent", [failing("sentinels", 1, Cause.NOT_UNDERSTOOD)]),
    ("clock-off", [with_server("nodes", 1, ahead_s=2.0, unsure_s=1.1)]),
    ("evicts", [with_node(1, info={"maxmemory": "0", "maxmemory_policy": "allkeys-lru"})]),
    (
        "open-to-all",
        [STANDALONE, with_server("nodes", 0, address=Address("127.0.0.1", 1), open=True)],
    ),
    ("foreign-node", [having(data_nodes=()), with_view(0, replicas=listed(*DATA[1:], STRANGER))]),
    (
        "foreign-watcher",
        [failing("sentinels", 0, Cause.REFUSED), with_node(1, watchers=frozenset({"feedbeef"}))],
    ),
    ("refused-by-acl", [with_server("nodes", 0, refusals=(Refusal("s", "auth", "AUTH", 3, 61),))]),
    (
        "refused-by-acl",
        [
            with_server(
                "nodes",
                0,
                denied=("config",),
                refusals=(Refusal("default", "command", "config|get", 3, 1),),
            )
        ],
    ),
    ("certificate-ends-soon", [with_server("nodes", 0, certificate_ends_s=NOW_S + 31 * 86_400)]),
    ("alone", [STANDALONE, with_node(0, info={"connected_slaves": "0"})]),
    ("node-silent", [failing("nodes", 0, Cause.REFUSED)]),
    ("no-quorum", [having(topology=Topology.STANDALONE, sentinels=())]),
    ("snapshot-failing", [with_node(1, config={"save": "60 1"})]),
]


@pytest.mark.parametrize(("code", "changes"), HARMLESS)
def test_what_is_harmless_is_not_told(code: str, changes: list[Change]) -> None:
    assert code not in codes(after(*changes))


def test_names_and_the_addresses_they_lead_to_are_one_place() -> None:
    named = tuple(Address(f"node-{n}", 6379) for n in (1, 2, 3))
    names = tuple(
        HostName(name.host, 0.01, (address.host,))
        for name, address in zip(named, DATA, strict=True)
    )
    seen = after(having(data_nodes=named, names=names, durability=Durability.FAST))
    assert findings(seen) == ()


def test_data_nodes_that_are_the_same_but_written_otherwise_are_told_with_the_right_name() -> None:
    alias = Address("node-1", 6379)
    seen = after(having(data_nodes=(alias, *DATA[1:])), with_node(0, aliases=frozenset({alias})))
    found = findings(seen)
    assert [each.code for each in found] == ["data-nodes-mismatch"]
    assert "they name 10.0.0.1:6379" in found[0].text


def test_a_failed_snapshot_is_an_error_only_where_it_stops_writes() -> None:
    failed = {"rdb_last_bgsave_status": "err"}
    kept = after(with_node(1, info=failed))
    stopped = after(with_node(1, info=failed, config={"save": "60 1"}))
    assert [each.severity for each in findings(kept)] == [Severity.WARNING]
    assert [each.severity for each in findings(stopped)] == [Severity.ERROR]


def test_a_replica_that_its_agent_holds_back_leaves_an_installation_healthy() -> None:
    found = findings(after(ALIVE, with_node(1, config={"replica-priority": "0"})))
    assert [(each.code, each.node) for each in found] == [("held-back", str(DATA[1]))]
    assert found[0].severity is Severity.NOTE
    assert f"redis-cli -h {DATA[1].host} -p 6379 INFO replication" in found[0].advice


def test_a_slow_network_is_told_in_milliseconds() -> None:
    found = findings(after(with_server("nodes", 2, unsure_s=0.026)))
    assert [(each.code, each.node) for each in found] == [("network-slow", str(DATA[2]))]
    assert "takes 52 ms" in found[0].text


def test_numbers_that_are_none_are_not_told() -> None:
    odd = {"loading": "--1", "used_memory": "²", "redis_version": "7.²", "maxmemory": "9" * 5000}
    assert findings(after(with_node(1, info=odd))) == ()


def test_the_clock_here_is_judged_by_the_others() -> None:
    changes = [with_server("nodes", n, ahead_s=3.0) for n in range(3)]
    changes += [with_server("sentinels", n, ahead_s=3.0) for n in range(3)]
    found = findings(after(*changes))
    assert [(each.code, each.node) for each in found] == [("clock-off", "here")]
    assert "behind" in found[0].text


def test_advice_names_the_node_and_the_primary_to_follow() -> None:
    found = findings(after(follows(2, DATA[1])))
    assert [each.code for each in found] == ["replica-of-replica"]
    assert "redis-cli -h 10.0.0.3 -p 6379 REPLICAOF 10.0.0.1 6379" in found[0].advice


def test_a_name_that_does_not_resolve_is_told_once() -> None:
    gone = Address("gone", 26379)
    failure = Failure(Cause.UNRESOLVED, "not known")
    seen = after(
        with_server("sentinels", 2, address=gone, failure=failure),
        having(names=(HostName("gone", 0.1, failure="not known"),)),
    )
    assert [each.code for each in findings(seen)].count("name-unresolved") == 1
    assert "sentinel-silent" not in codes(seen)
    assert server(gone).address == gone
