"""Installations as others set them up: what of it is in the files of servers and Sentinels."""

from __future__ import annotations

from pathlib import Path

import pytest

from guarita.drill.targets.base import Shape
from guarita.drill.targets.kits import KITS
from guarita.drill.targets.nodes import DrillSentinel
from guarita.processes import wait_until


def lines_of(directory: Path, like: str | None, kind: str) -> list[str]:
    installation = DrillSentinel(directory, Shape(agents=False, like=like), None)
    installation.file.note(store="sentinel", ports=installation._numbers())
    nodes = installation.nodes if kind == "data" else installation.sentinels
    return installation.config_lines(nodes[0])


@pytest.mark.parametrize("like", KITS)
def test_sentinels_have_the_patience_of_their_kit(tmp_path: Path, like: str) -> None:
    kit, lines = KITS[like], lines_of(tmp_path, like, "sentinel")
    for setting in (
        f"down-after-milliseconds guarita {kit.down_after_ms}",
        f"failover-timeout guarita {kit.failover_timeout_ms}",
        f"parallel-syncs guarita {kit.parallel_syncs}",
    ):
        assert lines.count(f"sentinel {setting}") == 1
    assert kit.patience_s > kit.down_after_ms / 1000 + 10


def test_data_nodes_have_the_settings_of_their_kit_and_no_others(tmp_path: Path) -> None:
    bare = lines_of(tmp_path / "a", "cloudpirates", "data")
    assert not [each for each in bare if each.startswith(("append", "save", "min-replicas"))]
    assert "min-replicas-max-lag 5" in lines_of(tmp_path / "b", "redis-ha", "data")
    assert "appendonly yes" in lines_of(tmp_path / "c", "bitnami", "data")


def test_our_settings_without_agents_are_those_that_a_local_installation_has(
    tmp_path: Path,
) -> None:
    ours = set(lines_of(tmp_path / "a", None, "data"))
    same = set(lines_of(tmp_path / "b", "no-agent", "data"))
    changing = ("port", "dir", "shutdown-timeout", "replica-priority")
    assert {each for each in ours ^ same if not each.startswith(changing)} == set()
    ours = set(lines_of(tmp_path / "c", None, "sentinel"))
    same = set(lines_of(tmp_path / "d", "no-agent", "sentinel"))
    changing = ("port", "dir", "sentinel myid", "sentinel monitor", "sentinel known-")
    assert {each for each in ours ^ same if not each.startswith(changing)} == set()


def test_an_installation_whose_primary_counts_no_good_replicas_gets_ready(tmp_path: Path) -> None:
    installation = DrillSentinel(tmp_path, Shape(agents=False, like="bitnami"), None)
    try:
        installation.up(timeout_s=60)
        with installation.client(installation.replicas()[0]) as replica:
            replica.replicaof("NO", "ONE")
        assert wait_until(
            lambda: "1 of 2 replicas in sync" in str(installation.problem()), timeout_s=10
        )
    finally:
        installation.kill_all()
