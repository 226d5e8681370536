"""Puts a mistake in one sentence: path, where it came from, value, what is wrong, what to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic_core import ErrorDetails

from guarita.config.environment import NotJson
from guarita.config.names import all_names

Location = tuple[int | str, ...]
HIDDEN = "***"
_SECRET = {"password", "secret", "key_sha256"}
_SECRET_FILE = {"password_file", "secret_file"}
_LONGEST_VALUE = 100

_NOT_A_SECTION = "must be a mapping of settings"
_NOT_A_LIST = "must be a list"
_NOT_TEXT = "must be text: put it in quotes"
_NOT_WHOLE = "not a whole number"
_NOT_A_NUMBER = "not a number"
_NOT_TRUE_OR_FALSE = "not true or false"

_SENTENCES: dict[str, str | Callable[[dict[str, Any]], str]] = {
    "missing": "is needed here",
    "model_type": _NOT_A_SECTION,
    "dict_type": _NOT_A_SECTION,
    "tuple_type": _NOT_A_LIST,
    "string_type": _NOT_TEXT,
    "path_type": _NOT_TEXT,
    "int_type": _NOT_WHOLE,
    "int_parsing": _NOT_WHOLE,
    "int_from_float": _NOT_WHOLE,
    "int_parsing_size": "too large a number",
    "float_type": _NOT_A_NUMBER,
    "float_parsing": _NOT_A_NUMBER,
    "finite_number": "not a finite number",
    "bool_type": _NOT_TRUE_OR_FALSE,
    "bool_parsing": _NOT_TRUE_OR_FALSE,
    "greater_than": lambda ctx: f"must be more than {ctx['gt']:g}",
    "greater_than_equal": lambda ctx: f"must be at least {ctx['ge']}",
    "less_than_equal": lambda ctx: f"must be at most {ctx['le']:g}",
    "string_too_short": "must not be empty",
    "too_long": lambda ctx: f"at most {ctx['max_length']} can be given",
    "value_error": lambda ctx: str(ctx["error"]),
}


def sentence(error: ErrorDetails, sources: Mapping[Location, str]) -> str:
    """One mistake as `path (from VARIABLE): value: what is wrong`.

    `sources` names the variable of each value that came from one.
    """
    path = tuple(step for step in error["loc"] if step != "[key]")
    source = _source(path, sources)
    parts = [f"{dotted(path)} (from {source})" if source else dotted(path)]
    if error["type"] == "extra_forbidden":
        return f"{parts[0]}: unknown setting{_suggestion(path)}"
    value = _shown(path, error["input"], error["type"])
    if value is not None:
        parts.append(value)
    return ": ".join([*parts, _what_is_wrong(error, path)])


def dotted(path: Location) -> str:
    """`store.sentinel.nodes[1]`."""
    text = "".join(f"[{step}]" if _is_index(step) else f".{step}" for step in path)
    return text.removeprefix(".") or "the configuration"


def _is_index(step: int | str) -> bool:
    return isinstance(step, int) or step.isdecimal()


def _source(path: Location, sources: Mapping[Location, str]) -> str | None:
    for length in range(len(path), 0, -1):
        if path[:length] in sources:
            return sources[path[:length]]
    return None


def _what_is_wrong(error: ErrorDetails, path: Location) -> str:
    kind, ctx = error["type"], error.get("ctx", {})
    if isinstance(error["input"], NotJson):
        return "not JSON, which this variable needs"
    if kind in ("literal_error", "enum"):
        return _not_one_of(error["input"], ctx["expected"], path)
    if kind == "too_short" and path[-1] == "key_sha256":
        return "needs one SHA-256 in hex, or two"
    if kind == "too_short":
        return _too_short(ctx["actual_length"], ctx["min_length"])
    known = _SENTENCES.get(kind, error["msg"])
    return known if isinstance(known, str) else known(ctx)


def _too_short(length: int, least: int) -> str:
    return "must not be empty" if least == 1 else f"{length} characters, needs at least {least}"


def _not_one_of(value: object, expected: str, path: Location) -> str:
    if path == ("security", "profile") and value == "strict":
        return "not available in this version: write compatible"
    choices = expected.replace("'", "").replace(" or ", ", ").split(", ")
    if len(choices) == 1:
        return f"must be {choices[0]}"
    close = get_close_matches(str(value).lower(), choices, 1)
    hint = f", did you mean {close[0]}?" if close else ""
    return f"not one of {', '.join(choices)}{hint}"


def _suggestion(path: Location) -> str:
    """A sister of that name, else a setting of that name elsewhere; never the value."""
    pattern = tuple("[]" if _is_index(step) else str(step) for step in path)
    above, wrong = pattern[:-1], pattern[-1]
    sisters = [name.path[-1] for name in all_names() if _fits(name.path[:-1], above)]
    close = get_close_matches(wrong, sisters, 1)
    if close:
        return f", did you mean {close[0]}?"
    elsewhere = [str(name) for name in all_names() if name.path[-1] == wrong]
    if elsewhere:
        return f", did you mean {elsewhere[0]}?"
    return f", known here: {', '.join(sisters)}" if sisters else ""


def _fits(known: tuple[str, ...], given: tuple[str, ...]) -> bool:
    return len(known) == len(given) and all(
        k in ("*", g) for k, g in zip(known, given, strict=True)
    )


def _shown(path: Location, value: object, kind: str) -> str | None:
    """The value as it may be shown, None if there is nothing to show."""
    if kind == "missing" or (kind == "rule" and value is None):
        return None
    if isinstance(value, SecretStr) or not _SECRET.isdisjoint(map(str, path)):
        return HIDDEN
    if kind in ("model_type", "dict_type") or isinstance(value, dict | list | tuple | NotJson):
        return None  # may hold a secret, whatever it was meant to be
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if str(path[-1]) in _SECRET_FILE and "/" not in str(value):
        return HIDDEN  # perhaps the secret itself, in the wrong place
    if isinstance(value, Enum | Path):
        value = str(value)
    return _shown_text(value) if isinstance(value, str) else str(value)


def _shown_text(text: str) -> str:
    """A password in an address such as redis://user:password@host is not for the eye."""
    before, at, after = text.rpartition("@")
    if at:
        scheme, slashes, _ = before.rpartition("://")
        text = f"{scheme}{slashes}{HIDDEN}@{after}"
    if len(text) > _LONGEST_VALUE:
        text = text[:_LONGEST_VALUE] + "..."
    return text if text and text.isprintable() else json.dumps(text)
