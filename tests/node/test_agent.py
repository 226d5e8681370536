"""Data nodes under their agents, on real servers: what becomes of them after each fault."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from guarita.errors import ServerMissing
from guarita.processes import Condition, wait_until
from guarita.topology.local import LocalSentinel, Node


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSentinel]:
    """One installation for all tests of this module; each leaves it as good as it was."""
    sentinel = LocalSentinel(tmp_path_factory.mktemp("agents"), agents=True)
    try:
        sentinel.up()
        yield sentinel
    except ServerMissing as exc:
        pytest.skip(str(exc))
    finally:
        sentinel.kill_all()


@pytest.fixture
def sentinel(running: LocalSentinel) -> Iterator[LocalSentinel]:
    eventually(lambda: all(is_promotable(running, node) for node in running.replicas()))
    yield running
    running.up()


def eventually(done: Any, timeout_s: float = 20) -> None:
    assert wait_until(done, timeout_s=timeout_s, pause_s=0.05)


def ask(node: Node, path: str) -> tuple[int, str]:
    """The status and the text of an answer of its agent."""
    try:
        with urllib.request.urlopen(f"http://{node.host}:{node.http_port}{path}", timeout=2) as got:
            return got.status, got.read().decode()
    except urllib.error.HTTPError as exc:
        return exc.code, exc.read().decode()


def status(node: Node, path: str) -> int:
    try:
        return ask(node, path)[0]
    except OSError:
        return 0


def is_promotable(sentinel: LocalSentinel, node: Node) -> bool:
    with sentinel.client(node) as client:
        return client.config_get("replica-priority")["replica-priority"] != "0"


def role(sentinel: LocalSentinel, node: Node) -> str:
    try:
        with sentinel.client(node) as client:
            return str(client.role()[0])
    except redis.RedisError:
        return "silent"


def count_change(sentinel: LocalSentinel, *, replicas: int = 2) -> None:
    """One of the changes that the service counts, and everybody has it."""
    with sentinel.client(sentinel.primary(), timeout_s=10) as client:
        eventually(lambda: is_counted(client))
        assert client.wait(replicas, 5000) == replicas


def is_counted(client: redis.Redis) -> bool:
    """Not by a new primary that nobody follows yet."""
    try:
        return bool(client.hincrby("auth_stats", "total_created", 1))
    except redis.ResponseError as exc:
        if str(exc).startswith("NOREPLICAS"):
            return False
        raise


def changes(sentinel: LocalSentinel, node: Node) -> int:
    """How many it has; -1 while it does not answer."""
    try:
        with sentinel.client(node) as client:
            return int(client.hget("auth_stats", "total_created") or 0)
    except redis.RedisError:
        return -1


def tell(sentinel: LocalSentinel, node: Node, *words: str | int) -> None:
    with sentinel.client(node) as client:
        client.execute_command(*words)


def actions(node: Node, action: str) -> float:
    """How often its agent has done this."""
    lines = ask(node, "/metrics")[1].splitlines()
    start = f'guarita_node_actions_total{{action="{action}"}} '
    return next((float(line.removeprefix(start)) for line in lines if line.startswith(start)), 0.0)


def test_probes_and_peers_are_told_what_a_node_is(sentinel):
    primary, replica = sentinel.primary(), sentinel.replicas()[0]
    assert [status(primary, path) for path in ("/livez", "/readyz", "/role")] == [200, 200, 200]
    assert [status(replica, path) for path in ("/livez", "/readyz", "/role")] == [200, 200, 503]
    told = json.loads(ask(primary, "/node")[1])
    assert (told["role"], told["state"]) == ("primary", "running")
    assert ask(replica, "/nothing")[0] == 404


def test_a_server_that_crashes_is_started_again_with_its_data_and_its_role(sentinel):
    count_change(sentinel)
    primary = sentinel.primary()
    before = changes(sentinel, primary)
    sentinel.kill_server(primary)
    eventually(lambda: role(sentinel, primary) == "master")
    assert sentinel.primary() == primary
    assert changes(sentinel, primary) == before
    assert actions(primary, "restart") >= 1


def test_a_frozen_primary_that_returns_follows_the_next_one_before_it_is_written_to(sentinel):
    old = sentinel.primary()
    sentinel.pause_server(old)
    sentinel.wait_new_primary(old)
    assert status(old, "/readyz") == 503
    sentinel.resume_server(old)
    eventually(lambda: role(sentinel, old) == "slave", timeout_s=1)  # Sentinel takes 8 s or more
    assert actions(old, "rejoin") == 1


def test_a_primary_that_is_told_to_stop_hands_over_first_and_leaves_last(sentinel):
    count_change(sentinel)
    old = sentinel.primary()
    sentinel.terminate(old)
    eventually(lambda: role(sentinel, old) == "slave")
    new = sentinel.wait_new_primary(old)
    # Attached until the Sentinels have voted it out: who writes waits for nobody.
    count_change(sentinel)
    eventually(lambda: sentinel.condition(old) is Condition.DEAD, timeout_s=20)
    assert "voted it out" in old.log.read_text()
    sentinel.start(old)
    eventually(lambda: status(old, "/readyz") == 200)
    assert sentinel.primary() == new
    eventually(lambda: is_promotable(sentinel, old))


def test_two_that_stop_at_once_hand_over_to_the_one_that_stays(sentinel):
    count_change(sentinel)
    old, (stays, goes) = sentinel.primary(), sentinel.replicas()
    before = changes(sentinel, old)
    sentinel.terminate(goes)
    eventually(lambda: actions(goes, "leave"))
    sentinel.terminate(old)
    eventually(lambda: '"event":"handed over"' in old.log.read_text())
    assert role(sentinel, stays) == "master"
    assert changes(sentinel, stays) == before
    for each in (old, goes):
        eventually(lambda each=each: sentinel.condition(each) is Condition.DEAD, timeout_s=40)


def test_two_that_are_told_to_stop_in_the_same_moment_follow_the_one_that_stays(sentinel):
    """Services wait for both until the Sentinels have voted them out."""
    count_change(sentinel)
    old, (stays, goes) = sentinel.primary(), sentinel.replicas()
    for each in (goes, old):
        sentinel.terminate(each)
    eventually(lambda: role(sentinel, stays) == "master")
    sentinel.wait_new_primary(old)
    count_change(sentinel)
    for each in (old, goes):
        eventually(lambda each=each: sentinel.condition(each) is Condition.DEAD, timeout_s=40)
        assert "voted it out" in each.log.read_text()


def test_a_replica_that_is_promoted_while_it_leaves_can_be_reached_again_and_then_goes(sentinel):
    primary, goes = sentinel.primary(), sentinel.replicas()[0]
    sentinel.terminate(goes)
    eventually(lambda: actions(goes, "leave") == 1)
    with redis.Redis(unix_socket_path=str(goes.directory / "server.sock")) as client:
        client.replicaof("NO", "ONE")
    eventually(lambda: role(sentinel, goes) == "master")  # by its own door
    assert "promoted while it was leaving" in goes.log.read_text()
    eventually(lambda: sentinel.condition(goes) is Condition.DEAD, timeout_s=15)
    assert sentinel.primary() == primary


def test_a_primary_that_was_replaced_while_it_was_frozen_stops_without_letting_anybody_in(sentinel):
    old = sentinel.primary()
    sentinel.pause(old)
    sentinel.wait_new_primary(old)
    sentinel.terminate(old)
    sentinel.resume(old)
    eventually(lambda: sentinel.condition(old) is Condition.DEAD, timeout_s=10)
    assert "promoted while it was leaving" not in old.log.read_text()


def test_an_empty_directory_inside_down_after_takes_nothing_from_the_others(sentinel):
    count_change(sentinel)
    primary, (other, _) = sentinel.primary(), sentinel.replicas()
    before = changes(sentinel, other)
    sentinel.kill(primary)
    shutil.rmtree(primary.directory / "appendonlydir")
    sentinel.start(primary)
    new = sentinel.wait_new_primary(primary)
    assert changes(sentinel, new) == before
    eventually(lambda: changes(sentinel, primary) == before)


def test_a_node_that_reaches_nobody_does_not_let_anybody_in_and_says_why(sentinel):
    primary = sentinel.primary()
    everybody = [node for node in (*sentinel.nodes, *sentinel.sentinels) if node != primary]
    sentinel.kill(primary)
    for node in everybody:
        sentinel.pause(node)
    sentinel.start(primary)
    eventually(lambda: "0 of 3 Sentinels answer" in ask(primary, "/readyz")[1])
    assert status(primary, "/livez") == 200
    assert role(sentinel, primary) == "silent"
    for node in everybody:
        sentinel.resume(node)


def test_the_node_that_the_sentinels_name_becomes_primary_again_when_it_is_none(sentinel):
    named = sentinel.primary()
    for node in sentinel.nodes:
        tell(sentinel, node, "REPLICAOF", "127.0.0.1", 1)
    eventually(lambda: role(sentinel, sentinel.primary()) == "master", timeout_s=15)
    assert actions(named, "heal_masterless") + actions(sentinel.primary(), "promotable") >= 1


def test_a_replica_of_a_replica_is_put_right_after_a_while(sentinel):
    one, other = sentinel.replicas()
    tell(sentinel, one, "REPLICAOF", other.host, other.port)
    # Of whoever is primary by then: on a busy machine the Sentinels may replace it meanwhile.
    eventually(
        lambda: all(sentinel._follows(each, sentinel.primary()) for each in sentinel.replicas())
    )


def test_a_replica_that_says_nothing_is_cut_off(sentinel):
    primary, frozen = sentinel.primary(), sentinel.replicas()[0]
    before = actions(primary, "cut_silent")
    sentinel.pause_server(frozen)
    eventually(lambda: actions(primary, "cut_silent") > before, timeout_s=5)
    count_change(sentinel, replicas=1)
    sentinel.resume_server(frozen)
    eventually(lambda: sentinel._follows(frozen, primary))


def test_a_sentinel_that_was_not_let_in_for_a_while_signs_in_again(tmp_path):
    """As where a name led to another installation's node, which keeps the connection."""
    with LocalSentinel(tmp_path, agents=True, password="of the nodes") as sentinel:
        primary, replica = sentinel.primary(), sentinel.replicas()[0]
        with sentinel.client(replica) as client:
            client.config_set("requirepass", "of another installation")
            for kind in ("normal", "pubsub"):
                client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
            eventually(lambda: all(is_down(sentinel, each, replica) for each in sentinel.sentinels))
            client.config_set("requirepass", sentinel.password)
        eventually(lambda: not any(is_down(sentinel, each, replica) for each in sentinel.sentinels))
        assert sentinel.primary() == primary


