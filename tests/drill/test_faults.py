"""Which node a word of a scenario means, and which scenarios a word of the command means."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from guarita.drill.faults.base import Scene
from guarita.drill.scenarios import SCENARIOS, named
from guarita.errors import TopologyError


def scene() -> Scene:
    target: Any = SimpleNamespace(
        primary=lambda: "node-2",
        replicas=lambda: ("node-1", "node-3"),
        sentinels=("sentinel-1", "sentinel-2"),
    )
    nobody: Any = None
    return Scene(target, nobody, nobody, nobody, nobody)


@pytest.mark.parametrize(
    ("word", "node"),
    [
        ("primary", "node-2"),
        ("replica", "node-1"),
        ("replica 2", "node-3"),
        ("sentinel 2", "sentinel-2"),
        ("node-3", "node-3"),
    ],
)
def test_a_word_means_the_node_that_has_this_part_now(word: str, node: str) -> None:
    assert scene().who(word) == node


@pytest.mark.parametrize("word", ["replica 3", "replica 0", "replica x", "sentinel 3"])
def test_a_node_that_is_not_there_is_named(word: str) -> None:
    with pytest.raises(TopologyError, match=f"there is no {word}: of these there are 2 now"):
        scene().who(word)


def test_a_word_without_its_letter_means_all_of_its_kind_and_nothing_else() -> None:
    assert [each.id for each in named("D5")] == ["D5a", "D5b", "D5c", "D5d"]
    assert named("D2") == [SCENARIOS["D2"]]
    for word in ("D", "N", "D99", ""):
        assert named(word) == []
