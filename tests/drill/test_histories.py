"""Histories of drills that once failed are judged as they were, for ever.

A file's name begins with what it must come out as; `histories/README.md` tells where each is from.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from guarita.drill.check import check
from guarita.drill.lines import read

FILES = sorted((Path(__file__).parent / "histories").glob("*.jsonl"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_kept_history_is_judged_as_ever(path: Path) -> None:
    verdict, _, kind = path.stem.partition("-")
    judgement = check(read(path))
    assert judgement.verdict == verdict
    if judgement.anomalies:
        assert any(kind.startswith(each.kind.replace(" ", "-")) for each in judgement.anomalies)
    else:
        assert kind.startswith("bound-missed") == bool(judgement.missed)


def test_histories_are_kept() -> None:
    assert FILES
