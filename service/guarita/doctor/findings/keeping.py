"""What data nodes keep on disk and in memory, and what they could lose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from guarita.config import Durability
from guarita.doctor.finding import Finding, Severity
from guarita.doctor.findings.primary import snapshots_stop_writes
from guarita.doctor.kinds import Kind
from guarita.doctor.seen import Seen

_NEARLY_FULL = 0.9


def aof_failing(seen: Seen) -> Iterator[Finding]:
    for node in seen.answering:
        if node.info.get("aof_last_write_status") == "err":
            text = "It cannot write its AOF (aof_last_write_status:err)."
            yield Kind.AOF_FAILING.at(node.address, text)


def snapshot_failing(seen: Seen) -> Iterator[Finding]:
    for node in seen.answering:
        if node.info.get("rdb_last_bgsave_status") == "err":
            text = "Its last snapshot failed (rdb_last_bgsave_status:err)."
            found = Kind.SNAPSHOT_FAILING.at(node.address, text)
            stops = snapshots_stop_writes(node)
            yield found if stops else replace(found, severity=Severity.WARNING)


def rewrite_failing(seen: Seen) -> Iterator[Finding]:
    for node in seen.answering:
        if node.info.get("aof_last_bgrewrite_status") == "err":
            text = "The last rewrite of its AOF failed (aof_last_bgrewrite_status:err)."
            yield Kind.REWRITE_FAILING.at(node.address, text)


def memory_full(seen: Seen) -> Iterator[Finding]:
    for node in seen.answering:
        used, limit = node.number("used_memory") or 0, node.number("maxmemory") or 0
        if limit and used >= limit * _NEARLY_FULL:
            text = f"It uses {used * 100 // limit} % of maxmemory."
            yield Kind.MEMORY_FULL.at(node.address, text)


def evicts(seen: Seen) -> Iterator[Finding]:
    for node in seen.answering:
        policy = node.info.get("maxmemory_policy", "noeviction")
        if node.number("maxmemory") and policy != "noeviction":
            text = f"It has a maxmemory and the policy {policy}."
            yield Kind.EVICTS.at(node.address, text)


def persistence_off(seen: Seen) -> Iterator[Finding]:
    for node in seen.answering:
        if node.config.get("appendonly") == "no":
            text = "It keeps no AOF (appendonly no)."
            yield Kind.PERSISTENCE_OFF.at(node.address, text)


def fsync_loose(seen: Seen) -> Iterator[Finding]:
    wanted = "always" if seen.durability is Durability.STRICT else "everysec"
    enough = {"always"} if wanted == "always" else {"always", "everysec"}
    for node in seen.answering:
        fsync = node.config.get("appendfsync")
        if node.config.get("appendonly") == "yes" and fsync and fsync not in enough:
            text = f"appendfsync is {fsync}, with durability {seen.durability}."
            yield Kind.FSYNC_LOOSE.at(node.address, text, wanted=wanted)


ALL = (
    aof_failing,
    snapshot_failing,
    rewrite_failing,
    memory_full,
    evicts,
    persistence_off,
    fsync_loose,
)
