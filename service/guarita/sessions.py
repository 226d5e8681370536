"""The life of a ticket: create, open, redeem, verify, revoke.

Knows neither Redis nor HTTP nor the environment; time and randomness are passed in.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import assert_never
from uuid import UUID

from guarita.deadline import Deadline
from guarita.errors import Conflict, LimitReached, Malformed, Reason, Rejected
from guarita.ids import TicketId, uuid4_from
from guarita.stores.base import Created, Grant, Record, Redeem, Redeemed, Status, Store
from guarita.stores.cache import Cache

# The ticket's UUID, then an HMAC-SHA256: 48 bytes, which base64 writes in one way only.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{64}")


@dataclass(frozen=True, slots=True)
class Policy:
    """The limits and secrets that decide what a ticket may do; durations in seconds."""

    secret: bytes
    ticket_ttl_s: int = 1800
    session_ttl_s: int = 1800
    replay_window_s: int = 60
    max_sessions: int = 1000
    revoke_on_replay: bool = False
    region: str = ""


@dataclass(frozen=True)
class Session:
    """A session as its holder may see it."""

    id: TicketId
    expires_at_ms: int
    grant: Grant

    @property
    def subject(self) -> str | None:
        return self.grant.subject or None

    @property
    def claims(self) -> dict[str, object]:
        return json.loads(self.grant.claims) if self.grant.claims else {}

    @cached_property
    def hashed_id(self) -> str:
        """The id as logs and other services may see it."""
        return hashed(str(self.id))


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer to a redeem; `replayed` when the same attempt asked again."""

    session: Session
    token: str
    replayed: bool


