"""The configuration file of a Sentinel."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml

from guarita.config import Settings, load
from guarita.node.sentinel_conf import (
    Memory,
    periods_ms,
    remembered,
    sentinel_id,
    sentinel_lines,
)

SENTINELS = ["127.0.0.1:26379", "127.0.0.1:26380", "127.0.0.1:26381"]
PEERS = ["127.0.0.1:6379", "127.0.0.1:6380", "127.0.0.1:6381"]
PRIMARY = ("127.0.0.1", 6380)


def settings_of(tmp_path: Path, node: dict[str, Any] | None = None, **store: Any) -> Settings:
    file = tmp_path / "g.yaml"
    sentinel = {"primary_name": "main", "nodes": SENTINELS} | store.pop("sentinel", {})
    given = {"announce": SENTINELS[1], "peers": PEERS} | (node or {})
    file.write_text(
        yaml.safe_dump(
            {"store": {"topology": "sentinel", "sentinel": sentinel, **store}, "node": given}
        )
    )
    return load(file, {}, tmp_path)


def lines(tmp_path: Path, *args: Any, **store: Any) -> set[str]:
    return set(sentinel_lines(settings_of(tmp_path, *args, **store), Memory(PRIMARY)).splitlines())


def test_it_is_introduced_to_everybody_and_has_an_id_of_its_own(tmp_path: Path) -> None:
    written = lines(tmp_path)
    ids = {sentinel_id("main", ("127.0.0.1", port)) for port in (26379, 26380, 26381)}
    assert len(ids) == 3
    assert sentinel_id("other", ("127.0.0.1", 26379)) not in ids
    assert {
        "port 26380",
        "sentinel monitor main 127.0.0.1 6380 2",
        "sentinel known-replica main 127.0.0.1 6379",
        "sentinel known-replica main 127.0.0.1 6381",
        f"sentinel known-sentinel main 127.0.0.1 26379 {sentinel_id('main', ('127.0.0.1', 26379))}",
        f"sentinel myid {sentinel_id('main', ('127.0.0.1', 26380))}",
    } <= written
    assert not any("known-replica main 127.0.0.1 6380" in line for line in written)
    assert not any("known-sentinel main 127.0.0.1 26380" in line for line in written)


def test_names_stay_names_and_it_announces_its_own_as_configured(tmp_path: Path) -> None:
    names = [f"sentinel-{number}.example:{26379 + number}" for number in range(3)]
    settings = settings_of(tmp_path, {"announce": names[1]}, sentinel={"nodes": names})
    written = sentinel_lines(settings, Memory(("node-1.example", 6380))).splitlines()
    assert [line for line in written if "hostnames" in line or "announce" in line] == [
        "sentinel resolve-hostnames yes",
        "sentinel announce-hostnames yes",
        'sentinel announce-ip "sentinel-1.example"',
        "sentinel announce-port 26380",
    ]
    assert "sentinel monitor main node-1.example 6380 2" in written


def test_what_it_has_learned_stays_and_all_else_is_as_configured(tmp_path: Path) -> None:
    others = frozenset({("127.0.0.1", 6379), ("127.0.0.1", 6381)})
    memory = Memory(PRIMARY, 7, 8, 9, others)
    old = sentinel_lines(settings_of(tmp_path), memory)
    assert remembered(old, "main") == memory
    node = {"down_after_ms": 3000, "peers": PEERS[:2], "quorum": 3}
    new = sentinel_lines(settings_of(tmp_path, node), memory)
    assert remembered(new, "main") == memory
    assert "sentinel down-after-milliseconds main 3000" in new.splitlines()
    assert "sentinel monitor main 127.0.0.1 6380 3" in new.splitlines()


def test_a_node_that_was_taken_out_of_the_configuration_stays_until_it_is_forgotten(
    tmp_path: Path,
) -> None:
    """Services that have not heard of it yet wait for it until it is reported down."""
    memory = remembered(sentinel_lines(settings_of(tmp_path), Memory(PRIMARY)), "main")
    assert memory
    new = sentinel_lines(settings_of(tmp_path, {"peers": PEERS[:2]}), memory).splitlines()
    assert [line for line in new if "known-replica" in line] == [
        "sentinel known-replica main 127.0.0.1 6379",
        "sentinel known-replica main 127.0.0.1 6381",
    ]


def test_of_another_installation_nothing_is_remembered(tmp_path: Path) -> None:
    assert remembered(sentinel_lines(settings_of(tmp_path), Memory(PRIMARY, 7)), "other") is None
    assert remembered("", "main") is None


def test_it_signs_in_as_the_user_of_its_role(tmp_path: Path) -> None:
    users = {
        role: {"password": f"pw {role}"} for role in ("service", "agent", "sentinel", "replica")
    }
    sentinel = {"username": "watcher", "password": "pw"}
    written = lines(tmp_path, {"users": users}, sentinel=sentinel, data={"password": "all"})
    assert {
        "sentinel auth-user main guarita-sentinel",
        'sentinel auth-pass main "pw sentinel"',
        "sentinel sentinel-user watcher",
        'sentinel sentinel-pass "pw"',
        "user default off resetpass",
    } <= written
    digest = hashlib.sha256(b"pw").hexdigest()
    assert {'sentinel auth-pass main "all"', f"user default on #{digest} ~* &* +@all"} <= lines(
        tmp_path, data={"password": "all"}, sentinel={"password": "pw"}
    )
    open_doors = lines(tmp_path)
    assert not any("pass" in line for line in open_doors)


def test_tilt_is_over_before_a_replica_is_too_old_and_never_longer_than_by_itself() -> None:
    for down_after_ms in (200, 1000, 2000, 5000, 6000, 30_000):
        tilt_ms = periods_ms(down_after_ms)["tilt-period"]
        assert tilt_ms < 10 * down_after_ms
        assert tilt_ms <= 30_000
