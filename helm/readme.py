"""Writes helm/guarita/README.md: what stands in values.yaml, as a table.

python helm/readme.py          writes it
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

CHART = Path(__file__).parent / "guarita"
_KEY = re.compile(r"( *)([A-Za-z0-9]+):(?: (.*))?")

HEAD = """# Chart guarita

Guarita on Kubernetes 1.30 or newer, with Helm 3.8 or newer. How it is run, what its parts are and
what to do when something is wrong: [docs/kubernetes.md](../../docs/kubernetes.md).

```console
$ helm install auth helm/guarita --namespace auth --create-namespace
$ helm test auth --namespace auth --logs
```

A setting that is unsafe or contradicts another one is refused with a sentence before anything is
changed.

## Values

Written by `python helm/readme.py` from [values.yaml](values.yaml).

| Value | Default | Meaning |
|---|---|---|
"""


def rows(text: str) -> Iterator[tuple[str, str, str]]:
    """Name, default and meaning of each value that is no section with values of its own."""
    lines = text.splitlines()
    path: list[str] = []
    said: list[str] = []
    for number, line in enumerate(lines):
        if line.lstrip().startswith("#"):
            said.append(line.lstrip().removeprefix("#").strip())
            continue
        found = _KEY.fullmatch(line)
        if found and len(found[1]) // 2 <= len(path):
            depth = len(found[1]) // 2
            path = [*path[:depth], found[2]]
            value = found[3]
            if value is None and not _is_section(lines, number, len(found[1])):
                value = "see values.yaml"
            if value is not None:
                yield ".".join(path), value, " ".join(said)
        said = []


def _is_section(lines: list[str], number: int, indent: int) -> bool:
    """Whether what is below it are values with meanings of their own."""
    return number + 1 < len(lines) and lines[number + 1].startswith(" " * (indent + 2) + "#")


def _shown(value: str) -> str:
    return "" if value == '""' else f"`{value}`"


def readme() -> str:
    """The whole file."""
    text = (CHART / "values.yaml").read_text("utf-8")
    table = (f"| `{name}` | {_shown(value)} | {meaning} |\n" for name, value, meaning in rows(text))
    return HEAD + "".join(table)


if __name__ == "__main__":
    (CHART / "README.md").write_text(readme(), "utf-8")