def hashed(text: str) -> str:
    """A short SHA-256 of an id, for logs: it names a ticket without opening it."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Sessions:
    """What the HTTP API calls. Safe to share between threads and greenlets."""

    def __init__(
        self,
        store: Store,
        policy: Policy,
        *,
        cache: Cache | None = None,
        now: Callable[[], float] = time.time,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """`cache` is the one that the store was opened with; without one, verify always asks."""
        self.store = store
        self.policy = policy
        self._token_prefix = f"{policy.region}." if policy.region else ""
        self._cache = cache if cache is not None else Cache()
        self._now = now
        self._random_bytes = random_bytes

    def create(
        self, grant: Grant, *, deadline: Deadline, idempotency_key: str | None = None
    ) -> TicketId:
        """Make a ticket; with an idempotency key, a repeat returns the same one.

        Raises `Conflict` when the key came before with another grant, and `LimitReached`.
        """
        uuid = self._new_id(grant.tenant, idempotency_key)
        created = self.store.create(
            uuid,
            grant,
            ttl_s=self.policy.ticket_ttl_s,
            max_sessions=self.policy.max_sessions,
            deadline=deadline,
        )
        match created:
            case Created.NEW | Created.REPEATED:
                return TicketId(uuid, self.policy.region)
            case Created.CONFLICT:
                raise Conflict("this Idempotency-Key was sent before with other contents")
            case Created.FULL:
                raise LimitReached(f"{self.policy.max_sessions} sessions exist already")
        assert_never(created)

    def open(self, id: TicketId, *, deadline: Deadline) -> Grant | None:
        """Note that the page of this ticket was opened; its grant, or None if unknown."""
        record = self.store.open(id.uuid, deadline=deadline)
        return record.grant if record else None

    def redeem(self, id: TicketId, attempt: str | None, *, deadline: Deadline) -> Admission:
        """Use a ticket. The same attempt may ask again inside the replay window.

        Without an attempt one is made up: no later call can repeat it. Raises `Rejected`.
        """
        nonce = attempt.encode() if attempt else self._random_bytes(32)
        token = self._token(id.uuid, nonce)
        result = self.store.redeem(
            Redeem(
                id.uuid,
                attempt_sha256=hashlib.sha256(nonce).digest(),
                token_sha256=hashlib.sha256(token).digest(),
                session_ttl_s=self.policy.session_ttl_s,
                replay_window_s=self.policy.replay_window_s,
                revoke_on_replay=self.policy.revoke_on_replay,
            ),
            deadline=deadline,
        )
        if result.outcome not in (Redeemed.ADMITTED, Redeemed.REPLAYED) or result.record is None:
            grant = result.record.grant if result.record else Grant()
            reason = Reason(result.outcome.value)
            raise Rejected(reason, tenant=grant.tenant, origin=grant.origin)
        return Admission(
            self._session(result.record),
            self._token_text(token),
            replayed=result.outcome is Redeemed.REPLAYED,
        )

    def verify(self, token: str, *, deadline: Deadline) -> Session:
        """The session that a token proves, now. Read only. Raises `Rejected`.

        One that was live a moment ago is not asked for again (`sessions.cache_age_s`).
        """
        raw = _decode_token(token.removeprefix(self._token_prefix))
        remembered = self._cache.get(raw[:16])
        if remembered is not None:
            self._check(remembered[0], raw)
            known: Session = remembered[1]
            return known
        asked = self._cache.ask()
        record = self.store.read(UUID(bytes=raw[:16]), deadline=deadline)
        if record is None:
            raise Rejected(Reason.UNKNOWN)
        self._check(record, raw)
        session = self._session(record)
        self._cache.keep(record, asked, session)
        return session

    def _check(self, record: Record, token: bytes) -> None:
        """Raises `Rejected` unless it is a live session and this its token."""
        if not record.used or not hmac.compare_digest(
            hashlib.sha256(token).digest(), record.token_sha256
        ):
            raise Rejected(Reason.BAD_TOKEN)
        if record.revoked or record.session_expires_at_ms <= self._now() * 1000:
            reason = Reason.REVOKED if record.revoked else Reason.EXPIRED
            raise Rejected(reason, tenant=record.grant.tenant, origin=record.grant.origin)

    def revoke(self, id: TicketId, *, tenant: str | None, deadline: Deadline) -> bool:
        """End one ticket or session; False when there is none (of this tenant)."""
        return self.store.revoke(id.uuid, tenant=tenant, deadline=deadline)

    def revoke_subject(self, subject: str, *, tenant: str, deadline: Deadline) -> None:
        """End everything the subject of this tenant has now; later tickets are not touched."""
        longest_s = self.policy.ticket_ttl_s + self.policy.session_ttl_s
        self.store.revoke_subject(tenant, subject, ttl_s=longest_s + 60, deadline=deadline)

    def status(self, *, deadline: Deadline) -> Status:
        return self.store.status(deadline=deadline)

    def _new_id(self, tenant: str, idempotency_key: str | None) -> UUID:
        if idempotency_key is None:
            return uuid4_from(self._random_bytes(16))
        return uuid4_from(self._mac("create", json.dumps([tenant, idempotency_key]).encode()))

    def _token(self, uuid: UUID, nonce: bytes) -> bytes:
        """Derived, not drawn: the same attempt gets the same token and the store only a hash."""
        return uuid.bytes + self._mac("session", uuid.bytes + nonce)

    def _token_text(self, token: bytes) -> str:
        """The token as its holder keeps it, with the home region in front where there is one."""
        return self._token_prefix + urlsafe_b64encode(token).decode().rstrip("=")

    def _mac(self, purpose: str, data: bytes) -> bytes:
        return hmac.digest(self.policy.secret, purpose.encode() + b"\0" + data, "sha256")

    def _session(self, record: Record) -> Session:
        id = TicketId(record.id, self.policy.region)
        return Session(id, record.session_expires_at_ms, record.grant)


def _decode_token(token: str) -> bytes:
    """Raises `Rejected`: whoever sends a malformed credential learns nothing more."""
    if _TOKEN.fullmatch(token) is None:
        raise Rejected(Reason.BAD_TOKEN)
    return urlsafe_b64decode(token)


def region_of_token(token: str) -> str:
    """The region that a session token names as its home; empty where it names none."""
    return token.rpartition(".")[0]


def parse_attempt(text: str) -> str:
    """An attempt nonce: 8 to 128 printable ASCII characters. Raises `Malformed`."""
    if not (8 <= len(text) <= 128) or not text.isascii() or not text.isprintable():
        raise Malformed("attempt must be 8 to 128 printable ASCII characters")
    return text
