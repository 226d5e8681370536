"""Shows settings: effective values with secrets hidden, the JSON Schema, the reference table."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator
from enum import Enum
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import PydanticUndefined
from pydantic_core.core_schema import ModelSchema

from guarita.config.addresses import Address
from guarita.config.names import Name, all_names
from guarita.config.problems import HIDDEN
from guarita.config.settings import Settings

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def visible(value: Any) -> Any:
    """Settings as plain values for YAML and JSON, each secret as `***`."""
    match value:
        case SecretStr():
            return HIDDEN
        case BaseModel():
            fields = type(value).model_fields
            return {name: visible(getattr(value, name)) for name in fields}
        case dict():
            return {key: visible(inner) for key, inner in value.items()}
        case list() | tuple():
            return [visible(inner) for inner in value]
        case Enum():
            return value.value
        case Path() | Address():
            return str(value)
    return value


def visible_at(settings: Settings, path: tuple[int | str, ...]) -> Any:
    """The one visible value at a path of names."""
    value = visible(settings)
    for step in path:
        value = value[step]
    return value


def json_schema() -> str:
    """The schema of the configuration file, for editors."""
    described = Settings.model_json_schema(schema_generator=_Described)
    schema = {"$schema": SCHEMA_DIALECT, **described}
    schema["title"] = "Guarita configuration"
    return json.dumps(schema, indent=2) + "\n"


class _Described(GenerateJsonSchema):
    """Each property with its docstring."""

    def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        for name, words in _docstrings(schema["cls"]).items():
            made["properties"][name]["description"] = words
        return made


def _docstrings(section: type[BaseModel]) -> dict[str, str]:
    """What stands under each field.

    pydantic does the same with `use_attribute_docstrings`, but in every command that starts, where
    reading the sources takes a tenth of the time.
    """
    found: dict[str, str] = {}
    for each in reversed(section.__mro__):
        if not issubclass(each, BaseModel) or each is BaseModel:
            continue
        lines = ast.walk(ast.parse(textwrap.dedent(inspect.getsource(each))))
        body = next(node.body for node in lines if isinstance(node, ast.ClassDef))
        for pair in pairwise(body):
            match pair:
                case (
                    ast.AnnAssign(target=ast.Name(name)),
                    ast.Expr(value=ast.Constant(value=str(words))),
                ):
                    found[name] = inspect.cleandoc(words)
    return found


def reference() -> str:
    """Every setting in Markdown: a heading and a table for each section."""
    return "\n".join(_reference_lines()).strip() + "\n"


def _reference_lines() -> Iterator[str]:
    names = list(all_names())
    for name in names:
        settings = [n for n in names if n.section is None and n.path[:-1] == name.inside]
        if name.section is None or not settings:
            continue
        yield f"### `{'.'.join(name.inside).replace('.[]', '[]')}`\n"
        yield f"{(name.section.__doc__ or '').strip()}\n"
        yield "| Setting | Default | Meaning | Variable |"
        yield "|---|---|---|---|"
        words = _docstrings(name.section)
        yield from (_row(setting, words.get(setting.path[-1], "")) for setting in settings)
        yield ""


def _row(name: Name, words: str) -> str:
    meaning = " ".join(f"{words} {_kind(name)}".split())
    variable = f"`{name.variable}`" if name.variable and "*" not in name.variable else ""
    return f"| `{name.path[-1]}` | {_default(name)} | {meaning} | {variable} |"


def _default(name: Name) -> str:
    default = name.field.get_default(call_default_factory=True)
    if default is PydanticUndefined:
        return "needed"
    if default is None or default == "":
        return ""
    return f"`{json.dumps(visible(default))}`".replace('`"', "`").replace('"`', "`")


def _kind(name: Name) -> str:
    """What the words do not say: the choices."""
    annotation = name.field.annotation
    if get_origin(annotation) is UnionType:
        annotation = get_args(annotation)[0]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        choices = [member.value for member in annotation]
    elif str(get_origin(annotation)) == "typing.Literal":
        choices = list(get_args(annotation))
    else:
        return ""
    return f"One of {', '.join(f'`{choice}`' for choice in choices)}." if len(choices) > 1 else ""
