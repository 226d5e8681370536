"""The HTTP API on a memory store, or on a store that fails, for the tests in this folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, NoReturn

from falcon import testing

from guarita.api.app import App, create_app
from guarita.config import Settings
from guarita.errors import StoreError
from guarita.sessions import Policy, Sessions
from guarita.stores.base import Acknowledgement, Store
from guarita.stores.memory import MemoryStore

ACME_KEY = "acme-key-0123456789abcdef"
ZETA_KEY = "zeta-key-0123456789abcdef"
ACME_ORIGIN = "https://acme.example"
TENANTS = [
    {
        "name": "acme",
        "key_sha256": hashlib.sha256(ACME_KEY.encode()).hexdigest(),
        "origins": [ACME_ORIGIN, "https://shop.acme.example:8443"],
    },
    {
        "name": "zeta",
        "key_sha256": hashlib.sha256(ZETA_KEY.encode()).hexdigest(),
        "origins": ["https://zeta.example"],
    },
]
UNKNOWN_ID = "11111111-2222-4333-8444-555555555555"
ATTEMPT = "attempt-0123456789"


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class FailingStore:
    """A store that answers everything with one error."""

    kind = "redis"

    def __init__(self, error: StoreError) -> None:
        self._error = error

    def _fail(self, *_: object, **__: object) -> NoReturn:
        raise self._error

    create = open = redeem = read = revoke = revoke_subject = status = ping = _fail

    def acknowledgements(self) -> tuple[Acknowledgement, ...]:
        return (Acknowledgement("balanced", "", (), (), 3, "no primary answers"),)

    def close(self) -> None:
        return


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


def make_settings(**sections: Any) -> Settings:
    return Settings.model_validate({"store": {"topology": "memory"}} | sections)


@dataclass(slots=True)
class Service:
    """The application, its sessions, and short ways to call it."""

    app: App
    sessions: Sessions
    clock: Clock
    http: testing.TestClient

    def create(self, body: dict[str, Any] | None = None, *, key: str | None = None) -> str:
        """A new ticket's id."""
        answer = self.http.simulate_post(
            "/auth/create-session", json=body or {}, headers=bearer(key) if key else {}
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json["session_id"])

    def redeem(
        self, id: str, attempt: str = ATTEMPT, *, headers: Any = None, **members: Any
    ) -> testing.Result:
        body = {"session_id": id, "attempt": attempt} | members
        return self.http.simulate_post("/auth/redeem", json=body, headers=headers)

    def token(self, id: str) -> str:
        answer = self.redeem(id)
        assert answer.status_code == 200, answer.text
        return str(answer.json["session_token"])

    def total_created(self, key: str | None = None) -> int:
        answer = self.http.simulate_get("/auth/session-status", headers=bearer(key) if key else {})
        return int(answer.json["total_created"])


def open_service(store: Store | None = None, **sections: Any) -> Service:
    """A service with these settings; without `store`, on a new memory store."""
    settings = make_settings(**sections)
    clock = Clock()
    limits = settings.sessions
    policy = Policy(
        secret=b"s" * 32,
        ticket_ttl_s=limits.ticket_ttl_s,
        session_ttl_s=limits.session_ttl_s,
        max_sessions=limits.max_sessions,
        region=settings.region.name,
    )
    sessions = Sessions(store or MemoryStore(now=clock), policy, now=clock)
    app = create_app(settings, sessions)
    return Service(app, sessions, clock, testing.TestClient(app))
