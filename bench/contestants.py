"""Who is measured: how each is started, what it is asked, and how its records are named."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import quote
from uuid import UUID, uuid4

from bench.load import Answer, Request
from guarita.stores.record import split_id

Row = Literal["create", "redeem", "verify"]
ROWS: tuple[Row, ...] = ("create", "redeem", "verify")
Server = Literal["gunicorn", "granian"]
SECRET = "only-for-measuring-" + "x" * 32
JSON = (("Content-Type", "application/json"),)


@dataclass(frozen=True, slots=True)
class Site:
    """Where a contestant runs: its directory, its port, and the store."""

    directory: Path
    port: int
    primary: str
    sentinels: tuple[str, ...]


@dataclass(frozen=True)
class Contestant(ABC):
    """A server that makes a session for a user, uses it once and tells who it belongs to."""

    name: str
    label: str
    key_prefix: bytes

    is_ours: ClassVar[bool] = False

    @property
    def rows(self) -> tuple[Row, ...]:
        """What it is measured at."""
        return ROWS

    @property
    def is_floor(self) -> bool:
        """Whether it is there to show what is possible, not as a rival."""
        return False

    @property
    def is_weighed(self) -> bool:
        """Whether its records are like nobody else's."""
        return True

    @abstractmethod
    def argv(self, site: Site) -> list[str]:
        """The command that serves on `site.port`."""

    @abstractmethod
    def create(self) -> Request: ...

    @abstractmethod
    def new_id(self, model: Answer) -> str:
        """An id whose record may be a copy of the one that `model` is the answer to."""

    @abstractmethod
    def key(self, id: str) -> bytes:
        """The key of its record."""

    @abstractmethod
    def redeem(self, id: str) -> Request: ...

    @abstractmethod
    def verify(self, answer: Answer) -> Request:
        """Ask for the session that this answer, to its creation or redeem, has given."""


@dataclass(frozen=True)
class Guarita(Contestant):
    """Guarita with one worker; it finds the primary through Sentinel."""

    server: Server
    durability: str
    remembers: bool = False
    """Whether a verify may be answered from the process's memory, as by default."""

    is_ours = True

    @property
    def rows(self) -> tuple[Row, ...]:
        return ("verify",) if self.remembers else ROWS

    @property
    def is_weighed(self) -> bool:
        return self.server == "gunicorn" and not self.remembers

    def argv(self, site: Site) -> list[str]:
        settings = {
            "server": {
                "kind": self.server,
                "bind": f"127.0.0.1:{site.port}",
                "workers": 1,
            },
            "store": {
                "topology": "sentinel",
                "durability": self.durability,
                "sentinel": {"primary_name": "guarita", "nodes": list(site.sentinels)},
            },
            "sessions": {"max_sessions": 0, "cache_age_s": 2 if self.remembers else 0},
            "security": {"secret": SECRET},
        }
        config = site.directory / f"{self.name}.yaml"
        config.write_text(json.dumps(settings))
        return [sys.executable, "-m", "guarita", "--config", str(config), "serve"]

    def create(self) -> Request:
        return Request("POST", "/auth/create-session", JSON, '{"subject": "user-1"}')

    def new_id(self, model: Answer) -> str:
        """The last two bits of an id lie in its record, so they stay."""
        last = UUID(json.loads(model.body)["session_id"]).int & 3
        return str(UUID(int=uuid4().int & ~3 | last))

    def key(self, id: str) -> bytes:
        return self.key_prefix + split_id(UUID(id))[0]

    def redeem(self, id: str) -> Request:
        body = {"session_id": id, "attempt": secrets.token_hex(16)}
        return Request("POST", "/auth/redeem", JSON, json.dumps(body))

    def verify(self, answer: Answer) -> Request:
        token = json.loads(answer.body)["session_token"]
        return Request("GET", "/auth/verify", (("Cookie", f"__Host-guarita={token}"),))


@dataclass(frozen=True)
class Peer(Contestant):
    """One of `bench/peers`: `POST /create`, `POST /redeem` and `GET /verify`, by cookie."""

    command: Callable[[Site], list[str]]
    cookie: str
    id_characters: int

    @property
    def is_floor(self) -> bool:
        return self.name == "go"

    def argv(self, site: Site) -> list[str]:
        settings = {"STORE_URL": f"redis://{site.primary}/0", "SECRET": SECRET, "PORT": site.port}
        return [
            "env",
            "NODE_ENV=production",
            *(f"{name}={value}" for name, value in settings.items()),
            *self.command(site),
        ]

    def create(self) -> Request:
        return Request("POST", "/create")

    def new_id(self, model: Answer) -> str:  # noqa: ARG002 - no id is in a peer's record
        return secrets.token_hex(self.id_characters)[: self.id_characters]

    def key(self, id: str) -> bytes:
        return self.key_prefix + id.encode()

    def redeem(self, id: str) -> Request:
        value = _signed(id) if self.name == "express" else id
        return Request("POST", "/redeem", (("Cookie", f"{self.cookie}={value}"),))

    def verify(self, answer: Answer) -> Request:
        return Request("GET", "/verify", (("Cookie", answer.cookie),))


def _signed(id: str) -> str:
    """As express-session signs what is in its cookie."""
    mac = hmac.digest(SECRET.encode(), id.encode(), "sha256")
    return quote(f"s:{id}.{base64.b64encode(mac).decode().rstrip('=')}", safe="")


def ours() -> list[Guarita]:
    return [*_under("gunicorn", "guarita", ""), *_under("granian", "guarita-granian", " (granian)")]


def _under(server: Server, name: str, suffix: str) -> list[Guarita]:
    def one(how: str, label: str, durability: str, *, remembers: bool = False) -> Guarita:
        label = f"Guarita, {label}{suffix}"
        return Guarita(f"{name}-{how}", label, b"auth_session:", server, durability, remembers)

    return [
        one("balanced", "balanced", "balanced"),
        one("fast", "fast", "fast"),
        one("remembers", "remembered sessions", "balanced", remembers=True),
    ]


def peers(installed: Path) -> list[Peer]:
    """The peers, as `bench.install` lays them out in `installed`."""
    bin = installed / "venv/bin"

    def uvicorn(site: Site) -> list[str]:
        options = ["--port", str(site.port), "--no-access-log", "--log-level", "warning"]
        folder = str(installed / "fastapi")
        return [str(bin / "uvicorn"), "--app-dir", folder, "peer:app", *options]

    def gunicorn(site: Site) -> list[str]:
        bind = f"127.0.0.1:{site.port}"
        options = ["-k", "gevent", "-w", "1", "--bind", bind, "--keep-alive", "5"]
        folder = str(installed / "flask")
        return [str(bin / "gunicorn"), *options, "--chdir", folder, "peer:app"]

    def node(_site: Site) -> list[str]:
        return ["node", str(installed / "express/peer.js")]

    def go(_site: Site) -> list[str]:
        return [str(installed / "go/peer")]

    express = "express-session + connect-redis"
    floor = "Go net/http + go-redis (floor)"
    return [
        Peer("fastapi", "FastAPI + redis.asyncio", b"session:", uvicorn, "sid", 32),
        Peer("flask", "Flask + Flask-Session", b"session:", gunicorn, "session", 43),
        Peer("express", express, b"sess:", node, "connect.sid", 32),
        Peer("go", floor, b"session:", go, "sid", 26),
    ]
