"""Scenarios in which a process stops, stands still, or comes back with less than it had."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable

from guarita.topology.local import Node
from guarita.topology.local.sentinel import PRIMARY_NAME

from ..exactly_once.faults import Events
from .stage import READY_S, Stage, busy

PAUSE_S = 4.0  # longer than down-after (1 s) and a failover (2.2 s)
TAIL_S = 1.5
FREEZE_S = 5.0
NOBODY = "0" * 40  # a Sentinel that there is not
_EVENTS = ("+elected-leader", "+failover-state-wait-promotion", "+switch-master")


def term_primary(stage: Stage) -> None:
    """SIGTERM to the primary's agent; started again once callers are served"""
    node = stage.primary
    stage.measured["stopped_s"] = stage.terminate(node)
    stage.steady()
    stage.start(node)


def kill_server(stage: Stage) -> None:
    """kill -9 the primary's server, which its agent starts again"""
    stage.kill_server(stage.primary)
    stage.steady()


def kill_node(stage: Stage) -> None:
    """kill -9 the primary's agent and server; it stays dead until callers are served"""
    stage.kill(stage.primary)
    stage.steady()


def stop_server(stage: Stage) -> None:
    """SIGSTOP the primary's server for longer than a failover takes, then SIGCONT"""
    _stand_still(stage, stage.sentinel.pause_server, stage.sentinel.resume_server)


def stop_node(stage: Stage) -> None:
    """SIGSTOP the primary's agent and server for longer than a failover takes, then SIGCONT"""
    _stand_still(stage, stage.sentinel.pause, stage.sentinel.resume)


def _stand_still(
    stage: Stage, pause: Callable[[Node], object], resume: Callable[[Node], object]
) -> None:
    node = stage.primary
    with socket.create_connection(node.address, timeout=3) as connection:
        pause(node)
        # What a service sent before it knew: the node finds it when it resumes.
        connection.sendall(b"SET guarita-probe 1\r\nWAIT 1 500\r\n")
        stage.hold(PAUSE_S)
        resumed_s = time.monotonic()
        resume(node)
        stage.time_until("rejoined_s", lambda: stage.follows_named(node), since_s=resumed_s)
        stage.measured["stale_acks"] = float(_acknowledged(connection))
    stage.steady()


def _acknowledged(connection: socket.socket) -> int:
    """How many replicas had that write, by the node's own word; 0 for a refusal or none."""
    replies = b""
    try:
        while replies.count(b"\r\n") < 2 and (part := connection.recv(4096)):
            replies += part
    except OSError:  # it hung up, or never answered
        pass
    written, _, waited = replies.rstrip().partition(b"\r\n:")
    # Behind a refusal WAIT has nothing to wait for, and counts whoever is attached.
    return int(waited) if written == b"+OK" and waited.isdigit() else 0


def resume_in_failover(stage: Stage) -> None:
    """D29: SIGSTOP the primary, SIGCONT while the failover is under way"""
    node = stage.primary
    with Events(stage.sentinel) as events:
        stage.sentinel.pause(node)
        try:
            events.wait_for(_EVENTS[stage.number % len(_EVENTS)])
        finally:
            resumed_s = time.monotonic()
            stage.sentinel.resume(node)
    stage.time_until("rejoined_s", lambda: stage.follows_named(node), since_s=resumed_s)
    stage.steady()


def frozen_after_given_up(stage: Stage) -> None:
    """SIGSTOP the primary right after all Sentinels voted for somebody who gave his failover up"""
    node = stage.primary
    for sentinel in stage.sentinel.sentinels:
        with stage.sentinel.client(sentinel) as client:
            epoch = client.sentinel_master(PRIMARY_NAME)["config-epoch"] + stage.number + 1
            ask = ("SENTINEL", "IS-MASTER-DOWN-BY-ADDR", node.host, node.port)
            _, voted_for, _ = client.execute_command(*ask, epoch, NOBODY)
            if voted_for != NOBODY:
                raise RuntimeError(f"{sentinel.name} voted for {voted_for}")
    stage.sentinel.pause(node)
    stage.steady()


def restart_at_once(stage: Stage) -> None:
    """D2: kill -9 the primary, started at once with its data"""
    _come_back(stage, stage.primary, lambda node: None)


def restart_empty(stage: Stage) -> None:
    """D3: kill -9 the primary, started at once with an empty directory"""
    _come_back(stage, stage.primary, stage.wipe)


def restart_without_tail(stage: Stage) -> None:
    """D30: kill -9 the primary, started at once without the last 1.5 s of its AOF"""
    node = stage.primary
    size = stage.aof(node).stat().st_size
    stage.hold(TAIL_S)
    _come_back(stage, node, lambda node: os.truncate(stage.aof(node), size))


def _come_back(stage: Stage, node: Node, change: Callable[[Node], None]) -> None:
    stage.kill(node)
    change(node)
    started_s = time.monotonic()
    stage.start(node)
    stage.steady()
    said = stage.sampler.since(started_s, node)
    stage.measured["as_primary"] = float(sum(each.role == "master" for each in said))


def freeze_then_kill_replica(stage: Stage) -> None:
    """D28: SIGSTOP a replica for 5 s, then kill -9; it stays dead until callers are served"""
    replica = stage.replicas[0]
    stage.sentinel.pause(replica)
    stage.hold(FREEZE_S)
    stage.kill(replica)
    stage.steady()


def rolling_restart(stage: Stage) -> None:
    """D15: SIGTERM to every node, one after another, each started again"""
    for node in (*stage.sentinel.nodes, *stage.sentinel.sentinels):
        stage.terminate(node)
        stage.start(node)
        stage.sentinel.wait_ready(READY_S)


def full_load(stage: Stage) -> None:
    """every core is busy beside the load for --minutes, and nothing else is done"""
    before = _epoch(stage)
    with busy(os.cpu_count() or 1):
        stage.hold(60 * stage.minutes)
    stage.measured["failovers"] = float(_epoch(stage) - before)


def _epoch(stage: Stage) -> int:
    """How many failovers the Sentinels have counted."""
    with stage.sentinel.client(stage.sentinel.sentinels[0]) as client:
        named = client.sentinel_master("guarita")
    return int(named["config-epoch"])
