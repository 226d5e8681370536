"""A server that is slower than it is with the disk, and the kill that makes that matter."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from guarita.drill.faults import stops
from guarita.drill.faults.base import Scene
from guarita.drill.faults.stops import Kill
from guarita.drill.targets.base import Shape
from guarita.drill.targets.slow import lacking, slow_server
from guarita.errors import TopologyError
from guarita.topology.local import LocalStandalone

FOR_EVER = Shape(fsync_s=3600.0)


class EverySecond(LocalStandalone):
    """With the least that an append-only file promises."""

    def config_lines(self, node: Any) -> list[str]:
        return [*super().config_lines(node), "appendfsync everysec"]


class AtOnce(LocalStandalone):
    """With a file that has each command before the next is read."""

    def config_lines(self, node: Any) -> list[str]:
        return [*super().config_lines(node), "appendfsync no"]


def scene(installation: LocalStandalone) -> Scene:
    """What a kill asks of a drill."""

    def command(name: str, *words: str) -> Any:
        with installation.client(installation.nodes[0]) as client:
            return client.execute_command(*words)

    def kill(name: str, *, server_only: bool) -> None:
        installation.kill(installation.nodes[0])

    target: Any = SimpleNamespace(
        primary=lambda: installation.nodes[0].name,
        command=command,
        kill=kill,
        start_node=lambda name: installation.start(installation.nodes[0]),
    )
    unused: Any = SimpleNamespace(now_us=0, write=lambda event: None)
    return Scene(target, unused, unused, unused, unused)


def count(installation: LocalStandalone) -> int:
    """How far a server has counted when it is killed."""
    answered = 0
    with suppress(redis.ConnectionError), installation.client(installation.nodes[0]) as client:
        while True:
            answered = int(client.incr("counter"))
    return answered


@pytest.mark.skipif(lacking(FOR_EVER) is not None, reason="it needs a C compiler")
def test_a_primary_on_a_slow_disk_starts_as_fast_as_ever_and_has_lost_what_it_held_back(
    tmp_path: Path,
) -> None:
    installation = EverySecond(tmp_path / "it", server=slow_server(tmp_path, FOR_EVER))
    installation.up(timeout_s=30)
    try:
        node = installation.nodes[0]
        with ThreadPoolExecutor(1) as pool:
            counted = pool.submit(count, installation)
            Kill(unwritten_s=0.1).inject(scene(installation))()
            answered = counted.result(30)
        with installation.client(node) as client:
            assert 0 < int(client.get("counter") or 0) < answered
    finally:
        installation.kill_all()


def test_a_server_that_holds_nothing_back_is_not_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stops, "UNWRITTEN_WITHIN_S", 0.1)
    installation = EverySecond(tmp_path)
    installation.up(timeout_s=30)
    try:
        node = installation.nodes[0]
        with pytest.raises(TopologyError, match=rf"^{node.name} never held back for 0.5 s what it"):
            Kill(unwritten_s=0.5).inject(scene(installation))
        with installation.client(node) as client:
            assert client.ping()
    finally:
        installation.kill_all()


def test_a_busy_server_that_writes_at_once_is_not_taken_for_one_that_holds_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stops, "UNWRITTEN_WITHIN_S", 1.0)
    installation = AtOnce(tmp_path)
    installation.up(timeout_s=30)
    with ThreadPoolExecutor(4) as pool:
        counts = [pool.submit(count, installation) for _ in range(4)]
        try:
            with pytest.raises(TopologyError, match="never held back for 0"):
                Kill(unwritten_s=0.01).inject(scene(installation))
        finally:
            installation.kill_all()
        assert all(counted.result(30) for counted in counts)
