"""The name of every setting, as a path and as a variable; the model is the only list of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from guarita.config.settings import Settings
from guarita.config.store import Section

PREFIX = "GUARITA_"
FILE_VARIABLE = "GUARITA_CONFIG"


@dataclass(frozen=True, slots=True)
class Name:
    """One setting or section: `*` stands for a name, `[]` for a place in a list."""

    path: tuple[str, ...]
    field: FieldInfo
    section: type[Section] | None  # what lies in it, where it is a section
    inside: tuple[str, ...]  # the path above the names that lie in it

    def __str__(self) -> str:
        return ".".join(self.path).replace(".[]", "[]")

    @property
    def variable(self) -> str | None:
        """The variable that sets it; None for what lies in a list."""
        return None if "[]" in self.path else PREFIX + "__".join(self.path).upper()


def all_names() -> Iterator[Name]:
    """Every section and every setting, in the order of the model."""
    return _names(Settings, ())


def _names(section: type[Section], above: tuple[str, ...]) -> Iterator[Name]:
    for name, field in section.model_fields.items():
        path = (*above, name)
        inner, step = _inner_section(field.annotation)
        yield Name(path, field, inner, (*path, *step))
        if inner is not None:
            yield from _names(inner, (*path, *step))


def _inner_section(annotation: Any) -> tuple[type[Section] | None, tuple[str, ...]]:
    origin, args = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation, ()
    if origin is dict and issubclass(args[1], Section):
        return args[1], ("*",)
    if origin is tuple and isinstance(args[0], type) and issubclass(args[0], Section):
        return args[0], ("[]",)
    return None, ()
