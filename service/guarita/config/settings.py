"""All settings of Guarita as one frozen model; every mistake is reported at once."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic import ModelWrapValidatorHandler as Handler

from guarita.config.addresses import Bind, Network, Origin, Url, is_loopback
from guarita.config.node import NodeSettings
from guarita.config.rules import broken_rules, without_all
from guarita.config.store import Section, StoreSettings
from guarita.config.values import (
    MIN_SECRET_CHARACTERS,
    Age,
    Digest,
    KeyPart,
    Lifetime,
    LowerCase,
    Name,
    OutputFile,
    PeerName,
    RegionName,
    SecretFile,
    Switch,
    Whole,
    read_secret_file,
)


class ServerSettings(Section):
    """The HTTP server."""

    kind: Literal["gunicorn", "granian"] = "gunicorn"
    """The server of HTTP; `granian` needs `pip install 'guarita[granian]'`."""
    bind: Bind = "127.0.0.1:8000"
    """`host:port` (IPv6 as `[::1]:8000`) or `unix:/path` to listen on."""
    workers: Whole = Field(2, ge=1, le=1024)
    """Worker processes; 1 with the memory store, whose tickets live in one process."""
    public_url: Url | None = None
    """The address under which browsers reach the service, such as `https://auth.example`."""
    trusted_proxies: tuple[Network, ...] = ()
    """Networks of the proxies whose `X-Forwarded-*` headers are believed."""
    reload: Switch = False
    """Whether workers start anew when their source changes: for development, with gunicorn."""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return is_loopback(self.bind)


class SessionSettings(Section):
    """The life of tickets and sessions."""

    ticket_ttl_s: Lifetime = 1800
    """Seconds in which a ticket can be redeemed."""
    session_ttl_s: Lifetime = 1800
    """Seconds that a session lasts after the redeem."""
    max_sessions: Whole = Field(1000, ge=0)
    """Tickets and sessions that may live at once; 0 for no limit."""
    key_prefix: KeyPart = "auth_session:"
    """What the key of every ticket begins with."""
    stats_key: KeyPart = "auth_stats"
    """Name of the counters' key; must not begin with `key_prefix`."""
    replay_window_s: Whole = Field(60, ge=0, le=86_400)
    """Seconds in which the same attempt may repeat its redeem."""
    revoke_on_replay: Switch = False
    """Whether a redeem by another attempt ends the session that the first one opened."""
    cache_age_s: Age = 2.0
    """Seconds for which a process may go on taking a session for live without asking the store;
    0 to ask each time. A revoked one is refused at once by the process that revoked it, by the
    others when they are told (milliseconds), and after this time whatever happens."""
    cache_entries: Whole = Field(10_000, ge=1, le=1_000_000)
    """Sessions that a process remembers for this at most."""


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str) else value


_DIGEST = {"type": "string", "pattern": "^[0-9A-Fa-f]{64}$"}
_DIGESTS = {"type": "array", "items": _DIGEST, "minItems": 1, "maxItems": 2}


class Tenant(Section):
    """Somebody who may create tickets, and the pages that may show them."""

    name: Name
    """Its name in records and logs: letters, digits, `.`, `_` and `-`."""
    key_sha256: Annotated[
        tuple[Digest, ...],
        BeforeValidator(_one_or_more),
        Field(max_length=2),
        WithJsonSchema({"anyOf": [_DIGEST, _DIGESTS]}),
    ] = ()
    """SHA-256 of its API key in hex, or a list of two while the key is being changed."""
    key_file: SecretFile | None = None
    """File that holds its API key in its only line, in place of `key_sha256`; read at the start."""
    origins: tuple[Origin, ...] = ()
    """Origins of the pages that may embed the iframe, such as `https://acme.example`."""

    def current_key(self) -> str | None:
        """The key, where it is known. Raises `ValueError` if its file is gone."""
        return read_secret_file(self.key_file) if self.key_file is not None else None

    def digests(self) -> tuple[str, ...]:
        """SHA-256 of each key that it may show. Raises `ValueError` if its file is gone."""
        key = self.current_key()
        return self.key_sha256 if key is None else (hashlib.sha256(key.encode()).hexdigest(),)


