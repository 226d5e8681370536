"""Kits that run while the tests of a module do."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from guarita.testing import Installation

import kit as kits
from .breaking import KINDS, SETTINGS
from .running import Kit, Start, why_no_engine

MakeImage = Callable[..., str]

# Who waits for the machine keeps `TURN`, so that others can not take it again and again meanwhile.
TURN, MACHINE = "turn", "machine"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A test that is marked `timed` has the machine for itself: the other worker's next test waits,
    with what it starts for its module."""
    shared = item.config.rootpath / ".pytest_cache"
    alone = item.get_closest_marker("timed") is not None
    shared.mkdir(exist_ok=True)
    with (shared / MACHINE).open("a") as machine:
        with (shared / TURN).open("a") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            fcntl.flock(machine, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        return (yield)


@pytest.fixture(scope="session")
def make_image(
    engine: None, tmp_path_factory: pytest.TempPathFactory, worker_id: str, testrun_uid: str
) -> MakeImage:
    """Makes images of what is in this clone, each once for all workers of a run."""
    own = tmp_path_factory.getbasetemp()
    shared = own if worker_id == "master" else own.parent

    def make(tag: str, *names: str, **given: str) -> str:
        with (shared / f"{testrun_uid}-{tag}").open("a") as made:
            fcntl.flock(made, fcntl.LOCK_EX)
            if os.fstat(made.fileno()).st_size == 0:
                kits.build_image({**os.environ, **given, "TAG": tag}, names)
                made.write("made\n")
        return f"guarita:{tag}"

    return make


@pytest.fixture(scope="session")
def guarita_image(make_image: MakeImage) -> str:
    """What kits and installations run."""
    return make_image("test", *kits.IMAGES)


@pytest.fixture(scope="session")
def redis_image(make_image: MakeImage) -> str:
    """The same with Debian's Redis 8, for data nodes and Sentinels."""
    return make_image("test-redis", "guarita", SERVER="redis")


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
def start(guarita_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts a kit; what still runs when the module's tests have ended is removed."""
    with ExitStack() as stack:

        def start(name: str, *, overlays: tuple[str, ...] = (), user: str = "") -> Kit:
            directory: Path = tmp_path_factory.mktemp(name)
            kit = Kit(name, directory, overlays=overlays, user=user)
            stack.callback(kit.remove)
            kit.up()
            return kit

        yield start
