"""Which tests go to which worker, and in which order.

A file stays on one worker, for the servers that its tests share. Where each test starts an
installation of its own and waits for its failover, tests are handed out one by one. What takes long
begins first, so that all workers end together. Where seconds are told, only two run at a time while
there is anything else to do.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

TESTS = Path(__file__).parent
ONE_BY_ONE = ("failover/", "browser/test_failover.py", "drill/test_command.py")
TIMED = ("exactly_once/", "agents/", *ONE_BY_ONE)
TIMED_AT_ONCE = 2
LONG = (
    *TIMED,
    "browser/",
    "cli/test_local.py",
    "node/test_agent.py",
    "topology/test_local.py",
    "topology/cluster/test_form.py",
    "topology/test_agents.py",
    "test_wsgi.py",
    "test_granian.py",
    "stores/test_status_cost.py",
    "stores/test_contract.py",
    "stores/test_outages.py",
    "http1/test_connection.py",
    "stores/test_revocations.py",
    "stores/test_planned_switch.py",
    "node/test_passwords.py",
    "drill/targets/",
    "doctor/",
    "stores/",
    "cli/",
    "testing/",
    "deploy/",
    "drill/",
    # The first two begin on different workers.
    "containers/test_failovers.py",
    "containers/test_sentinel.py",
    "containers/test_cluster.py",
    "containers/test_overlays.py",
    "containers/test_standalone.py",
    "containers/test_installations.py",
    "containers/test_documented.py",
    "containers/test_target.py",
)


def rank(path: str) -> int:
    """The place of a file, named from `tests/`, in the order."""
    return next((at for at, place in enumerate(LONG) if path.startswith(place)), len(LONG))


def sort(items: list[pytest.Item]) -> None:
    """By the place of their file, else by its name; in a file as they stand there."""

    def key(item: pytest.Item) -> tuple[int, str]:
        path = item.path.relative_to(TESTS).as_posix()
        return rank(path), path

    items.sort(key=key)


class Schedule(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        """What stays together with this test; xdist names the hook so."""
        return nodeid if _is_of(ONE_BY_ONE, nodeid) else nodeid.partition("::")[0]

    def _assign_work_unit(self, node: WorkerController) -> None:
        """Give a worker what comes next; most workers leave what is timed for later."""
        if int(node.gateway.id.removeprefix("gw")) >= TIMED_AT_ONCE:
            scopes = (scope for scope in self.workqueue if not _is_of(TIMED, scope))
            if (scope := next(scopes, None)) is not None:
                self.workqueue.move_to_end(scope, last=False)
        super()._assign_work_unit(node)


def _is_of(places: tuple[str, ...], nodeid: str) -> bool:
    return nodeid.removeprefix("tests/").startswith(places)