class SecuritySettings(Section):
    """Who may create tickets, and the secret behind ids and tokens."""

    profile: Literal["compatible"] = "compatible"
    """Rules for clients: `compatible` is the published API."""
    secret: SecretStr | None = Field(None, min_length=MIN_SECRET_CHARACTERS)
    """Key of the HMACs behind ids and tokens, the same on every instance; 32 characters or more."""
    secret_file: SecretFile | None = None
    """File that holds the secret in its only line."""
    tenants: tuple[Tenant, ...] = ()
    """Who may create tickets; may be empty only where `server.bind` is a loopback address."""

    def current_secret(self) -> str | None:
        """The secret, from the file as it is now. Raises `ValueError` if that is gone."""
        if self.secret_file is not None:
            return read_secret_file(self.secret_file)
        return self.secret.get_secret_value() if self.secret is not None else None


class Peer(Section):
    """Another region."""

    url: Url
    """The address of its service, such as `https://us-east.auth.example`."""


class RegionSettings(Section):
    """Where this installation stands, if there are several."""

    name: RegionName = ""
    """This region's name, which its ticket ids begin with; empty where there is only one."""
    peers: dict[PeerName, Peer] = Field(default_factory=dict)
    """The other regions by name."""


class Level(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class LogSettings(Section):
    """The logs, which always go to standard error as well."""

    level: Annotated[Level, LowerCase] = Level.INFO
    """The least severe entries to keep."""
    format: Literal["auto", "json", "text"] = "auto"
    """`auto` is text on a terminal and JSON elsewhere."""
    file: OutputFile | None = None
    """File that gets the log too, such as `logs/app.log`."""
    security_file: OutputFile | None = None
    """File that gets the security events too."""


class DemoSettings(Section):
    """The demo page and its protected content."""

    enabled: Switch = False
    """Whether the demo is served."""
    host_origins: tuple[Origin, ...] = ()
    """Origins of the demo's host pages."""


class Settings(Section):
    """Everything that can be set."""

    server: ServerSettings = Field(default_factory=ServerSettings)
    store: StoreSettings = Field(default_factory=StoreSettings)
    sessions: SessionSettings = Field(default_factory=SessionSettings)
    security: SecuritySettings = Field(default_factory=SecuritySettings)
    region: RegionSettings = Field(default_factory=RegionSettings)
    node: NodeSettings = Field(default_factory=NodeSettings)
    logs: LogSettings = Field(default_factory=LogSettings)
    demo: DemoSettings = Field(default_factory=DemoSettings)

    @model_validator(mode="wrap")
    @classmethod
    def _every_mistake(cls, data: Any, handler: Handler[Settings]) -> Settings:
        """Check the rules between settings too, even where single settings are wrong.

        What is wrong is taken out until the rest is valid; rules that read it are not asked.
        """
        data = _one_worker_in_memory(data)
        mistakes: list[Any] = []
        gone: list[tuple[int | str, ...]] = []
        while True:
            try:
                settings = handler(data)
                break
            except ValidationError as exc:
                wrong = exc.errors(include_url=False)
            mistakes = mistakes or [*wrong]
            data, taken = without_all(data, [error["loc"] for error in wrong])
            gone += taken
        mistakes += broken_rules(settings, gone)
        if mistakes:
            raise ValidationError.from_exception_data(cls.__name__, mistakes, hide_input=True)
        return settings


def _one_worker_in_memory(data: Any) -> Any:
    """The memory store lives in one process: without a word about workers, there is one."""
    match data:
        case {"store": {"topology": "memory"}, "server": {"workers": _}}:
            return data
        case {"store": {"topology": "memory"}}:
            server = data.get("server")
            if server is None or isinstance(server, dict):
                return {**data, "server": {**(server or {}), "workers": 1}}
    return data
