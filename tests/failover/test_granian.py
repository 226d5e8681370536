"""The main job under granian."""

from __future__ import annotations

import pytest

from .load import Load, call

RATE = 50
DURATION_S = 15
FAULT_AFTER = 100  # visits

pytest.importorskip(
    "granian",
    reason="granian is not installed: the extra of this name",
)


@pytest.mark.parametrize("application", ["granian"], indirect=True)
def test_no_visit_fails_under_granian_while_the_primary_is_killed(application, figure):
    sentinel = application.installation
    before = call(application.port, "GET", "/auth/session-status")
    load = Load(application.port, RATE, DURATION_S)
    load.run_through(sentinel.kill_primary, after=FAULT_AFTER)
    after = call(application.port, "GET", "/auth/session-status")
    assert after["total_used"] - before["total_used"] == RATE * DURATION_S
    assert "granian" in (application.directory / "service.log").read_text()
    figure(
        f"under granian, primary killed for good under {RATE} visits a second: "
        f"{len(load.visits)} visits, 0 failed, longest {load.longest_wait_s:.1f} s"
    )
