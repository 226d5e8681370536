"""What resources answer with: JSON, and moments as text."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache

import orjson


def as_json(value: object) -> bytes:
    """orjson knows no integer of more than 64 bits, and claims may hold one."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, ensure_ascii=False).encode()


def timestamp(ms: float) -> str:
    """RFC 3339 in UTC, in milliseconds."""
    seconds, ms = divmod(int(ms), 1000)
    return f"{_second(seconds)}.{ms:03d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    """What is answered at one time is about few moments: sessions live equally long."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
