"""Who must have a write, as the service itself tells it while nodes come and go."""

from __future__ import annotations

from typing import Any

from guarita.processes import wait_until

from .load import call


def writes(port: int) -> dict[str, Any]:
    """One worker's view; empty while it answers 503, because a write waits for who is gone."""
    try:
        (only,) = call(port, "GET", "/healthz/deep")["writes"]
    except AssertionError:
        return {}
    return only


def test_a_dead_replica_is_required_until_sentinels_agree_and_then_left_out(application):
    sentinel = application.installation
    port = application.port
    replicas = {str(node) for node in sentinel.replicas()}
    assert wait_until(lambda: set(writes(port).get("required", ())) == replicas, timeout_s=10)
    dead = sentinel.kill(sentinel.replicas()[0])
    assert wait_until(lambda: list(writes(port).get("left_out", ())) == [str(dead)], timeout_s=20)
    now = writes(port)
    assert now["required"] == dict.fromkeys(replicas - {str(dead)}, "attached")
    assert "reported down by 2" in now["left_out"][str(dead)]
    assert (now["durability"], now["trouble"]) == ("balanced", "")
    sentinel.start(dead)
    assert wait_until(lambda: set(writes(port).get("required", ())) == replicas, timeout_s=20)


def test_a_dead_primary_is_left_out_when_two_sentinels_have_switched_and_not_heard_it(application):
    sentinel = application.installation
    port = application.port
    replicas = {str(node) for node in sentinel.replicas()}
    assert wait_until(lambda: set(writes(port).get("required", ())) == replicas, timeout_s=10)
    dead = sentinel.kill_primary()
    assert wait_until(lambda: list(writes(port).get("left_out", ())) == [str(dead)], timeout_s=20)
    now = writes(port)
    assert now["primary"] in replicas
    assert set(now["required"]) == replicas - {now["primary"]}
    assert "was primary before" in now["left_out"][str(dead)]
    sentinel.start(dead)
    assert wait_until(lambda: str(dead) in writes(port).get("required", ()), timeout_s=20)
