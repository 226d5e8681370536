"""Settings from variables: `GUARITA_...`, the published `REDIS_...` and others, and `.env`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from dotenv.parser import parse_stream

from guarita.config.names import FILE_VARIABLE, PREFIX, all_names
from guarita.config.values import reason_of

PUBLISHED = {
    "REDIS_HOST": ("store", "standalone", "host"),
    "REDIS_PORT": ("store", "standalone", "port"),
    "REDIS_DB": ("store", "data", "db"),
    "REDIS_PASSWORD": ("store", "data", "password"),
    "DEBUG": ("logs", "level"),
    "LOG_LEVEL": ("logs", "level"),
}
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}

# What Kubernetes sets in every pod for a Service named "guarita" or "redis":
# https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
_SERVICE_LINK_NAME = re.compile(
    r".*_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)|.*_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?"
)
_SERVICE_LINK_VALUE = re.compile(r"(tcp|udp|sctp)://\S+:\d+")


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable, and the file that it is in, if it is in one."""

    name: str
    text: str
    file: Path | None = None

    def __str__(self) -> str:
        return f"{self.name} in {self.file.name}" if self.file else self.name

    @property
    def is_service_link(self) -> bool:
        return bool(
            _SERVICE_LINK_NAME.fullmatch(self.name) or _SERVICE_LINK_VALUE.fullmatch(self.text)
        )


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one variable sets."""

    variable: Variable
    data: dict[str, Any] = field(repr=False)


def read_variables(environ: Mapping[str, str], cwd: Path) -> tuple[dict[str, Variable], list[str]]:
    """Our variables by name; the environment wins over `.env`. An empty one counts as not set."""
    variables, problems = _read_dotenv(cwd / ".env")
    variables |= {name: Variable(name, text) for name, text in environ.items() if text}
    ours = {
        name: variable
        for name, variable in variables.items()
        if (name.startswith(PREFIX) or name in PUBLISHED) and not variable.is_service_link
    }
    return ours, problems


def _read_dotenv(path: Path) -> tuple[dict[str, Variable], list[str]]:
    """Without the `${...}` of some readers of such files: a password stays what it is."""
    variables: dict[str, Variable] = {}
    problems = []
    try:
        with path.open(encoding="utf-8") as stream:
            for binding in parse_stream(stream):
                if binding.error:
                    problems.append(f"{path}:{binding.original.line}: not NAME=value")
                elif binding.key and binding.value:
                    variables[binding.key] = Variable(binding.key, binding.value, path)
    except FileNotFoundError:
        pass
    except OSError as exc:
        problems.append(f"{path}: {reason_of(exc)}")
    except UnicodeDecodeError:
        problems.append(f"{path}: not UTF-8 text")
    return variables, problems


class NotJson:
    """Stands for a value that could not be read, at the place where it was meant to be."""


def assignments(variables: Mapping[str, Variable]) -> tuple[list[Assignment], list[str]]:
    """What each variable sets, weakest first, and the names that set nothing."""
    found, problems = _published(variables)
    known = _Known()
    for name, variable in sorted(variables.items()):
        if not name.startswith(PREFIX) or name == FILE_VARIABLE:
            continue
        if not known.has(name):
            problems.append(f"{variable}: unknown variable{known.suggestion(name)}")
            continue
        try:
            data = _read(variable)
        except ValueError:
            data = _nested(tuple(name.removeprefix(PREFIX).lower().split("__")), NotJson())
        found.append(Assignment(variable, data))
    return found, problems


def _published(variables: Mapping[str, Variable]) -> tuple[list[Assignment], list[str]]:
    found, problems = [], []
    for name, path in PUBLISHED.items():
        if name not in variables:
            continue
        variable = variables[name]
        if name != "DEBUG":
            found.append(Assignment(variable, _nested(path, variable.text)))
        elif variable.text.lower() in _TRUE:
            found.append(Assignment(variable, _nested(path, "debug")))
        elif variable.text.lower() not in _FALSE:
            problems.append(f"{variable}: {variable.text}: not true or false")
    return found, problems


def _read(variable: Variable) -> dict[str, Any]:
    """Raises `ValueError` if its text cannot be read."""
    # Late: many commands read no such variable, and pydantic-settings takes a while to load.
    from guarita.config.source import Source

    return Source(variable.name, variable.text)()


def _nested(path: tuple[str, ...], value: object) -> dict[str, Any]:
    data = value
    for step in reversed(path):
        data = {step: data}
    return cast("dict[str, Any]", data)


class _Known:
    """The names that variables may have."""

    def __init__(self) -> None:
        names = [(name.variable, name) for name in all_names() if name.variable]
        self.exact = {variable for variable, name in names if "*" not in name.path}
        self.settings = [variable for variable, name in names if name.section is None]
        self.patterns = [
            re.compile(re.escape(variable).replace(r"\*", "[A-Z0-9]+"))
            for variable, name in names
            if "*" in name.path
        ]

    def has(self, name: str) -> bool:
        return name in self.exact or any(pattern.fullmatch(name) for pattern in self.patterns)

    def suggestion(self, name: str) -> str:
        """A setting of a like name in the same section; where there is none, any like name."""
        section, _, last = name.upper().rpartition("__")
        if section in self.exact:
            near = {
                n.rpartition("__")[2]: n for n in self.exact if n.rpartition("__")[0] == section
            }
            close = [near[match] for match in get_close_matches(last, near, 1)]
        else:
            close = get_close_matches(name.upper(), [*self.settings, FILE_VARIABLE], 1, cutoff=0.8)
        return f", did you mean {close[0]}?" if close else ""
