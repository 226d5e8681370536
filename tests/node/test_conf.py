"""The configuration of a data node, read by a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from guarita import processes
from guarita.config import Settings, load
from guarita.node.child import Child
from guarita.node.conf import data_lines, quoted, rules_of, write_file
from guarita.servers import Server
from serving import listens

PEER = "127.0.0.1:6379"
ROLES = ("service", "agent", "sentinel", "replica", "exporter")
AWKWARD = "p \"w\\#' ü\t"


def settings_of(tmp_path: Path, **sections: Any) -> Settings:
    file = tmp_path / "g.yaml"
    store: dict[str, Any] = {"topology": "sentinel", "sentinel": {"nodes": ["127.0.0.1:26379"]}}
    store |= sections.pop("store", {})
    node = {"announce": PEER, "peers": [PEER], **sections.pop("node", {})}
    file.write_text(yaml.safe_dump({"store": store, "node": node, **sections}), "utf-8")
    return load(file, {}, tmp_path)


def start(child: Child, settings: Settings, server: Server, directory: Path) -> Path:
    """Start a server with these settings; returns its socket."""
    socket = directory / "s"
    write_file(directory / "server.conf", data_lines(settings, socket))
    child.start([server.path, "server.conf"], directory)
    assert processes.wait_until(lambda: listens(socket) or child.ended.is_set(), timeout_s=20)
    return socket


def connect(socket: Path, username: str | None, password: str | None) -> redis.Redis:
    return redis.Redis.from_url(f"unix://{socket}", username=username, password=password)


@pytest.fixture
def child() -> Iterator[Child]:
    child = Child("server")
    yield child
    child.stop(0)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "d").mkdir()
    return tmp_path / "d"


def test_a_server_starts_without_a_port_and_a_role_and_takes_any_password(
    child: Child, server: Server, tmp_path: Path, place: Path
) -> None:
    node = {"data_dir": str(place), "memory_mb": 64}
    settings = settings_of(tmp_path, store={"data": {"password": AWKWARD}}, node=node)
    socket = start(child, settings, server, place)
    with connect(socket, None, AWKWARD) as client:
        wanted = {
            "port": "0",
            "replica-priority": "0",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "min-replicas-to-write": "1",
            "min-replicas-max-lag": "2",
            "repl-diskless-sync-delay": "0",
            "maxmemory": str(64 * 2**20),
            "maxmemory-policy": "noeviction",
            "bind": "127.0.0.1",
            "replica-announce-ip": "127.0.0.1",
            "replica-announce-port": "6379",
            "masterauth": AWKWARD,
            "dir": str(place),
            "save": "",
            "replicaof": "",
        }
        is_known = client.config_get("*")
        assert {name: is_known.get(name) for name in wanted} == wanted
        client.config_rewrite()
    for private in ("server.conf", "appendonlydir"):
        assert (place / private).stat().st_mode & 0o077 == 0
    with connect(socket, None, None) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


@pytest.mark.parametrize(
    ("durability", "fsync", "wanted"),
    [
        ("balanced", None, "everysec"),
        ("strict", None, "always"),
        ("strict", "everysec", "everysec"),
        ("balanced", "always", "always"),
    ],
)
def test_a_strict_store_is_written_to_the_disk_always_unless_it_is_told_otherwise(
    durability: str, fsync: str | None, wanted: str, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path, store={"durability": durability}, node={"fsync": fsync})
    assert f"\nappendfsync {wanted}\n" in data_lines(settings, tmp_path / "s")


def test_each_user_may_do_what_its_role_needs_and_no_more(
    child: Child, server: Server, tmp_path: Path, place: Path
) -> None:
    users = {role: {"password": f"pw of {role} {AWKWARD}"} for role in ROLES}
    node = {"data_dir": str(place), "users": users}
    sessions = {"key_prefix": "s[1]:", "stats_key": "st*ts"}
    settings = settings_of(tmp_path, node=node, sessions=sessions)
    socket = start(child, settings, server, place)
    text = (place / "server.conf").read_text()
    assert all("pw of" not in line for line in text.splitlines() if "masterauth" not in line)
    with connect(socket, None, None) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()

    def may(role: str, *words: object) -> bool:
        """Whether the server lets it, whatever else it answers."""
        with connect(socket, f"guarita-{role}", f"pw of {role} {AWKWARD}") as client:
            try:
                client.execute_command(*words)
            except redis.ResponseError as exc:
                return not any(words in str(exc) for words in ("permission", "can't run"))
        return True

    assert may("service", "GET", "s[1]:key")
    assert may("service", "HMGET", "st*ts", "total_created")
    assert may("service", "SPUBLISH", "st*ts:revocations", "name")
    assert may("service", "EVAL", "return redis.call('SET', KEYS[1], 'x', 'EX', 9)", 1, "s[1]:key")
    assert not may("service", "GET", "s1:key"), "the prefix is no pattern"
    assert not may("service", "HMGET", "statsts", "total_created")
    assert not may("service", "EVAL", "return redis.call('KEYS', '*')", 0)
    assert not may("service", "CONFIG", "GET", "*")
    assert not may("service", "FLUSHALL")

    assert may("agent", "CONFIG", "SET", "replica-priority", "0")
    assert may("agent", "REPLICAOF", "NO", "ONE")
    assert may("agent", "CLIENT", "KILL", "TYPE", "replica")
    assert may("agent", "HMGET", "st*ts", "total_created")
    assert not may("agent", "HSET", "st*ts", "total_created", "1")
    assert not may("agent", "GET", "s[1]:key")

    assert may("sentinel", "REPLICAOF", "NO", "ONE")
    assert may("sentinel", "CONFIG", "REWRITE")
    assert may("sentinel", "PUBLISH", "__sentinel__:hello", "it")
    assert not may("sentinel", "PUBLISH", "st*ts:revocations", "name")
    assert not may("sentinel", "CONFIG", "GET", "*")
    assert not may("sentinel", "GET", "s[1]:key")

    assert may("replica", "REPLCONF", "listening-port", "1")
    assert not may("replica", "GET", "s[1]:key")
    assert not may("replica", "CONFIG", "GET", "*")

    assert may("exporter", "INFO")
    assert not may("exporter", "CONFIG", "GET", "*")
    assert not may("exporter", "SLOWLOG", "GET")


def test_what_a_script_wrote_is_loaded_again_where_roles_have_users(
    child: Child, server: Server, tmp_path: Path, place: Path
) -> None:
    users = {role: {"password": f"pw of {role}"} for role in ROLES}
    settings = settings_of(tmp_path, node={"data_dir": str(place), "users": users})
    socket = start(child, settings, server, place)
    with connect(socket, "guarita-agent", "pw of agent") as agent:
        agent.config_set("min-replicas-to-write", "0")
    two_writes = "redis.call('SET', KEYS[1], 'x') redis.call('HSET', KEYS[2], 'n', '1')"
    with connect(socket, "guarita-service", "pw of service") as service:
        service.eval(two_writes, 2, "auth_session:key", "auth_stats")
    assert child.stop(10) == 0
    socket = start(child, settings, server, place)
    with connect(socket, "guarita-service", "pw of service") as service:
        assert service.get("auth_session:key") == b"x"
        assert service.hget("auth_stats", "n") == b"1"
    with connect(socket, None, None) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    with connect(socket, "default", "") as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


def test_the_service_may_run_every_command_of_its_scripts(tmp_path: Path) -> None:
    import re

    from guarita.stores import scripts

    texts = b"\n".join(script.text for script in scripts.ALL).decode()
    called = {name.lower() for name in re.findall(r"redis\.p?call\('(\w+)'", texts)}
    allowed = rules_of("service", settings_of(tmp_path)).split()
    assert called
    assert called <= {word.removeprefix("+") for word in allowed}


def test_a_file_is_replaced_at_once_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "server.conf"
    path.write_text("old")
    path.chmod(0o644)
    write_file(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o077 == 0
    assert [each.name for each in tmp_path.iterdir()] == ["server.conf"]


def test_quotes_and_control_characters_are_escaped() -> None:
    assert quoted('a "b" \\ \n') == '"a \\x22b\\x22 \\x5c \\x0a"'
