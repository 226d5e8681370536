"""The store on Redis or Valkey: which script, which keys, what the answer means.

Every change of a ticket is one script on its record, atomic with the counters that `status`
adds up: they lie on the same node. On a Cluster there are sixteen sets of counters, chosen by
the id, so that this stays true; elsewhere one.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from guarita.deadline import Deadline
from guarita.errors import StoreOutcomeUnknown, StoreUnavailable
from guarita.stores import scripts
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
from guarita.stores.cache import Cache, name_of_subject
from guarita.stores.lane import Lane
from guarita.stores.pipeline import Argument
from guarita.stores.record import (
    created_at_us,
    pack_grant,
    split_id,
    unpack_record,
)
from guarita.stores.scripts import Script

CLUSTER_TAGS = tuple("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class KeyNames:
    """How keys are named; a `tag` in braces keeps keys of one lane in one Cluster slot."""

    prefix: str
    stats: str

    def records(self, tag: str) -> bytes:
        """What each record's key begins with; 15 bytes of the id follow."""
        return f"{self.prefix}{_braced(tag)}".encode()

    def record(self, id: UUID, tag: str) -> bytes:
        return self.records(tag) + split_id(id)[0]

    def counters(self, tag: str) -> bytes:
        return f"{self.stats}{_braced(tag)}".encode()

    def expiring(self, tag: str) -> bytes:
        return self.counters(tag) + b":expiring"

    def probe(self, tag: str) -> bytes:
        return self.counters(tag) + b":probe"

    def revocations(self, tag: str) -> bytes:
        """The channel on which the names of what is revoked are published."""
        return self.counters(tag) + b":revocations"

    def revoked(self, subject: bytes, tag: str) -> bytes:
        return self.counters(tag) + b":revoked:" + subject


def _braced(tag: str) -> str:
    return f"{{{tag}}}" if tag else ""


