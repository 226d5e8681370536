"""The Lua scripts, each the shared part and its own file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files

_LUA = files(__package__) / "lua"


@dataclass(frozen=True, slots=True)
class Script:
    """A script's text and the SHA-1 that `EVALSHA` calls it by."""

    text: bytes
    sha1: bytes

    @classmethod
    def load(cls, name: str, *, shared: bool = True) -> Script:
        parts = ["record.lua", f"{name}.lua"] if shared else [f"{name}.lua"]
        text = b"\n".join((_LUA / part).read_bytes() for part in parts)
        return cls(text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())


CREATE = Script.load("create")
OPEN = Script.load("open")
READ = Script.load("read")
REDEEM = Script.load("redeem")
REVOKE = Script.load("revoke")
STATUS = Script.load("status")
REVOKE_SUBJECT = Script.load("revoke_subject", shared=False)

ALL = (CREATE, OPEN, READ, REDEEM, REVOKE, STATUS, REVOKE_SUBJECT)
