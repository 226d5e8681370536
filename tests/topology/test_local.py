"""Installations of real servers: start, faults, restarts, and what goes wrong at a start."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from guarita import processes
from guarita.errors import TopologyError
from guarita.servers import Server
from guarita.topology.local import (
    Condition,
    Installation,
    LocalCluster,
    LocalSentinel,
    LocalStandalone,
    Node,
    ports,
)

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def sentinel(tmp_path: Path, server: Server) -> Iterator[LocalSentinel]:
    with LocalSentinel(tmp_path, server=server.path) as installation:
        yield installation


def say(installation: Installation, node: Node, *command: str) -> object:
    with installation.client(node) as client:
        return client.execute_command(*command)


def follows(installation: Installation, node: Node, primary: Node) -> bool:
    """Whether it does now; a node that is made a replica hangs up on who asks."""
    try:
        with installation.client(node) as client:
            info = client.info("replication")
    except redis.ConnectionError:
        return False
    return (info["role"], info.get("master_port")) == ("slave", primary.port)


def is_linked(installation: Installation, node: Node) -> bool:
    with installation.client(node) as client:
        return bool(client.info("replication").get("master_link_status") == "up")


def free_base() -> int:
    """A base port whose nodes' and Sentinels' ports are free now, above those that tests draw."""
    for base in range(22_640, 22_660, 10):
        near = range(base + 1, base + 7)
        if all(ports.is_free(port) and ports.is_free(port + ports.BUS_OFFSET) for port in near):
            return base
    raise AssertionError


def test_a_standalone_node_keeps_its_data_over_a_kill(tmp_path: Path) -> None:
    with LocalStandalone(tmp_path, password="pass word") as installation:
        say(installation, installation.primary(), "SET", "key", "value")
        say(installation, installation.primary(), "SET", "key", "value")
        node = installation.kill_primary()
        assert installation.condition(node) is Condition.DEAD
        installation.start(node)
        installation.wait_ready()
        assert say(installation, node, "GET", "key") == "value"
    assert installation.condition(node) is Condition.DEAD


def test_ready_means_that_replicas_are_linked_and_sentinels_see_everybody(
    sentinel: LocalSentinel,
) -> None:
    primary = sentinel.primary()
    assert say(sentinel, primary, "WAIT", "2", "1000") == 2
    assert sentinel.votes() == {primary.port: 3}
    for each in sentinel.sentinels:
        with sentinel.client(each) as client:
            assert client.execute_command("SENTINEL", "CKQUORUM", "guarita")
            assert len(client.sentinel_sentinels("guarita")) == 2
            replicas = client.sentinel_slaves("guarita")
        assert {row["port"] for row in replicas} == {node.port for node in sentinel.replicas()}


def test_every_node_listens_on_loopback_only_and_has_its_own_directory(
    sentinel: LocalSentinel,
) -> None:
    nodes = (*sentinel.nodes, *sentinel.sentinels)
    assert len({node.directory for node in nodes}) == len({node.port for node in nodes}) == 6
    for node in nodes:
        assert "bind 127.0.0.1" in node.config.read_text()
        assert node.log.stat().st_size > 0


def test_a_killed_primary_is_replaced_and_comes_back_as_a_replica(
    sentinel: LocalSentinel,
) -> None:
    old = sentinel.kill_primary()
    new = sentinel.wait_new_primary(old)
    assert new != old
    sentinel.start(old)
    assert follows(sentinel, old, new), "it must not even start as a primary"
    sentinel.wait_ready()
    assert sentinel.primary() == new


def test_a_paused_primary_is_replaced_and_goes_on_as_a_replica(sentinel: LocalSentinel) -> None:
    old = sentinel.pause_primary()
    assert sentinel.condition(old) is Condition.PAUSED
    new = sentinel.wait_new_primary(old)
    sentinel.resume(old)
    assert sentinel.condition(old) is Condition.RUNNING
    assert processes.wait_until(lambda: follows(sentinel, old, new), timeout_s=60)


def test_sentinels_look_often_enough_to_keep_a_new_primary_also_after_a_restart(
    sentinel: LocalSentinel,
) -> None:
    first = sentinel.sentinels[0]
    sentinel.kill(first)
    sentinel.start(first)
    for each in sentinel.sentinels:
        periods = say(sentinel, each, "SENTINEL", "DEBUG")
        assert isinstance(periods, dict)
        assert 2 * int(periods["PING-PERIOD"]) <= sentinel.down_after_ms
        # Nobody is promoted whose last INFO is older, and that comes once a second at best.
        assert 5 * int(periods["PING-PERIOD"]) >= 1500
        # Nor who lost the primary ten down-afters before that was taken for down.
        assert int(periods["TILT-PERIOD"]) < 10 * sentinel.down_after_ms


def test_a_failover_on_request_names_another_primary(sentinel: LocalSentinel) -> None:
    old = sentinel.primary()
    assert sentinel.failover() == sentinel.primary() != old


def test_the_primary_is_known_over_a_stop_of_everything(sentinel: LocalSentinel) -> None:
    new = sentinel.wait_new_primary(sentinel.kill_primary())
    say(sentinel, new, "SET", "key", "value")
    sentinel.down()
    assert {sentinel.condition(node) for node in sentinel.nodes} == {Condition.DEAD}
    sentinel.up()
    assert sentinel.primary() == new
    for replica in sentinel.replicas():
        assert follows(sentinel, replica, new)
    assert say(sentinel, new, "GET", "key") == "value"


def test_without_a_majority_of_sentinels_nobody_is_primary(sentinel: LocalSentinel) -> None:
    for each in sentinel.sentinels[:2]:
        sentinel.kill(each)
    with pytest.raises(TopologyError, match="No majority of the 3 Sentinels"):
        sentinel.primary()


def test_another_object_on_the_same_directory_sees_the_same_installation(
    sentinel: LocalSentinel,
) -> None:
    other = LocalSentinel(sentinel.directory)
    assert other.primary() == sentinel.primary()
    assert other.nodes == sentinel.nodes


def test_up_starts_only_what_is_dead(sentinel: LocalSentinel) -> None:
    before = sentinel.file.read()
    sentinel.up()
    assert sentinel.file.read() == before
    dead = sentinel.kill(sentinel.replicas()[0])
    sentinel.up()
    after = sentinel.file.read()
    assert before
    assert after
    changed = {name for name, each in after.processes.items() if each != before.processes[name]}
    assert changed == {dead.name}


def test_passwords_hold_on_nodes_and_sentinels_and_through_a_failover(tmp_path: Path) -> None:
    with LocalSentinel(tmp_path, password="data secret", sentinel_password="other") as installation:
        for node in (installation.primary(), installation.sentinels[0]):
            with (
                redis.Redis(host=node.host, port=node.port) as stranger,
                pytest.raises(redis.AuthenticationError),
            ):
                stranger.ping()
        old = installation.kill_primary()
        new = installation.wait_new_primary(old)
        installation.start(old)
        assert processes.wait_until(lambda: is_linked(installation, old), timeout_s=60)
        assert installation.primary() == new


@pytest.mark.cluster
def test_a_cluster_replaces_a_primary_and_is_whole_again(tmp_path: Path) -> None:
    with LocalCluster(tmp_path) as cluster:
        assert len(cluster.nodes) == 6
        assert len(cluster.primaries()) == 3
        old = cluster.kill_primary(slot=16383)
        new = cluster.wait_new_primary(old, slot=16383)
        cluster.start(old)
        cluster.wait_ready()  # until then some nodes may not have heard of the new one
        assert cluster.primaries()[2] == new != old
        assert cluster.failover(slot=16383) == old
        cluster.wait_ready()
        primaries = cluster.primaries()
        cluster.down()
        cluster.up()
        assert cluster.primaries() == primaries


def test_a_taken_port_is_named_with_who_holds_it_and_nothing_is_left(tmp_path: Path) -> None:
    base = free_base()
    with socket.create_server((ports.HOST, base + 2)):
        installation = LocalSentinel(tmp_path, base_port=base)
        with pytest.raises(TopologyError, match=rf"^Port {base + 2} .*--base-port\.$") as caught:
            installation.up()
        assert f"pid {os.getpid()}" in str(caught.value) or not Path("/proc").exists()
        assert not installation.file.running("data", "sentinel")
    installation.up()
    assert installation.primary().port == base + 1
    installation.kill_all()


def test_drawn_ports_that_are_taken_meanwhile_are_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server((ports.HOST, 0)) as listener:
        draws = iter([[listener.getsockname()[1]], ports.free_ports(1)])
        monkeypatch.setattr(ports, "free_ports", lambda *_args, **_options: next(draws))
        with LocalStandalone(tmp_path) as installation:
            assert installation.primary().port != listener.getsockname()[1]


def test_other_ports_than_those_it_was_made_with_are_refused(tmp_path: Path) -> None:
    base = free_base()
    with LocalStandalone(tmp_path, base_port=base):
        pass
    with pytest.raises(TopologyError, match=r"down --wipe"):
        LocalStandalone(tmp_path, base_port=base + 1).up()


def test_a_node_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with LocalStandalone(tmp_path) as installation:
        node = installation.kill_primary()
        node.config.write_text(node.config.read_text() + "no-such-directive yes\n")
        with pytest.raises(
            TopologyError, match=r"(?s)node-1 ended at its start.*no-such-directive"
        ):
            installation.start(node)


def test_a_recycled_pid_in_the_state_is_not_killed(tmp_path: Path) -> None:
    with LocalStandalone(tmp_path) as installation:
        node = installation.primary()
        known = installation.file.named(node.name)
        assert known
        with installation.file.changing():
            installation.file.put(known.model_copy(update={"started": "before the last boot"}))
        assert installation.condition(node) is Condition.DEAD
        installation.kill(node)
        installation.down()
        assert say(installation, node, "PING")
        with installation.file.changing():
            installation.file.put(known)


def test_a_directory_that_cannot_be_written_is_said_in_one_sentence(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(TopologyError, match=r"cannot be written .* --directory\.$"):
        LocalStandalone(blocked / "local").up()


def test_an_unreadable_state_file_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(TopologyError, match=r"state\.json cannot be read"):
        LocalStandalone(tmp_path).up()
