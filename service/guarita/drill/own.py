"""Scenarios of the user's own, from a YAML file. Every mistake is named at once, with its place."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, TypeAdapter, ValidationError

from guarita.config.document import read_document
from guarita.drill.faults import FAULTS
from guarita.drill.faults.base import Fault
from guarita.drill.scenarios import SCENARIOS, Scenario
from guarita.drill.targets.base import Shape
from guarita.errors import ConfigError

KEPT_IDS = ("many", "installation")  # of directories that are not a scenario's

Durabilities: TypeAlias = Annotated[tuple[Literal["balanced", "strict"], ...], Field(min_length=1)]


class Own(BaseModel):
    """One scenario, as it is written."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: Annotated[str, Field(pattern="^[A-Za-z][A-Za-z0-9-]{0,31}$")]
    title: Annotated[str, Field(min_length=1)]
    must_hold: str = "nothing lost, nothing double"
    faults: Annotated[tuple[dict[str, Any], ...], Field(min_length=1)]
    pause_at_most_s: float | None = Field(None, gt=0)
    failed_at_most: NonNegativeInt | None = None
    durabilities: Durabilities = ("balanced", "strict")
    sentinels: Literal[3, 5] = 3


class File(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scenarios: Annotated[tuple[Own, ...], Field(min_length=1)]


def read_own(path: Path) -> list[Scenario]:
    """Raises `ConfigError` with a sentence for each mistake."""
    document, problems = read_document(path)
    if problems:
        raise ConfigError(problems)
    try:
        file = File.model_validate(document)
    except ValidationError as exc:
        raise ConfigError([f"{path}: {each}" for each in _words(exc)]) from exc
    found = [_scenario(each, path, problems) for each in file.scenarios]
    counts = Counter(each.id for each in file.scenarios)
    problems += [f"{path}: {id} is the id of {n} scenarios" for id, n in counts.items() if n > 1]
    if problems:
        raise ConfigError(problems)
    return found


def _scenario(own: Own, path: Path, problems: list[str]) -> Scenario:
    where = f"{path}: {own.id}"
    if own.id in SCENARIOS or own.id in KEPT_IDS:
        problems.append(f"{where}: this id is taken by Guarita")
    faults = [_fault(each, f"{where}: fault {n}", problems) for n, each in enumerate(own.faults, 1)]
    return Scenario(
        own.id,
        own.title,
        own.must_hold,
        tuple(each for each in faults if each),
        pause_s=own.pause_at_most_s,
        failed=own.failed_at_most,
        durabilities=own.durabilities,
        shape=Shape(sentinels=own.sentinels),
        fresh=own.sentinels != Shape().sentinels,
    )


def _fault(written: dict[str, Any], where: str, problems: list[str]) -> Fault | None:
    """`kill: {who: primary, for_s: 3}`, or `kill:` with nothing under it."""
    name, parameters = next(iter(written.items())) if len(written) == 1 else ("", None)
    kind = FAULTS.get(name)
    if kind is None:
        problems.append(
            f"{where}: must be one of {', '.join(FAULTS)}, with its parameters under it"
        )
        return None
    try:
        fault: Fault = TypeAdapter(kind).validate_python(parameters or {})
    except ValidationError as exc:
        problems.extend(f"{where}, {name}: {each}" for each in _words(exc))
        return None
    return fault


def _words(error: ValidationError) -> list[str]:
    found = [(".".join(map(str, each["loc"])), each["msg"]) for each in error.errors()]
    return [f"{where}: {message}" if where else message for where, message in found]
