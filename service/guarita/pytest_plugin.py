"""`guarita.testing` as pytest fixtures; nothing else is imported before one of them is used.

pytest finds this wherever the package is installed. An installation is started once for a run of
the tests, and is well again before each test that uses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from guarita.testing import ClusterInstallation, SentinelInstallation, StandaloneInstallation


@pytest.fixture(scope="session")
def guarita_image() -> str:
    """What the installations run; a fixture of this name in your conftest.py takes its place."""
    from guarita.testing import IMAGE

    return IMAGE


@pytest.fixture(scope="session")
def _guarita_sentinel(guarita_image: str) -> Iterator[SentinelInstallation]:
    from guarita.testing import SentinelInstallation

    with SentinelInstallation(guarita_image) as installation:
        yield installation


@pytest.fixture
def guarita_sentinel(_guarita_sentinel: SentinelInstallation) -> SentinelInstallation:
    """Three data nodes, three Sentinels and the service, and all of them well."""
    _guarita_sentinel.heal()
    return _guarita_sentinel


@pytest.fixture(scope="session")
def _guarita_cluster(guarita_image: str) -> Iterator[ClusterInstallation]:
    from guarita.testing import ClusterInstallation

    with ClusterInstallation(guarita_image) as installation:
        yield installation


@pytest.fixture
def guarita_cluster(_guarita_cluster: ClusterInstallation) -> ClusterInstallation:
    """A Cluster of six data nodes and the service, and all of them well."""
    _guarita_cluster.heal()
    return _guarita_cluster


@pytest.fixture(scope="session")
def _guarita_standalone(guarita_image: str) -> Iterator[StandaloneInstallation]:
    from guarita.testing import StandaloneInstallation

    with StandaloneInstallation(guarita_image) as installation:
        yield installation


@pytest.fixture
def guarita_standalone(_guarita_standalone: StandaloneInstallation) -> StandaloneInstallation:
    """One data node and the service, and both of them well."""
    _guarita_standalone.heal()
    return _guarita_standalone
