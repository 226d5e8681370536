"""Faults of the file as a file: each is named with its place, and none of its values is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from guarita.config import load
from guarita.errors import ConfigError


def problems_of(text: str | bytes, tmp_path: Path) -> list[str]:
    file = tmp_path / "g.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load(file, {}, tmp_path)
    return [problem.replace(str(file), "g.yaml") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("store: [1\n", "g.yaml:2:1: expected ',' or ']', but got '<stream end>'"),
        ("store:\n\tdeadline_s: 1\n", "g.yaml:2:1: found character '\\t' that cannot start"),
        ("a: 1\n---\nb: 2\n", "g.yaml:2:1: but found another document"),
        ("logs: {level: *hunter2}\n", "g.yaml:1:15: put a value that begins with * in quotes"),
        ("logs: {level: !hunter2 x}\n", "g.yaml:1:15: put a value that begins with ! in quotes"),
        ("logs: &a {level: *a}\n", "g.yaml:1:7: a mapping must not hold itself"),
        ("logs: {}\nregion: {name: \x00}\n", "g.yaml:2: a control character"),
        ("store: {deadline_s: !!int hunter2}\n", "g.yaml: holds a value that YAML cannot"),
        ("store: " + "[" * 5000 + "\n", "g.yaml: holds a value that YAML cannot"),
        (b"logs: {}\nregion: {name: \xff}\n", "g.yaml:2: not UTF-8 text"),
        ("", "g.yaml: sets nothing"),
        ("# only a comment\n", "g.yaml: sets nothing"),
        ("- a\n", "g.yaml: must be a mapping of sections"),
        ("hunter2\n", "g.yaml: must be a mapping of sections"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_with_its_place(
    text: str | bytes, problem: str, tmp_path: Path
) -> None:
    (found,) = problems_of(text, tmp_path)
    assert found.startswith(problem)
    assert "hunter2" not in found


def test_keys_that_come_twice_or_are_no_text_are_named_beside_other_mistakes(
    tmp_path: Path,
) -> None:
    text = "store:\n  deadline_s: 1\n  deadline_s: 2\n  true: 1\nlogs: {level: loud}\nlogs: {}\n"
    assert problems_of(text, tmp_path) == [
        "g.yaml:6:1: logs comes twice, first in line 5",
        "g.yaml:3:3: deadline_s comes twice, first in line 2",
        "g.yaml:4:3: a name must be text: put it in quotes",
        "logs.level: loud: not one of debug, info, warning, error, critical",
    ]


def test_anchors_and_merges_work(tmp_path: Path) -> None:
    file = tmp_path / "g.yaml"
    file.write_text(
        "store:\n"
        "  sentinel: {tls: &tls {enabled: true}}\n"
        "  data: {tls: {<<: *tls, verify_names: true}}\n"
    )
    assert load(file, {}, tmp_path).store.data.tls.enabled


def test_what_looks_like_a_date_is_text(tmp_path: Path) -> None:
    file = tmp_path / "g.yaml"
    file.write_text("region: {name: 2026-99-99}\n")
    assert load(file, {}, tmp_path).region.name == "2026-99-99"


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    file = tmp_path / "g.yaml"
    file.write_text("\ufeffregion: {name: eu}\n", "utf-8")
    assert load(file, {}, tmp_path).region.name == "eu"


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    for path, why in [
        (tmp_path / "none.yaml", "no such file"),
        (tmp_path, "is a directory, not a file"),
    ]:
        with pytest.raises(ConfigError) as caught:
            load(path, {}, tmp_path)
        assert caught.value.problems == [f"{path}: {why}"]


def test_a_lost_file_hides_no_mistake_in_variables_and_invents_none(tmp_path: Path) -> None:
    environ = {"GUARITA_SERVER__BIND": "0.0.0.0:8000", "GUARITA_STORE__DEADLINE_S": "x"}
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "none.yaml", environ, tmp_path)
    assert caught.value.problems == [
        f"{tmp_path / 'none.yaml'}: no such file",
        "store.deadline_s (from GUARITA_STORE__DEADLINE_S): x: not a number",
    ]
