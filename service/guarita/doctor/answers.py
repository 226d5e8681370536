"""Servers' answers as values, and their errors as causes. Nothing here asks."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import redis
from redis.exceptions import AuthenticationError, InvalidResponse, NoPermissionError

from guarita.config import Address
from guarita.doctor.seen import Cause, Failure, Listed, Member, Refusal, View

_LONGEST = 300  # characters of somebody else's words
# OpenSSL's codes of X509_verify_cert_error_string(3).
_EXPIRED = {10}
_OTHER_NAME = {62, 64}
# What is judged, shown, or used to know a server again.
_KEPT = frozenset(
    {
        *("redis_version", "valkey_version", "redis_mode", "run_id", "sentinel_tilt"),
        *("role", "master_host", "master_port", "master_link_status", "slave_priority"),
        *("master_link_down_since_seconds", "master_sync_in_progress", "slave_repl_offset"),
        *("master_repl_offset", "connected_slaves", "min_slaves_good_slaves", "master_replid"),
        *("loading", "async_loading", "aof_last_write_status", "aof_last_bgrewrite_status"),
        *("rdb_last_bgsave_status", "used_memory", "maxmemory", "maxmemory_policy"),
    }
)


def text_of(answer: Any) -> str:
    return answer.decode(errors="replace") if isinstance(answer, bytes) else str(answer)


def harmless(answer: bytes | str) -> str:
    """Somebody else's words in one line that is not too long and does nothing to a terminal."""
    line = " ".join(text_of(answer).split())
    shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"


def fields(flat: Any) -> dict[str, str]:
    """A flat list of names and values as the protocol sends it; anything else is empty."""
    words = [text_of(each) for each in flat] if isinstance(flat, list) else []
    return dict(zip(words[::2], words[1::2], strict=False))


def lines(answer: Any) -> dict[str, str]:
    """`name:value` lines, as INFO and CLUSTER INFO answer."""
    text = text_of(answer) if isinstance(answer, bytes | str) else ""
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return dict(pairs)


def info(answer: Any) -> dict[str, str]:
    """The fields of INFO that matter here. Valkey 8.1 and newer call one of them otherwise."""
    found = lines(answer)
    if mode := found.get("server_mode"):
        found["redis_mode"] = mode
    return {
        name: value
        for name, value in found.items()
        if name in _KEPT or re.fullmatch(r"slave\d+", name)
    }


def address(host: Any, port: Any) -> Address:
    return Address(text_of(host), int(text_of(port)))


# Sentinels


def view(answers: dict[str, Any]) -> View:
    """What a Sentinel says; answers by command, an exception where one was refused."""
    id = text_of(answers["myid"]) if isinstance(answers["myid"], bytes) else ""
    master = fields(answers["master"])
    if not master:
        return View(id, None, tilt=_tilts(answers))
    named = answers["named"]
    primary = address(*named) if isinstance(named, list) else address(master["ip"], master["port"])
    return View(
        id=id,
        primary=primary,
        flags=_flags(master),
        quorum=int(master["quorum"]),
        down_after_ms=int(master["down-after-milliseconds"]),
        failover_timeout_ms=int(master["failover-timeout"]),
        parallel_syncs=int(master["parallel-syncs"]),
        replicas=_all_listed(answers["replicas"]),
        others=_all_listed(answers["sentinels"]),
        quorum_trouble=_quorum_trouble(answers["ckquorum"]),
        tilt=_tilts(answers),
        also_named=tuple(_namesakes(master, answers["masters"])),
    )


def _tilts(answers: dict[str, Any]) -> bool:
    return info(answers["info"]).get("sentinel_tilt") == "1"


def _flags(row: dict[str, str]) -> frozenset[str]:
    return frozenset(row["flags"].split(","))


def _all_listed(rows: Any) -> tuple[Listed, ...]:
    """None where the question was refused."""
    return tuple(map(_listed, rows)) if isinstance(rows, list) else ()


