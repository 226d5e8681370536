"""An installation whose nodes are run by their agents. One for all tests: each leaves it well."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from guarita import processes
from guarita.node.child import noted_server
from guarita.processes import Condition
from guarita.servers import ServerMissing, find_server
from guarita.topology.local import LocalSentinel, Node


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSentinel]:
    try:
        find_server()
    except ServerMissing as exc:
        pytest.skip(str(exc))
    directory = tmp_path_factory.mktemp("agents")
    with LocalSentinel(
        directory, agents=True, password="data secret", sentinel_password="other"
    ) as installation:
        yield installation


@pytest.fixture
def installation(started: LocalSentinel) -> LocalSentinel:
    started.up()
    return started


def status(node: Node, path: str) -> int:
    connection = http.client.HTTPConnection(node.host, node.http_port or 0, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def server_of(node: Node) -> processes.Identity:
    identity = noted_server(node.directory)
    assert identity
    return identity


def periods(installation: LocalSentinel, node: Node) -> dict[str, str]:
    with installation.client(node) as client:
        answer: dict[str, str] = client.execute_command("SENTINEL", "DEBUG")
    return answer


def test_every_agent_answers_and_every_server_has_its_password(
    installation: LocalSentinel,
) -> None:
    primary = installation.primary()
    for node in (*installation.nodes, *installation.sentinels):
        assert status(node, "/livez") == 200
        assert processes.wait_until(lambda node=node: status(node, "/readyz") == 200, timeout_s=20)
        retry = Retry(NoBackoff(), 0)
        with (
            redis.Redis(node.host, node.port, retry=retry) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.info()
    assert [node for node in installation.nodes if status(node, "/role") == 200] == [primary]


def test_another_object_without_a_word_of_agents_sees_the_same_nodes(
    installation: LocalSentinel,
) -> None:
    other = LocalSentinel(installation.directory, password="data secret")
    other.sentinel_password = "other"
    assert other.nodes == installation.nodes
    assert other.primary() == installation.primary()


def test_a_server_that_dies_or_is_left_behind_by_its_agent_is_started_anew(
    installation: LocalSentinel,
) -> None:
    node = installation.replicas()[0]
    first = server_of(node)
    installation.kill_server(node)
    assert processes.wait_until(lambda: server_of(node) != first, timeout_s=20)
    installation.wait_ready()
    second, known = server_of(node), installation.file.named(node.name)
    assert known
    processes.send(known.identity, processes.signal.SIGKILL)
    assert processes.wait_until(
        lambda: installation.condition(node) is Condition.DEAD, timeout_s=20
    )
    assert processes.condition(second) is Condition.RUNNING
    installation.start(node)
    assert processes.condition(second) is Condition.DEAD
    installation.wait_ready()


def test_a_node_is_paused_with_its_server_or_its_server_alone(installation: LocalSentinel) -> None:
    node = installation.replicas()[0]
    server = server_of(node)
    installation.pause(node)
    assert processes.condition(server) is Condition.PAUSED
    installation.resume(node)
    assert installation.condition(node) is processes.condition(server) is Condition.RUNNING
    installation.pause_server(node)
    assert processes.condition(server) is Condition.PAUSED
    assert installation.condition(node) is Condition.RUNNING
    installation.resume_server(node)


def test_a_sentinel_remembers_and_is_told_again_what_no_file_can_hold(
    installation: LocalSentinel,
) -> None:
    first = installation.sentinels[0]
    before = periods(installation, first)
    assert int(before["INFO-PERIOD"]) == 1000
    primary = installation.primary()
    server = server_of(first)
    installation.terminate(first)
    assert processes.wait_until(
        lambda: installation.condition(first) is Condition.DEAD, timeout_s=20
    )
    assert processes.condition(server) is Condition.DEAD
    installation.start(first)
    installation.wait_ready()
    assert periods(installation, first) == before
    assert installation.votes() == {primary.port: 3}


def test_a_killed_primary_comes_back_as_a_replica_and_a_sentinel_without_its_file_knows_all(
    installation: LocalSentinel,
) -> None:
    old = installation.kill_primary()
    assert processes.condition(server_of(old)) is Condition.DEAD
    new = installation.wait_new_primary(old)
    last = installation.sentinels[-1]
    installation.kill(last)
    (last.directory / "sentinel.conf").unlink()
    installation.start(last)
    installation.start(old)
    installation.wait_ready()
    assert installation.votes() == {new.port: 3}
    with installation.client(last) as client:
        assert len(client.sentinel_sentinels("guarita")) == 2, "its id is the same as before"


def test_whom_a_sentinel_lost_it_is_told_of_again_and_whom_it_need_not_know_it_forgets(
    installation: LocalSentinel,
) -> None:
    first = installation.sentinels[0]
    replica = installation.replicas()[0]

    def known() -> tuple[set[int], set[str]]:
        with installation.client(first) as client:
            replicas = client.sentinel_slaves("guarita")
            return {row["port"] for row in replicas}, {row["ip"] for row in replicas}

    # A dead replica that is in the configuration no more, in the Sentinel's own file: it can report
    # it down, for services that have not heard of that, until all is well.
    installation.kill(first)
    config = first.directory / "sentinel.conf"
    config.write_text(config.read_text() + "sentinel known-replica guarita 127.0.0.9 1\n")
    installation.start(first)
    installation.wait_ready()
    assert "127.0.0.9" in known()[1]
    ours = {each.port for each in installation.replicas()}
    assert processes.wait_until(lambda: known() == (ours, {"127.0.0.1"}), timeout_s=40)
    # One that was taken from it while it was dead.
    installation.kill(replica)
    with installation.client(first) as client:
        client.execute_command("SENTINEL", "RESET", "guarita")
    assert processes.wait_until(lambda: replica.port not in known()[0], timeout_s=20)
    assert processes.wait_until(lambda: _knows(known, replica.port), timeout_s=40)
    installation.up()


def _knows(known: object, port: int) -> bool:
    assert callable(known)
    try:
        return port in known()[0]
    except redis.RedisError:  # it is just being started anew
        return False


def test_down_stops_servers_too(installation: LocalSentinel) -> None:
    servers = [server_of(node) for node in (*installation.nodes, *installation.sentinels)]
    installation.down(timeout_s=30)
    assert {processes.condition(each) for each in servers} == {Condition.DEAD}
