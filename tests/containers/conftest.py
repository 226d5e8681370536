"""Kits that run while the tests of a module do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from guarita.testing import Installation

import kit as kits
from .breaking import KINDS, SETTINGS
from .running import Kit, Start, why_no_engine


@pytest.fixture(scope="session")
def guarita_image(engine: None) -> str:
    """Made of what is in this clone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAG", "test")
        kits.build_image()
    return "guarita:test"


@pytest.fixture(scope="session")
def running(guarita_image: str) -> Iterator[Callable[[str], Installation]]:
    """The installation of a topology, started once for all tests, and well again for each."""
    with ExitStack() as stack:
        known: dict[str, Installation] = {}

        def running(topology: str) -> Installation:
            if topology not in known:
                installation = KINDS[topology](guarita_image, settings=SETTINGS)
                known[topology] = stack.enter_context(installation)
            known[topology].heal()
            return known[topology]

        yield running


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