def _listed(flat: Any) -> Listed:
    row = fields(flat)
    priority = int(row.get("slave-priority", "100"))
    return Listed(address(row["ip"], row["port"]), _flags(row), row.get("runid", ""), priority)


def _quorum_trouble(answer: Any) -> str:
    """CKQUORUM answers `OK ...` or the error NOQUORUM; who may not ask it knows nothing."""
    if isinstance(answer, NoPermissionError) or text_of(answer).startswith("OK"):
        return ""
    return text_of(answer)


def _namesakes(master: dict[str, str], masters: Any) -> Iterator[str]:
    for row in map(fields, masters if isinstance(masters, list) else []):
        same = (row["ip"], row["port"]) == (master["ip"], master["port"])
        if same and row["name"] != master["name"]:
            yield row["name"]


# Data nodes


def watchers(answer: Any) -> frozenset[str]:
    """Sentinels name their connections `sentinel-`, 8 characters of their id, `-pubsub`."""
    text = text_of(answer) if isinstance(answer, bytes) else ""
    return frozenset(re.findall(r" name=sentinel-([0-9a-f]{8})-pubsub ", text))


def members(answer: Any) -> tuple[Member, ...]:
    """CLUSTER NODES: `id host:port@bus[,name] flags primary ping pong epoch link slots...`"""
    text = text_of(answer) if isinstance(answer, bytes) else ""
    found = []
    for words in map(str.split, text.splitlines()):
        host, _, port = words[1].split("@")[0].rpartition(":")
        if host:
            flags = frozenset(words[2].split(","))
            follows = "" if words[3] == "-" else words[3]
            found.append(Member(Address(host, int(port)), flags, words[0], follows, len(words) > 8))
    return tuple(found)


def refusals(answer: Any) -> tuple[Refusal, ...]:
    """ACL LOG, newest first. A key is left out: its name may be that of a ticket."""
    rows = [fields(each) for each in answer] if isinstance(answer, list) else []
    return tuple(
        Refusal(
            user=row["username"],
            reason=row["reason"],
            object="" if row["reason"] == "key" else row["object"],
            times=int(row["count"]),
            age_s=float(row["age-seconds"]),
        )
        for row in rows
    )


# Errors


def not_understood(exc: Exception) -> Failure:
    """An answer of another shape than that of the servers which are known."""
    words = harmless(f"{type(exc).__name__}: {exc}")
    return Failure(Cause.NOT_UNDERSTOOD, f"its answer is not understood ({words})")


def failure(exc: Exception) -> Failure:
    """Why a server could not be asked."""
    if isinstance(exc, InvalidResponse):
        return not_understood(exc)
    chain = tuple(_chain(exc))
    for each in chain:
        if isinstance(each, ssl.SSLCertVerificationError):
            return Failure(_certificate_cause(each.verify_code), each.verify_message)
        if isinstance(each, ssl.SSLError):
            return Failure(Cause.TLS, each.reason or text_of(each))
        if isinstance(each, socket.gaierror):
            return Failure(Cause.UNRESOLVED, each.strerror or "")
        if isinstance(each, ConnectionRefusedError):
            return Failure(Cause.REFUSED, "connection refused")
    return Failure(_cause(exc), text_of(exc))


def _chain(exc: BaseException | None) -> Iterator[BaseException]:
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__


def _certificate_cause(code: int) -> Cause:
    if code in _EXPIRED:
        return Cause.CERTIFICATE_EXPIRED
    return Cause.CERTIFICATE_NAME if code in _OTHER_NAME else Cause.CERTIFICATE_UNTRUSTED


def _cause(exc: BaseException) -> Cause:
    if isinstance(exc, redis.TimeoutError):
        return Cause.SILENT
    if isinstance(exc, AuthenticationError):
        if "without any password configured" in str(exc):
            return Cause.PASSWORD_UNWANTED
        missing = "Authentication required" in str(exc) or "NOAUTH" in str(exc)
        return Cause.PASSWORD_MISSING if missing else Cause.PASSWORD_WRONG
    return Cause.OTHER