def is_down(sentinel: LocalSentinel, watcher: Node, node: Node) -> bool:
    """Whether a Sentinel reports this replica down."""
    with sentinel.client(watcher) as client:
        rows = client.sentinel_slaves("guarita")
    return any(each["port"] == node.port and "s_down" in each["flags"] for each in rows)


def test_everything_stopped_and_started_has_what_was_written_last(sentinel):
    count_change(sentinel)
    before = changes(sentinel, sentinel.primary())
    sentinel.kill_all()
    sentinel.up()
    assert changes(sentinel, sentinel.primary()) == before


def fill(sentinel: LocalSentinel) -> None:
    """Enough that a file has a midst: the server itself cuts off a damaged tail."""
    with sentinel.client(sentinel.primary()) as client:
        for n in range(200):
            client.set(f"filler-{n}", "x" * 100)


def damage(node: Node) -> Path:
    """Overwrite the midst of its file; returns the file."""
    path = max((node.directory / "appendonlydir").glob("*.incr.aof"))
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 1024)
    return path


def put_aside(node: Node) -> list[bytes]:
    """The damaged files that its agent has kept."""
    return [path.read_bytes() for path in node.directory.glob("damaged-*/*.incr.aof")]


@pytest.mark.parametrize("who", ["replica", "primary"])
def test_a_node_with_a_damaged_file_comes_back_by_itself_and_keeps_the_file(sentinel, who):
    fill(sentinel)
    count_change(sentinel)
    node = sentinel.primary() if who == "primary" else sentinel.replicas()[0]
    before = changes(sentinel, node)
    sentinel.kill(node)
    content = damage(node).read_bytes()
    sentinel.start(node)
    eventually(lambda: role(sentinel, node) == "slave")
    eventually(lambda: changes(sentinel, node) == before)
    assert put_aside(node) == [content]
    assert actions(node, "put_aside") == 1
    eventually(lambda: sentinel.obstacle() is None)


def test_a_damaged_file_that_may_be_the_only_copy_is_left_alone(sentinel):
    fill(sentinel)
    count_change(sentinel)
    named = sentinel.primary()
    before = changes(sentinel, named)
    sentinel.kill_all()
    path = max((named.directory / "appendonlydir").glob("*.incr.aof"))
    sound = path.read_bytes()
    content = damage(named).read_bytes()
    kept = put_aside(named)
    for node in (named, *sentinel.sentinels):
        sentinel.start(node)
    eventually(lambda: "may be the only copy" in ask(named, "/readyz")[1])
    assert status(named, "/livez") == 200
    sentinel.terminate(named)
    eventually(lambda: sentinel.condition(named) is Condition.DEAD)
    assert path.read_bytes() == content
    assert put_aside(named) == kept
    path.write_bytes(sound)
    sentinel.up()
    assert changes(sentinel, sentinel.primary()) == before
