"""Scenarios in which nodes follow the wrong one, know too little, or start in a bad order."""

from __future__ import annotations

import time

import redis
import yaml

from guarita.processes import wait_until
from guarita.topology.local import Node
from guarita.topology.local.ports import free_ports
from guarita.topology.local.sentinel import PRIMARY_NAME

from .stage import READY_S, Stage

ISOLATED_S = 8.0
APART_S = 3.0  # between two starts of the worst order
ALONE_S = 2.0  # of writes that the first node to stop does not have
LOADING_US = 2_000_000


def isolated_restart(stage: Stage) -> None:
    """D6: the first node is killed and started while it can reach nobody"""
    first, *others = stage.sentinel.nodes
    for sentinel in stage.sentinel.sentinels:
        stage.kill(sentinel)  # these refuse connections
    for node in others:
        stage.sentinel.pause(node)  # these take them, and never answer
    stage.kill(first)
    known = first.log.stat().st_size
    stage.start(first)
    end_s, stage.measured["writable"] = time.monotonic() + ISOLATED_S, 0.0
    while time.monotonic() < end_s:
        stage.measured["writable"] += float(_takes_a_write(stage, first))
        stage.hold(0.1)
    said = first.log.read_bytes()[known:].decode(errors="replace")
    words = [line for line in said.splitlines() if "boot waits" in line]
    stage.measured["silent"] = float(not words)
    stage.notes += words[:3]


def _takes_a_write(stage: Stage, node: Node) -> bool:
    try:
        with stage.sentinel.client(node, timeout_s=0.5) as client:
            return bool(client.set("guarita-probe", "1"))
    except redis.RedisError:
        return False


def masterless(stage: Stage) -> None:
    """D7: the named primary follows one of its replicas, so that no link is up"""
    began_s = time.monotonic()
    stage.redirect(stage.primary, stage.replicas[0].port)
    stage.time_until("primary_s", stage.has_primary, since_s=began_s)
    stage.steady()


def reset_then_kill(stage: Stage) -> None:
    """D8: RESET on all Sentinels, then kill -9 the primary; it stays dead until there is another"""
    primary = stage.primary
    for sentinel in stage.sentinel.sentinels:
        with stage.sentinel.client(sentinel) as client:
            client.sentinel_reset(PRIMARY_NAME)
    began_s = time.monotonic()
    stage.kill(primary)
    stage.time_until("primary_s", stage.has_primary, since_s=began_s)
    stage.start(primary)
    stage.steady()


def stop_all(stage: Stage) -> None:
    """D9: all is stopped, the newest writer last, and started in the worst order"""
    writer, (early, late) = stage.primary, stage.replicas
    stage.terminate(early)
    stage.steady()
    stage.hold(ALONE_S)
    stage.load.stop()
    for sentinel in stage.sentinel.sentinels:
        stage.terminate(sentinel)
    stage.terminate(late)
    stage.terminate(writer)
    stage.start(early)
    stage.hold(APART_S)
    for sentinel in stage.sentinel.sentinels:
        stage.start(sentinel)
    stage.start(late)
    stage.hold(APART_S)
    began_s = time.monotonic()
    stage.start(writer)
    stage.time_until("agree_s", lambda: stage.sentinel.obstacle() is None, since_s=began_s)


def scale_sentinels_down(stage: Stage) -> None:
    """D10: Sentinels 5 -> 3, and once the two are forgotten, kill -9 the primary"""
    removed = stage.sentinel.sentinels[3:]
    for sentinel in removed:
        stage.kill(sentinel)
    _take_out(stage, removed)
    began_s = time.monotonic()
    for node in (*stage.sentinel.sentinels, *stage.sentinel.nodes):
        _configure_without(node, removed)
        stage.terminate(node)
        stage.start(node)
        stage.sentinel.wait_ready(READY_S)
    stage.time_until("forgotten_s", lambda: _knows_two_others(stage), since_s=began_s)
    old, killed_s = stage.primary, time.monotonic()
    stage.kill(old)
    stage.time_until(
        "failover_s", lambda: stage.primary != old and stage.has_primary(), since_s=killed_s
    )
    stage.steady()


