"""The hosts file that agents and services keep: addresses of names, without waiting for them."""

from __future__ import annotations

import socket
from pathlib import Path

import dns.resolver
import pytest
from dns.exception import DNSException, Timeout
from structlog.testing import capture_logs

from guarita.config import Settings
from guarita.hosts import Hosts, _names, _resolver


class Resolver:
    """A name server with these names; the others it does not know."""

    def __init__(self, **known: list[str]) -> None:
        self.known = known

    def __call__(self, name: str) -> list[str]:
        if name not in self.known:
            raise OSError("does not exist")
        return self.known[name]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "hosts"
    path.write_text("127.0.0.1\tlocalhost\n# of the administrator\n10.0.0.9 printer\n")
    return path


def lines(path: Path) -> list[str]:
    return path.read_text().rstrip("\n").splitlines()


def test_names_are_added_to_what_others_wrote(path: Path) -> None:
    before = lines(path)
    Hosts(path, ["two", "one"], Resolver(one=["10.0.0.1"], two=["fd00::2", "10.0.0.2"])).look()
    assert lines(path) == [
        *before,
        "10.0.0.1\tone # guarita",
        "10.0.0.2\ttwo # guarita",
        "fd00::2\ttwo # guarita",
    ]


def test_a_name_that_is_gone_keeps_its_address_and_that_is_told_once(path: Path) -> None:
    resolver = Resolver(one=["10.0.0.1"])
    hosts = Hosts(path, ["one"], resolver)
    hosts.look()
    resolver.known = {}
    with capture_logs() as logs:
        hosts.look()
        hosts.look()
        assert [each["event"] for each in logs] == [
            "a name cannot be resolved, it keeps its addresses"
        ]
        assert lines(path)[-1] == "10.0.0.1\tone # guarita"
        resolver.known = {"one": ["10.0.0.7"]}
        hosts.look()
    assert [each["event"] for each in logs][1:] == ["a name can be resolved again"]
    assert lines(path)[-1] == "10.0.0.7\tone # guarita"


def test_what_an_earlier_process_knew_stays_until_it_is_known_better(path: Path) -> None:
    Hosts(path, ["one"], Resolver(one=["10.0.0.1"])).look()
    Hosts(path, ["one"], Resolver()).look()
    assert lines(path)[-1] == "10.0.0.1\tone # guarita"
    Hosts(path, ["one"], Resolver(one=["10.0.0.2"])).look()
    assert [each for each in lines(path) if "one" in each] == ["10.0.0.2\tone # guarita"]


def test_several_processes_keep_the_same_file(path: Path) -> None:
    one = Hosts(path, ["one", "two"], Resolver(one=["10.0.0.1"], two=["10.0.0.2"]))
    other = Hosts(path, ["two", "three"], Resolver(two=["10.0.0.2"], three=["10.0.0.3"]))
    for each in (one, other, one, other):
        each.look()
    own = [each for each in lines(path) if each.endswith("# guarita")]
    assert sorted(own) == [
        "10.0.0.1\tone # guarita",
        "10.0.0.2\ttwo # guarita",
        "10.0.0.3\tthree # guarita",
    ]


def test_the_file_is_the_same_one_and_never_shorter(path: Path) -> None:
    """It may be mounted, and somebody may be reading it."""
    number = path.stat().st_ino
    resolver = Resolver(one=["10.0.0.100", "10.0.0.101"])
    hosts = Hosts(path, ["one"], resolver)
    hosts.look()
    size = path.stat().st_size
    resolver.known = {"one": ["10.0.0.1"]}
    hosts.look()
    assert (path.stat().st_ino, path.stat().st_size) == (number, size)
    assert lines(path)[-1] == "10.0.0.1\tone # guarita"


def test_it_is_not_written_while_nothing_changes(path: Path) -> None:
    hosts = Hosts(path, ["one"], Resolver(one=["10.0.0.1"]))
    hosts.look()
    path.chmod(0o644)
    written_ns = path.stat().st_mtime_ns
    hosts.look()
    assert path.stat().st_mtime_ns == written_ns


def test_a_file_that_cannot_be_written_is_told_once(tmp_path: Path) -> None:
    hosts = Hosts(tmp_path / "gone" / "hosts", ["one"], Resolver(one=["10.0.0.1"]))
    with capture_logs() as logs:
        hosts.look()
        hosts.look()
    assert [each["log_level"] for each in logs] == ["error"]


def test_the_names_are_those_of_all_nodes_and_no_addresses() -> None:
    settings = Settings.model_validate(
        {
            "store": {
                "topology": "sentinel",
                "data_nodes": ["one.test:6379", "10.0.0.1:6379"],
                "sentinel": {"nodes": ["watch.test:26379", "[fd00::1]:26379"]},
            },
            "node": {"announce": "one.test:6379", "peers": ["one.test:6379", "two.test:6379"]},
        }
    )
    assert _names(settings) == {"one.test", "two.test", "watch.test"}


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ({socket.AF_INET: ["10.0.0.1"], socket.AF_INET6: ["fd00::1"]}, ["10.0.0.1", "fd00::1"]),
        ({socket.AF_INET: ["10.0.0.1"], socket.AF_INET6: dns.resolver.NoAnswer()}, ["10.0.0.1"]),
        ({socket.AF_INET: ["10.0.0.1"], socket.AF_INET6: Timeout()}, ["10.0.0.1"]),
        ({socket.AF_INET: dns.resolver.NoAnswer(), socket.AF_INET6: ["fd00::1"]}, ["fd00::1"]),
        ({socket.AF_INET: Timeout(), socket.AF_INET6: ["fd00::1"]}, None),
        ({socket.AF_INET: dns.resolver.NoAnswer(), socket.AF_INET6: Timeout()}, None),
        ({socket.AF_INET: dns.resolver.NXDOMAIN(), socket.AF_INET6: dns.resolver.NXDOMAIN()}, None),
        ({socket.AF_INET: dns.resolver.NoAnswer(), socket.AF_INET6: dns.resolver.NoAnswer()}, None),
    ],
)
def test_no_address_is_left_out_because_a_server_failed(
    monkeypatch: pytest.MonkeyPatch,
    told: dict[int, list[str] | DNSException],
    found: list[str] | None,
) -> None:
    class Answers:
        def __init__(self, addresses: list[str]) -> None:
            self.addresses = lambda: iter(addresses)

    def ask(_: object, name: str, family: int, **_options: object) -> Answers:
        answer = told[family]
        if isinstance(answer, DNSException):
            raise answer
        return Answers(answer)

    monkeypatch.setattr("dns.resolver.Resolver.resolve_name", ask)
    if found is None:
        with pytest.raises(OSError, match=r"\S"):
            _resolver()("one.test")
    else:
        assert _resolver()("one.test") == found
