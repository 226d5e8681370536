"""Reads the packed record that `lua/record.lua` documents and writes."""

from __future__ import annotations

import struct
from uuid import UUID

from guarita.stores.base import Grant, Record

_OPENED, _USED, _REVOKED = 1, 2, 4
_TICKET_BYTES = 12
_SESSION = struct.Struct(">6sI32s32s")


def pack_grant(grant: Grant) -> bytes:
    """The grant as bytes, empty when nothing was given; `Grant` allows no line breaks."""
    lines = (grant.tenant, grant.origin, grant.subject, grant.claims)
    return "\n".join(lines).rstrip("\n").encode()


def unpack_grant(data: bytes) -> Grant:
    return Grant(*data.decode().split("\n")) if data else Grant()


def split_id(id: UUID) -> tuple[bytes, int]:
    """A UUIDv4 without its six fixed bits, as 15 bytes for the key and two bits for the record."""
    high, low = id.int >> 80, id.int & (1 << 62) - 1
    random = (high << 12 | id.int >> 64 & 0xFFF) << 62 | low
    return (random >> 2).to_bytes(15), random & 3


def created_at_us(data: bytes) -> int:
    return int.from_bytes(data[1:8])


def unpack_record(id: UUID, data: bytes) -> Record:
    """Read what the scripts answer: a record in its long form."""
    flags = data[0]
    used_at_ms, expires_s, attempt, token = 0, 0, b"", b""
    grant = _TICKET_BYTES
    if flags & _USED:
        used_at, expires_s, attempt, token = _SESSION.unpack_from(data, _TICKET_BYTES)
        used_at_ms = int.from_bytes(used_at)
        grant += _SESSION.size
    return Record(
        id,
        created_at_ms=created_at_us(data) // 1000,
        ticket_expires_at_ms=int.from_bytes(data[8:12]) * 1000,
        grant=unpack_grant(data[grant:]),
        iframe_opened=bool(flags & _OPENED),
        used=bool(flags & _USED),
        revoked=bool(flags & _REVOKED),
        used_at_ms=used_at_ms,
        session_expires_at_ms=expires_s * 1000,
        attempt_sha256=attempt,
        token_sha256=token,
    )
