"""Releases that run while the tests of a module do."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest

from .running import Release, why_no_cluster


@pytest.fixture(scope="session")
def cluster() -> None:
    """A cluster that answers."""
    if reason := why_no_cluster():
        pytest.skip(reason)


@pytest.fixture(scope="module")
def new_release(cluster: None) -> Iterator[Callable[[str], Release]]:
    """A namespace of its own for a release by one of ci/; it goes when the module's tests have
    ended."""
    made: list[Release] = []

    def new(base: str) -> Release:
        release = Release(f"guarita-{base}-{secrets.token_hex(3)}", base)
        made.append(release)
        release.create_namespace()
        return release

    yield new
    for release in made:
        release.remove()
