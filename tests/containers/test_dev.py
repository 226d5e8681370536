"""compose.dev.yaml over the kit of Sentinels: the service runs from the source beside it."""

from __future__ import annotations

import pytest

from guarita.processes import wait_until

from .endpoints import check_endpoints
from .running import Kit, Start

pytestmark = pytest.mark.container

TAKEN_UP_S = 60.0


@pytest.fixture(scope="module")
def kit(start: Start) -> Kit:
    return start("sentinel", overlays=("dev",))


def test_the_four_endpoints_answer(kit: Kit) -> None:
    check_endpoints(kit)


def test_a_change_of_the_source_is_taken_up_by_both_instances(kit: Kit) -> None:
    health = kit.source / "api/health.py"
    health.write_text(health.read_text().replace("The store answers", "It is reloaded"))

    def says_so() -> bool:
        told = (kit.call("GET", "/auth/redis-health")[1]["message"] for _ in range(12))
        return set(told) == {"It is reloaded"}

    assert wait_until(says_so, timeout_s=TAKEN_UP_S, pause_s=0.5)


def test_down_with_volumes_leaves_nothing(kit: Kit) -> None:
    kit.remove()
    assert kit.left_behind() == []
