"""The main job while a node dies for good: fifty visits a second, none of which may fail."""

from __future__ import annotations

import re
import time

import pytest

from guarita.processes import wait_until
from guarita.topology.local import LocalSentinel, Node

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
    load.run_through(sentinel.kill_primary, after=FAULT_AFTER)
    after = call(application.port, "GET", "/auth/session-status")
    assert after["total_used"] - before["total_used"] == RATE * DURATION_S
    figure(
        f"{generation} killed for good under {RATE} visits a second: {len(load.visits)} visits, "
        f"0 failed, {load.longest_pause_s:.1f} s without a write, longest visit "
        f"{load.longest_wait_s:.1f} s"
    )


def test_no_visit_fails_while_a_sentinel_dies(application):
    sentinel = application.installation
    load = Load(application.port, RATE, 10)
    load.run_through(lambda: sentinel.kill(sentinel.sentinels[0]), after=FAULT_AFTER // 2)


def lists(sentinel: LocalSentinel, primary: Node, replica: Node) -> bool:
    """Whether the primary counts it among its replicas."""
    with sentinel.client(primary) as client:
        info = client.info("replication")
    ports = {each["port"] for name, each in info.items() if re.fullmatch(r"slave\d+", name)}
    return replica.port in ports


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_no_visit_fails_and_writes_pause_briefly_while_a_replica_is_lost(
    application, fault, figure
):
    """The pause is the longest time without a successful write.

    A replica can be left out once the Sentinels see it down and the primary has dropped it, and
    the service may add 2.5 s to the later of the two: two readings 2 s apart, and how often it
    looks. A killed one is dropped at once. A frozen one is dropped by `repl-timeout`, which counts
    whole seconds: with 2, after 2 to 4 s.
    """
    sentinel = application.installation
    for node in sentinel.nodes:
        with sentinel.client(node) as client:
            client.config_set("repl-timeout", 2)
    primary, replica = sentinel.primary(), sentinel.replicas()[0]
    load = Load(application.port, RATE, 12)
    dropped_s = 0.0

    def lose() -> None:
        nonlocal dropped_s
        lost_s = time.monotonic()
        (sentinel.kill if fault == "killed" else sentinel.pause)(replica)
        assert wait_until(lambda: not lists(sentinel, primary, replica), timeout_s=10)
        dropped_s = time.monotonic() - lost_s

    load.run_through(lose, after=FAULT_AFTER // 2)
    assert load.longest_pause_s <= max(sentinel.down_after_ms / 1000, dropped_s) + 2.5
    figure(
        f"a replica {fault} under {RATE} visits a second: {len(load.visits)} visits, 0 failed, "
        f"dropped by the primary after {dropped_s:.1f} s, {load.longest_pause_s:.1f} s without a "
        f"write, longest visit {load.longest_wait_s:.1f} s"
    )
