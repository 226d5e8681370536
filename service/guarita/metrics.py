"""What Prometheus reads. Labels are closed sets: never an id, a tenant, an address or a path."""

from __future__ import annotations

import os
import struct
from functools import cache
from pathlib import Path
from typing import Any

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector

_DOUBLES = struct.Struct("dd")  # of a value in the file that processes share: it, and a time
_pid = os.getpid()


def _note_pid() -> None:
    global _pid
    _pid = os.getpid()


# Left to itself, prometheus-client asks the kernel for it at every count, to notice a fork.
os.register_at_fork(after_in_child=_note_pid)
if values.ValueClass._multiprocess:
    _Shared: Any = values.MultiProcessValue(lambda: _pid)  # type: ignore[no-untyped-call]

    class _Value(_Shared):  # type: ignore[misc]
        """Counted at each request, four times: a sixth of the original's way to the file."""

        _lock = values.Lock()  # type: ignore[attr-defined]
        _counts_for = _pid

        def inc(self, amount: float) -> None:
            if _pid != self._counts_for:  # a copy, whose values are to be made anew
                super().inc(amount)
                return
            with self._lock:
                self._value += amount
                file = self._file
                _DOUBLES.pack_into(file._m, file._positions[self._key], self._value, 0.0)

    values.ValueClass = _Value

CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"

REQUESTS = Counter(
    "guarita_http_requests", "HTTP requests answered.", ["method", "route", "status"]
)
REQUEST_SECONDS = Histogram(
    "guarita_http_request_duration_seconds",
    "Seconds until a request was answered, waiting for the store included.",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15),
)
TICKETS_CREATED = Counter("guarita_tickets_created", "Tickets created, repeats included.")
REDEEMS = Counter("guarita_redeems", "Redeems by how they ended.", ["outcome"])
VERIFIES = Counter("guarita_verifies", "Session tokens asked about, by the answer.", ["outcome"])
STORE_ERRORS = Counter("guarita_store_errors", "Requests the store failed.", ["kind"])
STORE_PRIMARY_KNOWN = Gauge(
    "guarita_store_primary_known",
    "1 while every primary is known and takes writes.",
    multiprocess_mode="livemin",
)
STORE_REQUIRED = Gauge(
    "guarita_store_required_replicas",
    "Replicas that must have a write before it is acknowledged.",
    multiprocess_mode="livemin",
)
STORE_LEFT_OUT = Gauge(
    "guarita_store_left_out_replicas",
    "Replicas that are down by the word of the Sentinels and need not have a write.",
    multiprocess_mode="livemax",
)
STORE_WAITING = Gauge(
    "guarita_store_waiting_requests",
    "Requests that wait for a primary.",
    multiprocess_mode="livesum",
)
STORE_LOSSES = Counter(
    "guarita_store_losses",
    "Primaries found to lack acknowledged writes: older tickets are refused.",
)
FORWARDS = Counter("guarita_forwards", "Requests passed to another region.", ["outcome"])


@cache
def _of_request(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(method, route, str(status)), REQUEST_SECONDS.labels(route)


def count_request(method: str, route: str, status: int, seconds: float) -> None:
    """One request was answered, after so many seconds."""
    answered, duration = _of_request(method, route, status)
    answered.inc()
    duration.observe(seconds)


@cache
def redeems(outcome: str) -> Counter:
    """The counter of redeems that ended so."""
    return REDEEMS.labels(outcome)


@cache
def verifies(outcome: str) -> Counter:
    """The counter of verifies that were answered so."""
    return VERIFIES.labels(outcome)


def exposition(multiprocess_dir: Path | None) -> bytes:
    """All metrics as text: of every worker that shares `multiprocess_dir`, else of this process."""
    if multiprocess_dir is None:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(multiprocess_dir))  # type: ignore[no-untyped-call]
    return generate_latest(registry)
