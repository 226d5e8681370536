"""Scenarios of the user's own, and the table of Guarita's."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from guarita.drill.faults import FAULTS
from guarita.drill.faults.links import Isolate
from guarita.drill.faults.stops import Kill
from guarita.drill.own import read_own
from guarita.drill.scenarios import MANY, SCENARIOS, SHORT, in_turns, named, why_not_in_turns
from guarita.errors import ConfigError

GOOD = """
scenarios:
  - id: replica-away
    title: a replica is cut off, and then the primary is killed
    faults:
      - isolate: {some: [replica 1], others: [primary, sentinels], for_s: 5}
      - kill:
    pause_at_most_s: 6
    failed_at_most: 0
"""


def read(directory: Path, text: str) -> list:
    path = directory / "own.yaml"
    path.write_text(text)
    return read_own(path)


def test_a_scenario_of_the_users_own_is_one_like_any_other(tmp_path: Path) -> None:
    [own] = read(tmp_path, GOOD)
    assert own.faults == (
        Isolate(some=("replica 1",), others=("primary", "sentinels"), for_s=5.0),
        Kill(),
    )
    assert (own.pause_s, own.failed, own.control) == (6.0, 0, None)


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    text = """
scenarios:
  - id: D2
    title: mine
    faults:
      - kil: {who: primary}
      - kill: {whom: primary}
      - pause: {for_s: long}
      - kill: {}
        pause: {}
"""
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, text)
    told = "\n".join(raised.value.problems)
    for words in (
        "this id is taken",
        "fault 1: must be one of kill,",
        "fault 2, kill: whom",
        "fault 3, pause: for_s",
        "fault 4: must be one of",
    ):
        assert words in told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("scenarios: [", "own.yaml"),
        ("scenario: []", "scenarios: Field required"),
        ("scenarios: []", "scenarios: Tuple should have at least 1 item"),
        ("scenarios: [{id: x, title: y, faults: []}]", "faults"),
    ],
)
def test_a_file_of_another_shape_is_told_so(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read(tmp_path, text)


def test_two_scenarios_of_one_id_and_one_that_is_taken_are_named(tmp_path: Path) -> None:
    one = "{id: %s, title: y, faults: [kill: ]}"
    text = f"scenarios: [{', '.join(one % id for id in ('x', 'installation', 'x'))}]"
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, text)
    told = "\n".join(raised.value.problems)
    assert "x is the id of 2 scenarios" in told
    assert "installation: this id is taken" in told


@pytest.mark.parametrize(
    "fault",
    [
        "isolate: {some: []}",
        "command: {run: []}",
        "kill-several: {who: []}",
        "lose-answers: {share: 5}",
        "lossy-network: {loss_percent: -3}",
        "lossy-network: {delay_ms: -1}",
        "pause-until: {event: +switch-mister}",
    ],
)
def test_what_a_fault_cannot_be_told_is_named(tmp_path: Path, fault: str) -> None:
    with pytest.raises(ConfigError, match="x: fault 1, "):
        read(tmp_path, f"scenarios: [{{id: x, title: y, faults: [{fault}]}}]")


@pytest.mark.parametrize("parameter", ["for_s: -1", "unwritten_s: -0.5", "for_s: .nan"])
def test_a_time_that_there_cannot_be_is_named(tmp_path: Path, parameter: str) -> None:
    name, _, _ = parameter.partition(":")
    text = f"scenarios: [{{id: x, title: y, faults: [{{kill: {{{parameter}}}}}]}}]"
    with pytest.raises(ConfigError, match=f"x: fault 1, kill: {name}: Input should be "):
        read(tmp_path, text)


def test_every_fault_has_words_and_can_be_made_with_nothing_given() -> None:
    for name, fault in FAULTS.items():
        assert fault.name == name
        assert fault.__doc__
        fault()


def test_the_table_names_every_scenario_from_1_to_30_and_why_one_is_not_played() -> None:
    ids = {f"D{n}" for n in range(1, 31)}
    for id in ids:
        assert named(id), id
    for each in SCENARIOS.values():
        assert bool(each.faults) != bool(each.not_here), each.id
        assert all(type(fault) in FAULTS.values() for fault in each.faults)


def test_many_faults_are_of_each_scenario_as_often_and_the_same_for_the_same_seed() -> None:
    scenarios = [each for word in MANY for each in named(word)]
    assert all(why_not_in_turns(each) is None for each in scenarios)
    many = in_turns(scenarios, 3 * len(MANY) + 1, seed=7)
    counts = Counter(each.id for each in many.turns)
    assert set(counts.values()) <= {3, 4}
    assert many.turns == in_turns(scenarios, 3 * len(MANY) + 1, seed=7).turns
    assert many.turns != in_turns(scenarios, 3 * len(MANY) + 1, seed=8).turns
    assert many.failed == 0
    assert in_turns([SCENARIOS["D2"], SCENARIOS["D5a"]], 2, seed=7).failed is None


def test_the_short_set_is_of_scenarios_that_there_are_and_two_controls() -> None:
    found = [each for word in SHORT for each in named(word)]
    assert sum(each.control is not None for each in found) == 2
    assert not any(each.not_here for each in found)