class RedisStore:
    """A `Store` on one lane (standalone, Sentinel) or on one for each of `CLUSTER_TAGS`."""

    kind = "redis"

    def __init__(
        self,
        lanes: Sequence[Lane],
        names: KeyNames,
        *,
        cache: Cache,
        on_close: Callable[[], None],
    ) -> None:
        """What is revoked here is dropped from `cache` at once."""
        self._lanes = lanes
        self._names = names
        self._keys = {
            lane.tag: (names.records(lane.tag), names.counters(lane.tag), names.expiring(lane.tag))
            for lane in lanes
        }
        self._marked = int(len(lanes) == 1)  # marks of subjects lie beside every record
        self._cache = cache
        self._on_close = on_close

    def create(
        self, id: UUID, grant: Grant, *, ttl_s: int, max_sessions: int, deadline: Deadline
    ) -> Created:
        """On a Cluster, `max_sessions` may be passed by what is created at the same moment:
        the sum over its nodes is read before the write."""
        most = max_sessions
        if len(self._lanes) > 1 and max_sessions > 0:
            most = -1 if self.status(deadline=deadline).total_sessions >= max_sessions else 0
        lane = self._lane(id)
        words = (ttl_s, most, pack_grant(grant))
        answer = self._write(lane, scripts.CREATE, id, *words, deadline=deadline)
        return Created(answer.decode())

    def open(self, id: UUID, *, deadline: Deadline) -> Record | None:
        return self._fetch(scripts.OPEN, id, deadline)

    def redeem(self, redeem: Redeem, *, deadline: Deadline) -> RedeemResult:
        lane = self._lane(redeem.id)
        answer = self._write(
            lane,
            scripts.REDEEM,
            redeem.id,
            redeem.attempt_sha256,
            redeem.token_sha256,
            redeem.session_ttl_s,
            redeem.replay_window_s,
            int(redeem.revoke_on_replay),
            redeem.id.bytes,
            self._marked,
            deadline=deadline,
        )
        outcome = Redeemed(answer[0].decode())
        if outcome is Redeemed.UNKNOWN:
            return RedeemResult(outcome, None)
        try:
            record = self._current(redeem.id, answer[1], deadline)
        except StoreUnavailable as exc:
            raise StoreOutcomeUnknown(f"the ticket was changed, but then: {exc}") from exc
        if record.revoked:
            self._cache.drop(redeem.id.bytes)
            if outcome in (Redeemed.ADMITTED, Redeemed.REPLAYED):
                outcome = Redeemed.REVOKED
        return RedeemResult(outcome, record)

    def read(self, id: UUID, *, deadline: Deadline) -> Record | None:
        return self._fetch(scripts.READ, id, deadline)

    def revoke(self, id: UUID, *, tenant: str | None, deadline: Deadline) -> bool:
        lane = self._lane(id)
        words = ("0", "") if tenant is None else ("1", tenant)
        try:
            answer = self._write(lane, scripts.REVOKE, id, *words, id.bytes, deadline=deadline)
        finally:  # also where it is not known whether it was applied
            self._cache.drop(id.bytes)
        return bool(answer)

    def revoke_subject(self, tenant: str, subject: str, *, ttl_s: int, deadline: Deadline) -> None:
        """Sets a mark that is compared with the creation of each record of the subject.

        On a Cluster the two times may come from nodes whose clocks differ: a ticket made within
        that difference is taken for older or younger than it is.
        """
        name = name_of_subject(tenant, subject)
        lane = self._lane_of_subject(name)
        mark, channel = self._names.revoked(name, lane.tag), self._names.revocations(lane.tag)
        words = (mark, self._names.counters(lane.tag), ttl_s, channel, name)
        try:
            lane.write(2, *words, script=scripts.REVOKE_SUBJECT, deadline=deadline)
        finally:
            self._cache.drop(name)

    def status(self, *, deadline: Deadline) -> Status:
        counts = [self._counts(lane, deadline) for lane in self._lanes]
        return Status(*(sum(column) for column in zip(*counts, strict=True)))

    def ping(self, *, deadline: Deadline) -> None:
        for lane in self._lanes:
            lane.write("SET", self._names.probe(lane.tag), "1", "PX", 1000, deadline=deadline)

    def acknowledgements(self) -> tuple[Acknowledgement, ...]:
        return tuple(dict.fromkeys(lane.acknowledgement for lane in self._lanes))

    def close(self) -> None:
        self._on_close()

    def _write(
        self, lane: Lane, script: Script, id: UUID, *args: Argument, deadline: Deadline
    ) -> Any:
        words = (*self._place(lane, id), *args)
        return lane.write(*words, script=script, deadline=deadline)

    def _fetch(self, script: Script, id: UUID, deadline: Deadline) -> Record | None:
        lane = self._lane(id)
        words = (*self._place(lane, id), self._marked)
        data: bytes | None = lane.read(*words, script=script, deadline=deadline)
        return self._current(id, data, deadline) if data else None

    def _counts(self, lane: Lane, deadline: Deadline) -> Sequence[int]:
        _, counters, expiring = self._keys[lane.tag]
        keys = [counters, counters, expiring]  # no record: its place in the scripts stays filled
        counts: Sequence[int] = lane.read(
            len(keys), *keys, script=scripts.STATUS, deadline=deadline
        )
        return counts

    def _current(self, id: UUID, data: bytes, deadline: Deadline) -> Record:
        """The record; revoked where its subject was revoked after it was created."""
        record = unpack_record(id, data)
        if self._marked or record.revoked or not record.grant.subject:
            return record  # the script has looked
        name = name_of_subject(record.grant.tenant, record.grant.subject)
        lane = self._lane_of_subject(name)
        mark = lane.read("GET", self._names.revoked(name, lane.tag), deadline=deadline)
        return replace(record, revoked=mark is not None and created_at_us(data) <= int(mark))

    def _place(self, lane: Lane, id: UUID) -> tuple[Argument, ...]:
        """How every script on a record begins: its keys, and the rest of the id."""
        key, rest = split_id(id)
        records, counters, expiring = self._keys[lane.tag]
        return 3, records + key, counters, expiring, rest

    def _lane(self, id: UUID) -> Lane:
        return self._lanes[id.bytes[0] % len(self._lanes)]

    def _lane_of_subject(self, name: bytes) -> Lane:
        return self._lanes[zlib.crc32(name) % len(self._lanes)]
