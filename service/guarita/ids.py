"""Ticket ids as text: a canonical UUIDv4, with the home region in front where regions are used."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from uuid import UUID

from guarita.errors import Malformed

_UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_TICKET = re.compile(rf"(?:([a-z0-9](?:[a-z0-9-]{{0,30}}[a-z0-9])?)\.)?({_UUID4})")


@dataclass(frozen=True, slots=True)
class TicketId:
    """A ticket's id; `region` is empty where the installation has no regions."""

    uuid: UUID
    region: str = ""
    _text: str = field(init=False, repr=False, compare=False)  # it is asked for several times

    def __post_init__(self) -> None:
        text = f"{self.region}.{self.uuid}" if self.region else str(self.uuid)
        object.__setattr__(self, "_text", text)

    @classmethod
    def parse(cls, text: str) -> TicketId:
        """Read an id; raises `Malformed` on anything but the one canonical spelling."""
        match = _TICKET.fullmatch(text)
        if match is None:
            raise Malformed("session_id must be a canonical lower-case UUIDv4")
        return cls(UUID(match[2]), match[1] or "")

    def __str__(self) -> str:
        return self._text


def uuid4_from(data: bytes) -> UUID:
    """A UUIDv4-shaped id from the first 16 bytes of `data` (RFC 9562 section 5.4)."""
    return UUID(bytes=data[:16], version=4)
