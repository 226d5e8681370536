"""Which tests go to which worker, and in which order.

A file stays on one worker, for the servers that its tests share. Where each test starts an
installation of its own and waits for its failover, tests are handed out one by one. What takes long
begins first, so that all workers end together.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

TESTS = Path(__file__).parent
ONE_BY_ONE = ("failover/", "browser/test_failover.py")
LONG = (
    "exactly_once/",
    "agents/",
    "cli/test_local.py",
    *ONE_BY_ONE,
    "browser/",
    "node/test_agent.py",
    "doctor/",
    "topology/test_local.py",
    "stores/test_outages.py",
    "http1/test_connection.py",
    "stores/test_contract.py",
    "stores/test_revocations.py",
    "test_wsgi.py",
    "test_granian.py",
    "stores/",
)


def rank(path: str) -> int:
    """The place of a file, named from `tests/`, in the order."""
    return next((at for at, place in enumerate(LONG) if path.startswith(place)), len(LONG))


def sort(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: rank(item.path.relative_to(TESTS).as_posix()))


class Schedule(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        """What stays together with this test; xdist names the hook so."""
        file = nodeid.partition("::")[0]
        return nodeid if file.removeprefix("tests/").startswith(ONE_BY_ONE) else file
