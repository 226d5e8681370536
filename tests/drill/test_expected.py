"""What a fault must have led to: each is missed where it did not happen."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from guarita.drill.expected import Expected
from guarita.drill.faults.base import Scene
from guarita.drill.history import Measured, Role, Sample
from guarita.drill.sampler import BothWritable
from guarita.drill.scenarios import SCENARIOS

BEGAN_US = 5_000_000


def measured_after(name: str, change: Any = None) -> float:
    """What is measured of this name where the change was all that happened."""
    written: list[Measured] = []
    sampler = SimpleNamespace(
        was_primary={"node-1": BEGAN_US + 1, "node-2": BEGAN_US - 1},
        was_loading={"node-1": BEGAN_US - 1},
        both_writable=BothWritable(),
    )
    scene: Any = Scene(
        SimpleNamespace(replicas=lambda: ("node-2", "node-3")),  # type: ignore[arg-type]
        SimpleNamespace(unclear_failures=3, lost_answers=2),  # type: ignore[arg-type]
        sampler,  # type: ignore[arg-type]
        SimpleNamespace(now_us=BEGAN_US),  # type: ignore[arg-type]
        SimpleNamespace(write=written.append),  # type: ignore[arg-type]
        bounds={name: 0},
    )
    expected = Expected(scene)
    if change:
        change(scene)
    expected.measure()
    (told,) = written
    assert (told.name, told.at_most) == (name, 0)
    return told.value


def a_replica_became_primary(scene: Any) -> None:
    scene.sampler.was_primary["node-3"] = BEGAN_US + 1


def the_old_primary_stayed(scene: Any) -> None:
    scene.sampler.was_primary["node-1"] = BEGAN_US + 9


def one_loaded_its_data(scene: Any) -> None:
    scene.sampler.was_loading["node-1"] = BEGAN_US + 1


def an_answer_was_lost(scene: Any) -> None:
    scene.load.lost_answers += 1


def one_failed_without_a_word(scene: Any) -> None:
    scene.load.unclear_failures += 1


@pytest.mark.parametrize(
    ("name", "change", "value"),
    [
        ("not_switched", None, 1),
        ("not_switched", the_old_primary_stayed, 1),
        ("not_switched", a_replica_became_primary, 0),
        ("never_loading", None, 1),
        ("never_loading", one_loaded_its_data, 0),
        ("no_answer_lost", None, 1),
        ("no_answer_lost", an_answer_was_lost, 0),
        ("unclear", None, 0),
        ("unclear", one_failed_without_a_word, 1),
    ],
)
def test_what_was_to_happen_is_missed_where_it_did_not(name: str, change: Any, value: int) -> None:
    assert measured_after(name, change) == value


def said(node: str, at_us: int, *, writable: bool) -> Sample:
    return Sample(at_us, node, Role.PRIMARY, writable=writable)


def test_two_take_writes_at_once_only_where_both_said_so_before_and_after() -> None:
    both = BothWritable()
    for at_us in (0, 200, 400):
        both.note(said("a", at_us, writable=True), at_us + 10)
    both.note(said("b", 350, writable=True), 420)  # it may have become primary after 400
    assert both.longest_us == 0
    both.note(said("b", 550, writable=True), 560)  # and the other one is not asked any more
    assert both.longest_us == 0
    both.note(said("a", 600, writable=True), 610)
    assert both.longest_us == 550 - 420
    both.forget()
    both.note(said("a", 800, writable=False), 810)
    both.note(said("a", 1000, writable=True), 1010)
    both.note(said("b", 1100, writable=True), 1110)
    assert both.longest_us == 0  # nothing is known of the time between


@pytest.mark.parametrize(
    ("scenario", "figures"),
    [
        ("D1", {"not_handed_over", "two_writable_s"}),
        ("D4", {"not_switched", "rejoined_s"}),
        *((f"D5{part}", {"not_switched"}) for part in "abcd"),
        ("D18", {"not_switched"}),
        ("D20", {"not_switched", "never_loading"}),
        ("D21a", {"unclear"}),
        ("D21b", {"unclear"}),
        ("D22a", {"not_switched"}),
        ("D22b", {"well_s"}),
        ("D24", {"not_switched", "no_tilt"}),
        ("D25", {"no_packet_lost"}),
        ("D26", {"no_answer_lost", "no_hang_up"}),
    ],
)
def test_a_scenario_depends_on_what_its_fault_must_lead_to(
    scenario: str, figures: set[str]
) -> None:
    assert figures <= set(SCENARIOS[scenario].at_most)


@pytest.mark.parametrize("scenario", ["D5a", "D5b", "D5c", "D5d", "D18", "D22a", "D24"])
def test_how_long_callers_are_refused_has_a_bound(scenario: str) -> None:
    assert SCENARIOS[scenario].pause_s is not None
