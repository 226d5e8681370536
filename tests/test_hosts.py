"""The hosts file that agents and services keep: addresses of names, without waiting for them."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

import dns.resolver
import pytest
from dns.exception import Timeout
from structlog.testing import capture_logs

from guarita.config import Settings
from guarita.errors import ConfigError
from guarita.hosts import Hosts, _ask_server, _names, check


class Resolver:
    """A name server with these names; the others it does not know."""

    def __init__(self, **known: list[str]) -> None:
        self.known = known
        self.fails: set[int] = set()

    def __call__(self, name: str, family: int) -> list[str]:
        if name not in self.known or family in self.fails:
            raise OSError("does not exist")
        is_six = family == socket.AF_INET6
        return [each for each in self.known[name] if (":" in each) == is_six]


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
    assert own == [
        "10.0.0.1\tone # guarita",
        "10.0.0.3\tthree # guarita",
        "10.0.0.2\ttwo # guarita",
    ]
    written_ns = path.stat().st_mtime_ns
    for each in (one, other, one, other):
        each.look()
    assert path.stat().st_mtime_ns == written_ns


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


def test_a_family_that_cannot_be_resolved_keeps_its_addresses(path: Path) -> None:
    resolver = Resolver(one=["10.0.0.1", "fd00::1"])
    Hosts(path, ["one"], resolver).look()
    for family, known, own in (
        (socket.AF_INET6, ["10.0.0.2"], ["10.0.0.2\tone # guarita", "fd00::1\tone # guarita"]),
        (socket.AF_INET, ["fd00::2"], ["10.0.0.2\tone # guarita", "fd00::2\tone # guarita"]),
        (0, ["10.0.0.3"], ["10.0.0.3\tone # guarita"]),  # there is none, and that is certain
    ):
        resolver.known, resolver.fails = {"one": known}, {family}
        hosts = Hosts(path, ["one"], resolver)
        hosts.look()
        hosts.look()
        assert [each for each in lines(path) if each.endswith("# guarita")] == own


def test_names_of_somebody_else_are_left_alone(path: Path) -> None:
    before = path.read_bytes()
    hosts = Hosts(
        path, ["localhost", "Printer"], Resolver(localhost=["1.1.1.1"], printer=["2.2.2.2"])
    )
    hosts.look()
    assert path.read_bytes() == before


def test_odd_bytes_of_others_stay_as_they_are(path: Path) -> None:
    path.write_bytes(b"127.0.0.1 localhost\r\n# caf\xe9 \x0c 10.6.6.6 evil\r\n\n10.0.0.9 printer")
    Hosts(path, ["one"], Resolver(one=["10.0.0.1"])).look()
    assert path.read_bytes() == (
        b"127.0.0.1 localhost\r\n# caf\xe9 \x0c 10.6.6.6 evil\r\n\n10.0.0.9 printer\n"
        b"10.0.0.1\tone # guarita\n"
    )


def test_a_file_that_another_process_holds_is_left_for_the_next_look(path: Path) -> None:
    hosts = Hosts(path, ["one"], Resolver(one=["10.0.0.1"]))
    before = path.read_bytes()
    with path.open("rb") as held, capture_logs() as logs:
        fcntl.flock(held, fcntl.LOCK_EX)
        hosts.look()
        assert (path.read_bytes(), logs) == (before, [])
    hosts.look()
    assert lines(path)[-1] == "10.0.0.1\tone # guarita"


def test_a_full_disk_leaves_no_half_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = Hosts(path, ["one"], Resolver(one=["10.0.0.1"]))
    before, pwrite = lines(path), os.pwrite
    with monkeypatch.context() as full, capture_logs() as logs:
        full.setattr(os, "pwrite", lambda file, text, place: pwrite(file, text[:12], place))
        hosts.look()
    assert lines(path) == before
    assert "No space left" in logs[0]["event"]
    hosts.look()
    assert lines(path) == [*before, "10.0.0.1\tone # guarita"]


def test_a_file_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    settings = Settings.model_validate({"store": {"hosts_file": str(tmp_path / "hosts")}})
    with pytest.raises(ConfigError, match=r"store.hosts_file: .*: no such file"):
        check(settings)
    (tmp_path / "hosts").touch()
    check(settings)


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (["10.0.0.1"], ["10.0.0.1"]),
        (dns.resolver.NoAnswer(), []),
        (Timeout(), None),
        (dns.resolver.NXDOMAIN(), None),
        (ValueError("nameserver 10.0. is not an address"), None),
    ],
)
def test_no_answer_is_none_and_everything_else_a_failure(
    monkeypatch: pytest.MonkeyPatch,
    told: list[str] | Exception,
    found: list[str] | None,
) -> None:
    class Answers:
        def __init__(self, addresses: list[str]) -> None:
            self.addresses = lambda: iter(addresses)

    def ask(*_: object, **_options: object) -> Answers:
        if isinstance(told, Exception):
            raise told
        return Answers(told)

    monkeypatch.setattr("dns.resolver.Resolver.resolve_name", ask)
    if found is None:
        with pytest.raises(OSError, match=r"\S"):
            _ask_server("one.test", socket.AF_INET)
    else:
        assert _ask_server("one.test", socket.AF_INET) == found