def _take_out(stage: Stage, removed: tuple[Node, ...]) -> None:
    """Make the installation one that never had these."""
    file = stage.sentinel.file
    with file.changing():
        state = file.read()
        assert state is not None
        gone = {node.name for node in removed}
        file.note(
            ports={
                name: port for name, port in state.ports.items() if name.split(".")[0] not in gone
            }
        )
    stage.sentinel.sentinel_nodes = 3  # type: ignore[misc]  # of this one alone


def _configure_without(node: Node, removed: tuple[Node, ...]) -> None:
    """Take Sentinels out of the configuration of a node's agent."""
    path = node.config
    settings = yaml.safe_load(path.read_text())
    gone = {str(each) for each in removed}
    nodes = settings["store"]["sentinel"]["nodes"]
    settings["store"]["sentinel"]["nodes"] = [each for each in nodes if each not in gone]
    path.write_text(yaml.safe_dump(settings))


def _knows_two_others(stage: Stage) -> bool:
    for sentinel in stage.sentinel.sentinels:
        with stage.sentinel.client(sentinel) as client:
            if len(client.sentinel_sentinels(PRIMARY_NAME)) != 2:
                return False
    return True


def chained_replica(stage: Stage) -> None:
    """D13: a replica is made to follow the other replica"""
    near, far = stage.replicas
    _lead_astray(stage, far, near.port)


def deaf_replica(stage: Stage) -> None:
    """D13: a replica loads while the Sentinels fail over, and does not hear whom to follow"""
    primary, node = stage.primary, stage.replicas[0]
    with stage.sentinel.client(node, timeout_s=10) as client:
        (priority,) = client.config_get("replica-priority").values()
        client.config_set("replica-priority", 0)  # the other one is promoted
        if not wait_until(lambda: not _may_be_promoted(stage, node), timeout_s=10):
            raise TimeoutError(f"a Sentinel would promote {node.name} after 10 s")
        # What it is told while it loads is refused, not kept waiting.
        client.config_set("loading-process-events-interval-bytes", 1024)
        client.config_set("key-load-delay", LOADING_US // client.dbsize())
        with client.pipeline(transaction=True) as anew:
            anew.execute_command("REPLICAOF", "NO", "ONE")
            anew.execute_command("REPLICAOF", primary.host, primary.port)
            anew.execute()
        if not wait_until(lambda: client.info("persistence")["loading"], timeout_s=10):
            raise TimeoutError(f"{node.name} did not load within 10 s")
    began_s = time.monotonic()
    stage.sentinel.failover()
    stage.time_until("follows_s", lambda: _in_step(stage, node), since_s=began_s)
    with stage.sentinel.client(node) as client:
        client.config_set("key-load-delay", 0)
        client.config_set("replica-priority", priority)
    stage.measured["told"] = node.log.read_text().count("does not do as told")
    stage.steady()


def _may_be_promoted(stage: Stage, node: Node) -> bool:
    """Whether any Sentinel would choose it."""
    for sentinel in stage.sentinel.sentinels:
        with stage.sentinel.client(sentinel) as client:
            for told in client.sentinel_slaves(PRIMARY_NAME):
                if told["port"] == node.port and int(told["slave-priority"]) > 0:
                    return True
    return False


def stale_replica(stage: Stage) -> None:
    """D14: a replica is made to follow an address at which nobody is"""
    [nowhere] = free_ports(1)
    _lead_astray(stage, stage.replicas[0], nowhere)


def _lead_astray(stage: Stage, node: Node, port: int) -> None:
    began_s = time.monotonic()
    stage.redirect(node, port)
    stage.time_until("put_right_s", lambda: _in_step(stage, node), since_s=began_s)
    stage.steady()


def _in_step(stage: Stage, node: Node) -> bool:
    return stage.follows_named(node) and stage.sample(node).linked
