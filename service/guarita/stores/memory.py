"""Tickets in this process's memory: for development, tests and the smallest demo."""

from __future__ import annotations

import heapq
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from uuid import UUID

from guarita.deadline import Deadline
from guarita.stores.base import (
    Acknowledgement,
    Created,
    Grant,
    Record,
    Redeem,
    Redeemed,
    RedeemResult,
    Status,
)


@dataclass(slots=True)
class _Tally:
    """What status reports, kept up to date with every change."""

    live: int = 0
    used: int = 0
    total_created: int = 0
    total_used: int = 0


def _expires_at_ms(record: Record) -> int:
    return max(record.ticket_expires_at_ms, record.session_expires_at_ms)


@dataclass(slots=True)
class MemoryStore:
    """A `Store` without a server. One process only; everything is gone when it ends."""

    now: Callable[[], float] = time.time
    kind: str = field(default="memory", init=False)
    _records: dict[UUID, Record] = field(default_factory=dict, init=False)
    _expiring: list[tuple[int, bytes]] = field(default_factory=list, init=False)
    _subjects: dict[tuple[str, str], set[UUID]] = field(default_factory=dict, init=False)
    _tally: _Tally = field(default_factory=_Tally, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def create(
        self, id: UUID, grant: Grant, *, ttl_s: int, max_sessions: int, deadline: Deadline
    ) -> Created:
        with self._lock:
            now_ms = self._sweep()
            if existing := self._records.get(id):
                return Created.REPEATED if existing.grant == grant else Created.CONFLICT
            if 0 < max_sessions <= self._tally.live:
                return Created.FULL
            self._keep(Record(id, now_ms, _whole_second_ms(now_ms, ttl_s), grant))
            if grant.subject:
                self._subjects.setdefault((grant.tenant, grant.subject), set()).add(id)
            self._tally.total_created += 1
            self._tally.live += 1
            return Created.NEW

    def open(self, id: UUID, *, deadline: Deadline) -> Record | None:
        with self._lock:
            self._sweep()
            record = self._records.get(id)
            if record and not (record.used or record.revoked):
                record = replace(record, iframe_opened=True)
                self._records[id] = record
            return record

    def redeem(self, redeem: Redeem, *, deadline: Deadline) -> RedeemResult:
        with self._lock:
            now_ms = self._sweep()
            record = self._records.get(redeem.id)
            if record is None:
                return RedeemResult(Redeemed.UNKNOWN, None)
            if record.revoked:
                return RedeemResult(Redeemed.REVOKED, record)
            if record.used:
                return self._repeat(redeem, record, now_ms)
            record = replace(
                record,
                used=True,
                used_at_ms=now_ms,
                session_expires_at_ms=_whole_second_ms(now_ms, redeem.session_ttl_s),
                attempt_sha256=redeem.attempt_sha256,
                token_sha256=redeem.token_sha256,
            )
            self._keep(record)
            self._tally.used += 1
            self._tally.total_used += 1
            return RedeemResult(Redeemed.ADMITTED, record)

    def read(self, id: UUID, *, deadline: Deadline) -> Record | None:
        with self._lock:
            self._sweep()
            return self._records.get(id)

    def revoke(self, id: UUID, *, tenant: str | None, deadline: Deadline) -> bool:
        with self._lock:
            self._sweep()
            record = self._records.get(id)
            if record is None or tenant not in (None, record.grant.tenant):
                return False
            self._revoke(record)
            return True

    def revoke_subject(self, tenant: str, subject: str, *, ttl_s: int, deadline: Deadline) -> None:
        with self._lock:
            self._sweep()
            for id in self._subjects.get((tenant, subject), ()):
                self._revoke(self._records[id])

    def status(self, *, deadline: Deadline) -> Status:
        with self._lock:
            self._sweep()
            tally = self._tally
            return Status(tally.live, tally.used, tally.total_created, tally.total_used)

    def ping(self, *, deadline: Deadline) -> None:
        return

    def acknowledgements(self) -> tuple[Acknowledgement, ...]:
        return ()

    def close(self) -> None:
        return

    def _repeat(self, redeem: Redeem, record: Record, now_ms: int) -> RedeemResult:
        same = (record.attempt_sha256, record.token_sha256) == (
            redeem.attempt_sha256,
            redeem.token_sha256,
        )
        if same and now_ms > record.session_expires_at_ms:
            return RedeemResult(Redeemed.EXPIRED, record)
        if same and now_ms - record.used_at_ms <= redeem.replay_window_s * 1000:
            return RedeemResult(Redeemed.REPLAYED, record)
        if not same and redeem.revoke_on_replay:
            record = self._revoke(record)
        return RedeemResult(Redeemed.USED, record)

    def _revoke(self, record: Record) -> Record:
        if record.revoked:
            return record
        self._tally.live -= 1
        self._tally.used -= record.used
        revoked = replace(record, revoked=True)
        self._records[record.id] = revoked
        return revoked

    def _keep(self, record: Record) -> None:
        self._records[record.id] = record
        heapq.heappush(self._expiring, (_expires_at_ms(record), record.id.bytes))

    def _sweep(self) -> int:
        """Forget what has expired; returns the time, in milliseconds."""
        now_ms = int(self.now() * 1000)
        while self._expiring and self._expiring[0][0] < now_ms:
            record = self._records.get(UUID(bytes=heapq.heappop(self._expiring)[1]))
            if record and _expires_at_ms(record) < now_ms:
                self._forget(record)
        return now_ms

    def _forget(self, record: Record) -> None:
        del self._records[record.id]
        owner = (record.grant.tenant, record.grant.subject)
        if ids := self._subjects.get(owner):
            ids.discard(record.id)
            if not ids:
                del self._subjects[owner]
        if not record.revoked:
            self._tally.live -= 1
            self._tally.used -= record.used


def _whole_second_ms(now_ms: int, ttl_s: int) -> int:
    """Expiries are whole seconds, rounded up, as in the Redis store."""
    return math.ceil((now_ms + ttl_s * 1000) / 1000) * 1000
