"""The section `node`: defaults that depend on others, its rules, and what its commands need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from guarita.config import Address, Settings, check_data_node, check_sentinel, load
from guarita.errors import ConfigError
from guarita.logs import secrets_of

SENTINELS = ["127.0.0.1:26379", "127.0.0.1:26380", "127.0.0.1:26381"]
PEERS = ["127.0.0.1:6379", "127.0.0.1:6380"]
ALL_USERS = {name: {"password": f"pw-{name}"} for name in ("service", "agent", "sentinel")} | {
    "replica": {"password": "pw-replica"}
}


def settings_of(tmp_path: Path, node: dict[str, Any], **store: Any) -> Settings:
    file = tmp_path / "g.yaml"
    store = {"topology": "sentinel", "sentinel": {"nodes": SENTINELS}} | store
    file.write_text(yaml.safe_dump({"store": store, "node": node}), "utf-8")
    return load(file, {}, tmp_path)


def mistakes(tmp_path: Path, node: dict[str, Any], **store: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        settings_of(tmp_path, node, **store)
    return caught.value.problems


@pytest.mark.parametrize(
    ("node", "interfaces"),
    [
        ({"announce": "10.0.0.5:6379"}, ("10.0.0.5",)),
        ({"announce": "[fd00::5]:6379"}, ("fd00::5",)),
        ({"announce": "redis-1:6379"}, ("*", "-::*")),
        ({"announce": "10.0.0.5:6379", "bind": ["0.0.0.0", "-::1"]}, ("0.0.0.0", "-::1")),
    ],
)
def test_a_server_listens_where_it_is_announced_unless_it_is_told(
    node: dict[str, Any], interfaces: tuple[str, ...], tmp_path: Path
) -> None:
    assert settings_of(tmp_path, node).node.interfaces == interfaces


def test_the_other_agents_are_on_the_hosts_of_the_other_nodes(tmp_path: Path) -> None:
    peers = ["redis-1:6379", "redis-2:6379", "redis-3:6379"]
    node = {"announce": "redis-2:6379", "peers": peers, "http": "0.0.0.0:8301"}
    assert settings_of(tmp_path, node).node.other_agents == (
        Address("redis-1", 8301),
        Address("redis-3", 8301),
    )
    given = settings_of(tmp_path, node | {"agents": ["a:1"]}).node.other_agents
    assert given == (Address("a", 1),)


def test_the_data_directory_starts_at_the_working_directory(tmp_path: Path) -> None:
    assert settings_of(tmp_path, {"data_dir": "x/y"}).node.data_dir == tmp_path / "x/y"


@pytest.mark.parametrize(
    ("node", "mistake"),
    [
        ({"bind": ["redis-1"]}, "node.bind[0]: redis-1: not an address, and not * for all"),
        ({"http": "unix:/run/a"}, "node.http: unix:/run/a: not host:port"),
        ({"announce": "redis-1"}, "node.announce: redis-1: has no port"),
        ({"data_dir": "g.yaml"}, "node.data_dir: "),
        ({"quorum": 4}, "node.quorum: 4: there are only 3 store.sentinel.nodes"),
        ({"fsync": "no"}, "node.fsync: "),
        (
            {"users": {"agent": {"password": "pw"}}},
            "node.users.service.password: needed since there are users (agent)",
        ),
        (
            {"users": ALL_USERS | {"agent": {"password": "pw", "username": "default"}}},
            "node.users.agent.username: default: the default user is off",
        ),
        (
            {"users": ALL_USERS | {"agent": {"password": "pw", "username": "guarita-service"}}},
            "node.users.agent.username: guarita-service: node.users.service has this name",
        ),
        (
            {"users": ALL_USERS | {"agent": {"password": "pw", "password_file": "secret"}}},
            "node.users.agent.password: ***: set this or password_file, not both",
        ),
        ({"tls": {"cert_file": "secret"}}, "node.tls.key_file: needed since cert_file is set"),
        (
            {"tls": dict.fromkeys(("cert_file", "key_file", "ca_file"), "secret")},
            "store.data.tls.enabled: false: must be true since node.tls is set",
        ),
    ],
)
def test_a_wrong_combination_is_one_clear_mistake(
    node: dict[str, Any], mistake: str, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret\n")
    assert mistakes(tmp_path, node)[0].startswith(mistake)


def test_a_node_needs_its_name_its_peers_and_sentinels(tmp_path: Path) -> None:
    for check, command in ((check_data_node, "guarita node"), (check_sentinel, "guarita sentinel")):
        with pytest.raises(ConfigError) as caught:
            check(settings_of(tmp_path, {}, topology="standalone"))
        topology, announce, peers = caught.value.problems
        assert topology == f"store.topology: standalone: {command} needs sentinel here"
        assert announce.startswith(f"node.announce: {command} needs the host:port under which this")
        assert peers.startswith(f"node.peers: {command} needs the host:port of every data node")


def test_on_loopback_a_node_and_a_sentinel_need_no_password(tmp_path: Path) -> None:
    check_data_node(settings_of(tmp_path, {"announce": PEERS[0], "peers": PEERS}))
    check_sentinel(settings_of(tmp_path, {"announce": SENTINELS[1], "peers": PEERS}))


def test_a_sentinel_announces_one_of_the_sentinels(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must be one of store\.sentinel\.nodes"):
        check_sentinel(settings_of(tmp_path, {"announce": "127.0.0.1:1", "peers": PEERS}))


def test_on_any_other_address_servers_need_passwords(tmp_path: Path) -> None:
    node = {"announce": "10.0.0.5:6379", "peers": ["10.0.0.5:6379"]}
    with pytest.raises(ConfigError, match=r"store\.data\.password: .* or set node\.users$"):
        check_data_node(settings_of(tmp_path, node))
    check_data_node(settings_of(tmp_path, node, data={"password": "pw"}))
    check_data_node(settings_of(tmp_path, node | {"users": ALL_USERS}))
    sentinel: dict[str, Any] = {"nodes": ["10.0.0.5:26379"]}
    at = node | {"announce": "10.0.0.5:26379"}
    with pytest.raises(ConfigError, match=r"store\.sentinel\.password: needed since"):
        check_sentinel(settings_of(tmp_path, at, sentinel=sentinel, data={"password": "pw"}))
    check_sentinel(settings_of(tmp_path, at, sentinel=sentinel | {"password": "pw"}))


def test_users_have_the_names_of_their_roles_and_logs_know_their_passwords(
    tmp_path: Path,
) -> None:
    (tmp_path / "pw").write_text("pw-from-file\n")
    users = ALL_USERS | {"replica": {"password_file": "pw", "username": "follower"}}
    settings = settings_of(tmp_path, {"users": users})
    roles = settings.node.users.by_role()
    assert {role: user.username for role, user in roles.items()} == {
        "service": "guarita-service",
        "agent": "guarita-agent",
        "sentinel": "guarita-sentinel",
        "replica": "follower",
    }
    assert {"pw-service", "pw-from-file"} <= set(secrets_of(settings))
