"""`guarita cluster form` on real servers: at a first start, twice at once, and after trouble."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from guarita.errors import ServerMissing, TopologyError
from guarita.processes import wait_until
from guarita.servers import find_server
from guarita.topology import cluster
from guarita.topology.cluster.view import Address, look
from guarita.topology.local import LocalCluster, Node

pytestmark = pytest.mark.cluster

PASSWORD = "of six servers"
TIMEOUT_S = 60.0
WHOLE = "the Cluster is whole: 3 primaries, 3 replicas\n"


class Servers(LocalCluster):
    """Six servers, which nobody but the test makes one Cluster of."""

    def form(self, *, timeout_s: float) -> None:
        pass

    def problem(self) -> str | None:
        return None

    def config_lines(self, node: Node) -> list[str]:
        """They learn their own address from others, as in a container or a pod."""
        lines = [each for each in super().config_lines(node) if "cluster-announce-ip" not in each]
        return [*lines, f"bind-source-addr {node.host}"]

    @property
    def addresses(self) -> list[Address]:
        return [node.address for node in self.nodes]

    def make_one(self, **more: object) -> str:
        nodes = {node.address: node for node in self.nodes}
        return cluster.form(
            self.addresses,
            lambda each: self.client(nodes[each]),
            replicas=1,
            timeout_s=TIMEOUT_S,
            **more,  # type: ignore[arg-type]
        )


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    try:
        find_server()
    except ServerMissing as exc:
        pytest.skip(str(exc))
    with Servers(tmp_path / "servers", password=PASSWORD) as servers:
        yield servers


@pytest.fixture
def config(servers: Servers, tmp_path: Path) -> Path:
    (tmp_path / "password").write_text(PASSWORD)
    path = tmp_path / "guarita.yaml"
    nodes = ", ".join(f'"{node}"' for node in servers.nodes)
    path.write_text(
        f"store: {{topology: cluster, cluster: {{nodes: [{nodes}]}}, "
        f"data: {{password_file: {tmp_path}/password}}}}\n"
    )
    return path


def start(config: Path, *options: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "guarita", "--config", str(config), "cluster", "form", *options]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ids_of(servers: Servers) -> dict[str, str]:
    ids = {}
    for node in servers.nodes:
        with servers.client(node) as client:
            ids[node.name] = look(client).id
    return ids


def is_whole(servers: Servers) -> bool:
    """A node whose answer is late for a second, on a busy machine, is linked anew: for a moment
    it is not linked (cluster-node-timeout / 2)."""
    return wait_until(lambda: LocalCluster.problem(servers) is None, timeout_s=TIMEOUT_S)


def test_two_commands_at_once_make_one_cluster_and_a_third_finds_it_whole(
    servers: Servers, config: Path
) -> None:
    both = [start(config), start(config)]
    for each in both:
        told, error = each.communicate(timeout=2 * TIMEOUT_S)
        assert each.returncode == 0, error
        assert told.endswith(WHOLE)
    assert is_whole(servers)
    third = start(config)
    assert third.communicate(timeout=TIMEOUT_S)[0] == WHOLE


def test_with_every_it_goes_on_until_sigterm_and_tells_what_has_changed(
    servers: Servers, config: Path
) -> None:
    servers.make_one()
    process = start(config, "--every", "0.2", "--timeout", "0")
    assert process.stdout is not None
    assert process.stdout.readline() == WHOLE
    servers.kill(servers.nodes[5])
    assert f"{servers.nodes[5]} does not answer" in process.stdout.readline()
    servers.start(servers.nodes[5])
    while process.stdout.readline() != WHOLE:
        pass
    process.terminate()
    process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0


@pytest.mark.parametrize("steps", [1, 31, 34])
def test_after_an_interruption_the_next_call_goes_on(servers: Servers, steps: int) -> None:
    """Among the meetings, behind the first gift of slots, behind the first replica."""
    told: list[str] = []

    def interrupt(words: str) -> None:
        told.append(words)
        if len(told) == steps:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        servers.make_one(tell=interrupt)
    assert servers.make_one() == "3 primaries, 3 replicas"
    assert is_whole(servers)


def test_nodes_that_all_come_back_at_new_addresses_find_each_other_with_their_data(
    monkeypatch: pytest.MonkeyPatch, servers: Servers, tmp_path: Path
) -> None:
    servers.make_one()
    with servers.client(servers.primary(slot=0)) as client:
        client.set("{06S}", "kept")  # slot 0
    before = ids_of(servers)
    servers.down()
    for node in servers.nodes:
        text = node.config.read_text()
        node.config.write_text(text.replace("127.0.0.1", "127.0.0.2"))
    monkeypatch.setattr(servers, "host", lambda _name: "127.0.0.2")
    servers.up()
    servers.make_one()
    assert ids_of(servers) == before
    with servers.client(servers.primary(slot=0)) as client:
        assert client.get("{06S}") == "kept"
    # Where a node hears of a new address it closes the link to the old one and makes another.
    assert is_whole(servers)


def test_a_replica_that_lost_its_directory_joins_anew_and_its_old_self_is_forgotten(
    servers: Servers,
) -> None:
    servers.make_one()
    lost = servers.nodes[5]
    before = ids_of(servers)
    servers.kill(lost)
    for path in lost.directory.iterdir():
        if path != lost.config:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    servers.start(lost)
    told: list[str] = []
    servers.make_one(tell=told.append)
    after = ids_of(servers)
    assert [name for name in after if after[name] != before[name]] == [lost.name]
    assert any(before[lost.name] in words for words in told if "forgets" in words)
    for node in servers.nodes:
        with servers.client(node) as client:
            assert {each.id for each in look(client).members} == set(after.values())
    assert is_whole(servers)


def test_a_silent_node_is_named_with_the_reason(servers: Servers) -> None:
    servers.kill(servers.nodes[3])
    nodes = {node.address: node for node in servers.nodes}
    with pytest.raises(TopologyError, match=rf"within 0 s: {servers.nodes[3]} does not answer: "):
        cluster.form(
            servers.addresses, lambda each: servers.client(nodes[each]), replicas=1, timeout_s=0
        )


def test_what_is_no_cluster_is_told_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "guarita.yaml"
    path.write_text('store: {topology: cluster, cluster: {nodes: ["a:1", "b:1", "c:1"]}}\n')
    process = start(path)
    assert "there are 3: 3 primaries with 1 replicas each" in process.communicate()[1]
    assert process.returncode == 2
    path.write_text("store: {topology: standalone}\n")
    process = start(path)
    assert process.communicate()[1].startswith("store.topology: standalone: guarita cluster needs")
    assert process.returncode == 2
