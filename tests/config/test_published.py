"""What is published about settings is true: examples load, schema and reference are current."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from guarita.cli.config import with_reference
from guarita.config import Settings, load
from guarita.config.describe import json_schema, visible

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "deploy" / "config" / "guarita.schema.json"
PAGE = ROOT / "docs" / "configuration.md"
EXAMPLES = sorted((ROOT / "deploy" / "config").glob("*.yaml"))


def switched_on(text: str) -> str:
    """The example with the lines in force that begin with `#:`."""
    return text.replace("#:", "")


def files_named_in(settings: Any) -> list[str]:
    if not isinstance(settings, dict):
        return []
    named = [value for key, value in settings.items() if key.endswith("_file") and value]
    return named + [name for inner in settings.values() for name in files_named_in(inner)]


def test_there_is_an_example_for_each_way_to_run() -> None:
    stems = {"cluster", "memory", "node", "regions", "sentinel", "sentinel-tls", "standalone"}
    assert {example.stem for example in EXAMPLES} == stems


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_loads_as_it_is(example: Path, tmp_path: Path) -> None:
    load(example, {}, tmp_path)
    text = example.read_text("utf-8")
    assert text.startswith("# yaml-language-server: $schema=guarita.schema.json\n")
    jsonschema.validate(yaml.safe_load(text), json.loads(SCHEMA.read_text("utf-8")))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_loads_with_all_its_settings_switched_on(example: Path, tmp_path: Path) -> None:
    text = switched_on(example.read_text("utf-8"))
    for name in files_named_in(yaml.safe_load(text)):
        text = text.replace(f" {name}", f" {name.lstrip('/')}")  # no file of this machine
    data = yaml.safe_load(text)
    for name in files_named_in(data):
        assert not Path(name).is_absolute()
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("0123456789abcdef" * 2 + "\n")
    file = tmp_path / example.name
    file.write_text(text, "utf-8")
    load(file, {}, tmp_path)
    jsonschema.validate(data, json.loads(SCHEMA.read_text("utf-8")))


@pytest.mark.parametrize("wrong", [{"store": {"deadline_s": 0}}, {"sessions": {"cache_age_s": 61}}])
def test_the_schema_knows_the_limits_of_seconds(wrong: dict[str, object]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, json.loads(SCHEMA.read_text("utf-8")))


def test_the_schema_is_current() -> None:
    assert SCHEMA.read_text("utf-8") == json_schema(), (
        "run: guarita config schema > deploy/config/guarita.schema.json"
    )


def test_the_schema_is_a_schema_and_takes_the_defaults() -> None:
    schema = json.loads(json_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(visible(Settings()), schema)


def test_the_reference_is_current() -> None:
    page = PAGE.read_text("utf-8")
    assert page == with_reference(page), "run: guarita config reference docs/configuration.md"


def test_every_setting_is_described() -> None:
    lines = with_reference(PAGE.read_text("utf-8")).partition("## All settings")[2].splitlines()
    rows = [line.split("|") for line in lines if line.startswith("| `")]
    assert all(len(cells) == 6 for cells in rows), "a row must be one line"
    described = [cells[3].strip() for cells in rows]
    assert len(described) > 50
    assert all(described)
