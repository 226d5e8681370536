"""Reads the YAML file: every fault in it with its line, and no value of it in any message."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from guarita.config.values import reason_of


def read_document(path: Path) -> tuple[dict[str, Any], list[str]]:
    """The file's settings, and what is wrong with it as a file."""
    try:
        text = path.read_text("utf-8")
    except OSError as exc:
        return {}, [f"{path}: {reason_of(exc)}"]
    except UnicodeDecodeError as exc:
        line = exc.object[: exc.start].count(b"\n") + 1
        return {}, [f"{path}:{line}: not UTF-8 text"]
    try:
        data, faults = _parse(text.removeprefix("\ufeff"))
    except yaml.reader.ReaderError as exc:
        return {}, [f"{path}:{text.count(chr(10), 0, exc.position) + 1}: a control character"]
    except yaml.YAMLError as exc:
        return {}, [_fault(path, exc)]
    except (ValueError, TypeError, AttributeError, RecursionError):
        # What PyYAML's constructors raise on such as !!int x, or on ten thousand brackets.
        return {}, [f"{path}: holds a value that YAML cannot make sense of"]
    if data is None:
        return {}, [f"{path}: sets nothing: write at least one setting, or do without the file"]
    if not isinstance(data, dict):
        return {}, [f"{path}: must be a mapping of sections, such as store: {{topology: memory}}"]
    return data, [f"{path}:{fault}" for fault in faults]


def _parse(text: str) -> tuple[Any, list[str]]:
    loader = _Loader(text)
    try:
        return loader.get_single_data(), loader.faults
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    """YAML's safe types; a key that comes twice or is no text is a fault, not a surprise."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.faults: list[str] = []

    def keep_sound_keys(self, node: yaml.MappingNode) -> None:
        """Take out of a mapping what cannot be a setting's name; of two the first stays."""
        first: dict[str, int] = {}
        sound = []
        for key, value in node.value:
            at = f"{key.start_mark.line + 1}:{key.start_mark.column + 1}"
            if key.tag == "tag:yaml.org,2002:merge":
                sound.append((key, value))
            elif key.tag != "tag:yaml.org,2002:str":
                self.faults.append(f"{at}: a name must be text: put it in quotes")
            elif key.value in first:
                was = first[key.value]
                self.faults.append(f"{at}: {key.value} comes twice, first in line {was}")
            else:
                first[key.value] = key.start_mark.line + 1
                sound.append((key, value))
        node.value = sound


def _construct_mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Hashable, Any]:
    """At once, not in two steps as PyYAML does: so a mapping cannot hold itself."""
    loader.keep_sound_keys(node)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)
# No setting is a date, and what looks like one is a name.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _fault(path: Path, exc: yaml.YAMLError) -> str:
    mark = getattr(exc, "problem_mark", None) or getattr(exc, "context_mark", None)
    problem = str(getattr(exc, "problem", None) or "not YAML")
    if problem.startswith("found undefined alias"):
        problem = "put a value that begins with * in quotes"
    elif problem.startswith("could not determine a constructor"):
        problem = "put a value that begins with ! in quotes"
    elif "unconstructable recursive" in problem:
        problem = "a mapping must not hold itself"
    where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
    return f"{where}: {problem}"
