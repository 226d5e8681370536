"""A write that nobody waits for any more is no reason to go on asking the Sentinels."""

from __future__ import annotations

import http.client
import time

from guarita.processes import wait_until
from guarita.topology.local import LocalSentinel

WORKERS = 2
QUESTIONS = 3  # commands to a Sentinel each time that a process looks
SAMPLE_S = 2.0


def asked_per_s(sentinel: LocalSentinel) -> float:
    """Commands a second that one Sentinel runs, its peers' included."""

    def commands() -> int:
        with sentinel.client(sentinel.sentinels[0]) as client:
            return int(client.info()["total_commands_processed"])

    before, start_s = commands(), time.monotonic()
    time.sleep(SAMPLE_S)  # the time over which is counted
    return (commands() - before) / (time.monotonic() - start_s)


def create(port: int, deadline_ms: int) -> int:
    """The status that a create within this deadline is answered with."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {"X-Guarita-Deadline-Ms": str(deadline_ms)}
        connection.request("POST", "/auth/create-session", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_an_idle_service_looks_once_a_second_after_its_callers_gave_up(application, figure):
    sentinel = application.installation
    assert create(application.port, 10_000) == http.client.OK
    idle = asked_per_s(sentinel)
    # Attached, so it stays required until its primary drops it after a minute; no write waits.
    sentinel.pause(sentinel.replicas()[0])
    for _ in range(4 * WORKERS):  # so that each worker has one
        assert create(application.port, 200) == http.client.SERVICE_UNAVAILABLE
    assert wait_until(lambda: asked_per_s(sentinel) < idle + QUESTIONS, timeout_s=8)
    figure(
        f"commands a second at a Sentinel: {idle:.0f} when all is well, "
        f"{asked_per_s(sentinel):.0f} after callers gave up on a frozen replica"
    )
