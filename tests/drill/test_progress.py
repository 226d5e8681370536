"""How long a series may still take, as it is told meanwhile."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from rich.console import Console

from guarita.cli.drill import series
from guarita.cli.drill.series import Progress


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """The seconds that have passed, to be set."""
    now_s = [0.0]
    monkeypatch.setattr(series, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    return now_s


def progress(drills: int, each_s: float) -> Progress:
    return Progress(Console(stderr=True, force_terminal=False), drills, each_s)


def test_before_anything_is_over_a_guess_is_told(clock, capsys):
    told = progress(1, 600)
    clock[0] = 60.0
    told.say("load")
    assert capsys.readouterr().err == "load; about 9 min 0 s left\n"


def test_a_drill_of_many_faults_is_judged_by_the_pace_of_those_that_are_over(clock, capsys):
    told = progress(1, 3000)
    clock[0] = 2000.0
    told.say("fault 101/300: kill", share=100 / 300)
    assert capsys.readouterr().err == "fault 101/300: kill; about 66 min 40 s left\n"


def test_of_several_drills_those_that_are_over_tell_the_pace(clock, capsys):
    told = progress(4, 45)
    told.has_ended()
    clock[0] = 90.0
    told.say("load")
    assert capsys.readouterr().err == "load; about 4 min 30 s left\n"
