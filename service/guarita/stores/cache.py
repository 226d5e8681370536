"""What one process remembers of the sessions it verified last, so that the next verify asks nobody.

Holds live sessions only: no refusal, no unknown ticket, no error. Knows no Redis.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from guarita.stores.base import Record


class Ear(Protocol):
    """A connection on which revocations are heard; once `ended` it hears nothing any more."""

    @property
    def ended(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """The moment before the store was asked, and how much had been forgotten until then."""

    at_s: float
    era: int


@dataclass(frozen=True, slots=True)
class _Entry:
    record: Record
    made_of_it: Any
    until_s: float
    subject: bytes


class Cache:
    """Records by id, each for `age_s` seconds after the store was asked for it, `most` at once.

    It keeps something only while all `ears` hear what other processes revoke. Safe for threads
    and greenlets; no operation waits for anything or looks at more than it changes.
    """

    def __init__(
        self,
        *,
        age_s: float = 0.0,
        most: int = 0,
        ears: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Without ears it keeps nothing."""
        self._age_s = age_s
        self._most = most
        self._ears = ears
        self._clock = clock
        self._lock = threading.Lock()
        self._hearing: set[Ear] = set()
        self._era = 0
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._of_subject: dict[bytes, set[bytes]] = {}

    @property
    def is_on(self) -> bool:
        """Whether there are ears at all, be they hearing or not."""
        return self._ears > 0

    def get(self, id: bytes) -> tuple[Record, Any] | None:
        """The record that verify accepted, if that is not too long ago, and what was made of it."""
        entry = self._entries.get(id)
        if entry is None or self._clock() >= entry.until_s:
            return None
        return entry.record, entry.made_of_it

    def ask(self) -> Asked:
        """To be called before the store is asked, and given to `keep`."""
        return Asked(self._clock(), self._era)

    def keep(self, record: Record, asked: Asked, made_of_it: Any = None) -> None:
        """Remember a live session, unless anything was revoked since the store was asked.

        The age counts from the question: the answer may have been long on its way.
        """
        until_s = asked.at_s + self._age_s
        if not self.is_on or self._clock() >= until_s:
            return
        id, grant = record.id.bytes, record.grant
        subject = name_of_subject(grant.tenant, grant.subject) if grant.subject else b""
        with self._lock:
            if asked.era != self._era or len(self._hearing) < self._ears:
                return
            self._remove(id)
            self._make_room()
            self._entries[id] = _Entry(record, made_of_it, until_s, subject)
            if subject:
                self._of_subject.setdefault(subject, set()).add(id)

    def drop(self, name: bytes) -> None:
        """Forget what was revoked: `name` is a ticket's id, or that of a subject.

        An answer that is on its way may be from before: it is not kept.
        """
        with self._lock:
            self._era += 1
            self._remove(name)
            for id in tuple(self._of_subject.get(name, ())):
                self._remove(id)

    def hears(self, ear: Ear) -> None:
        """From now on this ear misses nothing."""
        with self._lock:
            if not ear.ended:
                self._era += 1
                self._hearing.add(ear)

    def misses(self, ear: Ear) -> None:
        """This ear may miss something: forget everything, until it hears again."""
        with self._lock:
            if ear in self._hearing:
                self._era += 1
                self._hearing.discard(ear)
                self._entries.clear()
                self._of_subject.clear()

    def _make_room(self) -> None:
        """Entries lie in the order in which they were kept, so the first are the oldest."""
        now_s = self._clock()
        while self._entries:
            id, oldest = next(iter(self._entries.items()))
            if len(self._entries) < self._most and now_s < oldest.until_s:
                return
            self._remove(id)

    def _remove(self, id: bytes) -> None:
        entry = self._entries.pop(id, None)
        if entry is not None and entry.subject:
            ids = self._of_subject[entry.subject]
            ids.discard(id)
            if not ids:
                del self._of_subject[entry.subject]


def name_of_subject(tenant: str, subject: str) -> bytes:
    """What stands for a subject of a tenant, in keys and in what is published."""
    return f"{tenant}\n{subject}".encode()
