"""Puts the file and the variables together, and remembers where each value came from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from guarita.config.document import read_document
from guarita.config.environment import assignments, read_variables
from guarita.config.names import FILE_VARIABLE
from guarita.config.problems import Location, sentence
from guarita.config.settings import Settings
from guarita.errors import ConfigError

_INSTEAD = {
    "password": "password_file",
    "password_file": "password",
    "secret": "secret_file",
    "secret_file": "secret",
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and the source (file or variable) of each that is not a default."""

    settings: Settings
    origins: Mapping[Location, str]


def load(
    path: Path | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Settings:
    """The settings from the file (else the one that GUARITA_CONFIG names) and the variables.

    `environ` and `cwd` are the process's own unless given; `.env` and relative paths are
    looked up in `cwd`. Raises `ConfigError` with every mistake.
    """
    return load_with_origins(path, environ, cwd).settings


def load_with_origins(
    path: Path | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Loaded:
    """As `load`, and where each value came from."""
    cwd = Path.cwd() if cwd is None else cwd
    variables, problems = read_variables(os.environ if environ is None else environ, cwd)
    if path is None and FILE_VARIABLE in variables:
        path = Path(variables[FILE_VARIABLE].text)
    data: dict[str, Any] = {}
    file_problems: list[str] = []
    if path is not None:
        data, file_problems = read_document(cwd / path.expanduser())
    is_file_lost = bool(file_problems) and not data
    found, variable_problems = assignments(variables)
    sources: dict[Location, str] = {}
    for assignment in found:
        data = _merged(data, assignment.data)
        sources |= dict.fromkeys(_leaves(assignment.data), str(assignment.variable))
    problems += [*file_problems, *variable_problems]
    settings, mistakes = _validated(data, cwd, sources, is_file_lost=is_file_lost)
    if settings is None or problems:
        raise ConfigError(problems + mistakes)
    return Loaded(settings, {leaf: sources.get(leaf, str(path)) for leaf in _leaves(data)})


def _validated(
    data: dict[str, Any], cwd: Path, sources: Mapping[Location, str], *, is_file_lost: bool
) -> tuple[Settings | None, list[str]]:
    try:
        return Settings.model_validate(data, context={"cwd": cwd}), []
    except ValidationError as exc:
        errors = exc.errors(include_url=False)
    # What a rule misses may be in the file that could not be read.
    return None, [sentence(e, sources) for e in errors if not (is_file_lost and _is_gap(e))]


def _is_gap(error: ErrorDetails) -> bool:
    return error["type"] == "rule" and error["input"] is None


def _merged(base: Any, over: Any) -> Any:
    """`over` on top of `base`; a `base` that should have been a mapping stays, to be reported."""
    if not isinstance(over, dict):
        return over
    if base is None:
        base = {}
    if not isinstance(base, dict):
        return base
    replaced = {_INSTEAD[key] for key in over if key in _INSTEAD}
    kept = {key: value for key, value in base.items() if key not in replaced}
    return {**kept, **{key: _merged(base.get(key), value) for key, value in over.items()}}


def _leaves(data: dict[str, Any], above: Location = ()) -> Iterator[Location]:
    for key, value in data.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key)
