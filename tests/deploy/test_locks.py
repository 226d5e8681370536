"""The image installs what the tests ran with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _pinned(path: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """By name: the version and the hashes."""
    found = {}
    for block in re.split(r"\n(?=\S)", path.read_text()):
        if match := re.match(r"([A-Za-z0-9._-]+)==(\S+)", block):
            hashes = frozenset(re.findall(r"--hash=(\S+)", block))
            assert hashes, f"{path.name}: {match[1]} has no hash"
            found[match[1]] = (match[2], hashes)
    return found


@pytest.mark.parametrize("name", ["requirements.lock", "build.lock"])
def test_the_image_has_the_versions_that_the_tests_have(name: str) -> None:
    tested = _pinned(ROOT / "requirements.lock")
    image = _pinned(ROOT / "service" / name)
    assert {each: tested.get(each) for each in image} == image, "make lock writes them anew"


def test_what_the_package_needs_is_in_the_image() -> None:
    text = (ROOT / "pyproject.toml").read_text().split("dependencies = [")[1].split("\n]")[0]
    needed = set(re.findall(r'^ *"([a-z-]+)', text, re.MULTILINE))
    assert needed <= set(_pinned(ROOT / "service/requirements.lock"))
    assert "pytest" not in _pinned(ROOT / "service/requirements.lock")
