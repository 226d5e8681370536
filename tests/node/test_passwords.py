"""Passwords in files may change while servers run: each server takes old and new in between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import yaml

from guarita.config import Settings, load
from guarita.errors import TopologyError
from guarita.node.child import Child
from guarita.node.conf import data_lines, write_file
from guarita.node.passwords import Command, Passwords, data_commands, sentinel_commands
from guarita.node.sentinel_conf import Memory, sentinel_lines
from guarita.processes import wait_until
from guarita.servers import Server
from guarita.topology.local import ports

ROLES = ("service", "agent", "sentinel", "replica")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for name in (*ROLES, "sentinels"):
        (tmp_path / name).write_text(f"{name}-one\n")
    free = ports.free_ports(2)
    sentinel = {
        "nodes": [f"127.0.0.1:{free[1]}"],
        "password_file": str(tmp_path / "sentinels"),
    }
    node = {
        "announce": f"127.0.0.1:{free[0]}",
        "peers": [f"127.0.0.1:{free[0]}"],
        "data_dir": str(tmp_path),
        "users": {role: {"password_file": str(tmp_path / role)} for role in ROLES},
    }
    file = tmp_path / "guarita.yaml"
    store = {"topology": "sentinel", "sentinel": sentinel}
    file.write_text(yaml.safe_dump({"store": store, "node": node}))
    return load(file, {}, tmp_path)


def replace(tmp_path: Path, name: str, **texts: str | None) -> None:
    """`current`, `next`, `previous`: None takes the file away."""
    for which, text in texts.items():
        path = tmp_path / (name if which == "current" else f"{name}-{which}")
        if text is None:
            path.unlink()
        else:
            path.write_text(f"{text}\n")


class Told:
    """What a server was told, and whether it is to fail."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.failure: Exception | None = None

    def __call__(self, commands: tuple[Command, ...]) -> None:
        if self.failure:
            raise self.failure
        self.commands += commands


def mind(passwords: Passwords, tell: Told) -> list[Command]:
    tell.commands.clear()
    passwords._due_s = 0.0
    passwords.mind(tell)
    return tell.commands


@pytest.mark.parametrize(
    "failure",
    [redis.ConnectionError("gone"), TopologyError("a key of another certificate")],
    ids=["no server", "no pair"],
)
def test_only_what_has_changed_is_told_and_again_where_that_failed(
    settings: Settings, tmp_path: Path, failure: Exception
) -> None:
    told = Told()
    passwords = Passwords(lambda: data_commands(settings))
    assert mind(passwords, told) == []
    replace(tmp_path, "service", next="service-two")
    told.failure = failure
    assert mind(passwords, told) == []
    told.failure = None
    ((*words, one, two),) = mind(passwords, told)
    assert words == ["ACL", "SETUSER", "guarita-service", "resetpass"]
    assert one != two
    assert mind(passwords, told) == []
    replace(tmp_path, "replica", current="replica-two", previous="replica-one")
    assert [each[:2] for each in mind(passwords, told)] == [("ACL", "SETUSER"), ("CONFIG", "SET")]


def test_a_file_that_is_gone_changes_nothing(settings: Settings, tmp_path: Path) -> None:
    told = Told()
    passwords = Passwords(lambda: data_commands(settings))
    replace(tmp_path, "agent", current=None)
    assert mind(passwords, told) == []


@pytest.fixture(params=["data", "sentinel"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def started(server: Server, settings: Settings, kind: str, tmp_path: Path) -> Iterator[int]:
    """A real server that was started with the passwords of now; its port."""
    child = Child(kind)
    assert settings.node.announce
    port = settings.node.announce.port
    if kind == "data":
        text = data_lines(settings, tmp_path / "s").replace("port 0", f"port {port}", 1)
        write_file(tmp_path / "server.conf", text)
        child.start([server.path, "server.conf"], tmp_path)
    else:
        write_file(tmp_path / "s.conf", sentinel_lines(settings, Memory(("127.0.0.1", port))))
        child.start([server.path, "s.conf", "--sentinel"], tmp_path)
    try:
        assert wait_until(lambda: ports.answers(port), timeout_s=10)
        yield port
    finally:
        child.stop(5)


def test_a_server_takes_both_until_the_old_one_is_taken_away(
    settings: Settings, kind: str, started: int, tmp_path: Path
) -> None:
    user, name = ("guarita-service", "service") if kind == "data" else ("default", "sentinels")
    admin = ("guarita-agent", "agent-one") if kind == "data" else ("default", "sentinels-one")
    of_kind = data_commands if kind == "data" else sentinel_commands
    passwords = Passwords(lambda: of_kind(settings))

    def takes(password: str) -> bool:
        with redis.Redis(port=started, username=user, password=password) as client:
            try:
                return bool(client.execute_command("PING"))
            except redis.AuthenticationError:
                return False

    def tell(commands: tuple[Command, ...]) -> None:
        with redis.Redis(port=started, username=admin[0], password=admin[1]) as client:
            for each in commands:
                client.execute_command(*each)

    def follow() -> None:
        passwords._due_s = 0.0
        passwords.mind(tell)

    one, two = f"{name}-one", f"{name}-two"
    assert [takes(one), takes(two)] == [True, False]
    replace(tmp_path, name, next=two)
    follow()
    assert [takes(one), takes(two)] == [True, True]
    replace(tmp_path, name, current=two, previous=one, next=None)
    follow()
    assert [takes(one), takes(two)] == [True, True]
    replace(tmp_path, name, previous=None)
    follow()
    assert [takes(one), takes(two)] == [False, True]
