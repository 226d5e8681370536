"""compose.cluster.yaml: formed by the image itself, and whole again whatever stops.

It runs as a user that the image has never heard of.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from guarita.processes import wait_until

from .breaking import RATE
from .endpoints import check_endpoints
from .faults import EVERY_ORDER, load_through, stop_in_turns
from .running import Kit, Start

pytestmark = pytest.mark.container

WHOLE = "the Cluster is whole: 3 primaries, 3 replicas\n"
WHOLE_S = 60.0


@pytest.fixture(scope="module")
def kit(start: Start) -> Kit:
    return start("cluster", user="12345:12345")


def form(kit: Kit) -> str:
    """`guarita cluster form` once more."""
    return kit.compose("run", "--rm", "--no-deps", "form").stdout


def test_the_four_endpoints_answer(kit: Kit) -> None:
    check_endpoints(kit)


def test_who_formed_it_has_ended_well_and_a_second_time_nothing_is_done(kit: Kit) -> None:
    state = kit.compose("ps", "--all", "--format={{.State}} {{.ExitCode}}", "form").stdout
    assert state == "exited 0\n"
    assert form(kit) == WHOLE


def test_under_load_no_request_fails_when_a_primary_is_killed(
    kit: Kit, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    kit.wait_well(replicas=1)
    primary = kit.primary()
    found = load_through(
        kit,
        tmp_path,
        "kill a primary",
        lambda: kit.docker("kill", primary),
        lambda: kit.docker("start", primary),
        replicas=1,
    )
    figure(
        f"containers, a Cluster, kill a primary, {RATE:g} requests a second: {found.requests} "
        f"requests, 0 failed, 0 lost, {found.pause_s:.1f} s without a successful write"
    )
    assert wait_until(lambda: form(kit) == WHOLE, timeout_s=WHOLE_S)


def test_tickets_survive_a_stop_of_everything_in_every_order(kit: Kit) -> None:
    stop_in_turns(kit, 1, EVERY_ORDER)


def test_nothing_is_left_of_it_when_it_is_taken_down(kit: Kit) -> None:
    kit.remove()
    assert kit.left_behind() == []
