"""The main job while a node dies for good: fifty visits a second, none of which may fail."""

from __future__ import annotations

import threading

import pytest

from guarita.topology.local import LocalSentinel
from guarita.topology.local.processes import wait_until

from .load import Load, call

RATE = 50
DURATION_S = 30
FAULT_AFTER = 200  # visits


def replace_primary(sentinel: LocalSentinel) -> None:
    """Have another node become primary, and the first one come back as its replica."""
    old = sentinel.kill_primary()
    sentinel.wait_new_primary(old)
    sentinel.start(old)
    sentinel.wait_ready()


@pytest.mark.parametrize("generation", ["the first primary", "its successor"])
def test_no_visit_fails_while_the_primary_is_killed_and_stays_dead(application, generation, figure):
    sentinel = application.installation
    if generation == "its successor":
        replace_primary(sentinel)
    before = call(application.port, "GET", "/auth/session-status")
    load = Load(application.port, RATE, DURATION_S)
    running = threading.Thread(target=load.run)
    running.start()
    assert wait_until(lambda: len(load.visits) >= FAULT_AFTER, timeout_s=DURATION_S)
    sentinel.kill_primary()
    running.join()
    assert load.problems == []
    assert len(load.visits) == RATE * DURATION_S
    after = call(application.port, "GET", "/auth/session-status")
    assert after["total_used"] - before["total_used"] == RATE * DURATION_S
    figure(
        f"{generation} killed for good under {RATE} visits a second: {len(load.visits)} visits, "
        f"0 failed, longest {load.longest_wait_s:.1f} s"
    )


@pytest.mark.parametrize("kind", ["replica", "sentinel"])
def test_no_visit_fails_while_another_node_dies(application, kind):
    sentinel = application.installation
    load = Load(application.port, RATE, 10)
    running = threading.Thread(target=load.run)
    running.start()
    assert wait_until(lambda: len(load.visits) >= FAULT_AFTER // 2, timeout_s=10)
    sentinel.kill(sentinel.replicas()[0] if kind == "replica" else sentinel.sentinels[0])
    running.join()
    assert load.problems == []
    assert len(load.visits) == RATE * 10
