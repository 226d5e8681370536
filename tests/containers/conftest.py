"""Kits that run while the tests of a module do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .running import Kit, Start, why_no_engine


@pytest.fixture(scope="session")
def engine() -> None:
    """A Docker engine that answers."""
    if reason := why_no_engine():
        pytest.skip(reason)


@pytest.fixture(scope="module")
def start(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts a kit; what still runs when the module's tests have ended is removed."""
    started: list[Kit] = []

    def start(name: str, *, overlays: tuple[str, ...] = (), user: str = "") -> Kit:
        directory: Path = tmp_path_factory.mktemp(name)
        kit = Kit(name, directory, overlays=overlays, user=user)
        started.append(kit)
        kit.up()
        return kit

    yield start
    for kit in started:
        kit.remove()
