"""Rules between settings: what no single value can tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr
from pydantic_core import InitErrorDetails, PydanticCustomError

from guarita.config.node_rules import NODE_RULES
from guarita.config.values import MIN_SECRET_CHARACTERS

if TYPE_CHECKING:
    from guarita.config.settings import Settings

Path = tuple[int | str, ...]
Mistake = tuple[str, object, str]  # path with dots, value or None, the sentence about it
Rule = Callable[["Settings"], Iterator[Mistake]]


def broken_rules(settings: Settings, gone: list[Path]) -> list[InitErrorDetails]:
    """What the rules say, except those that read a path in `gone`: its value is not known."""
    return [
        InitErrorDetails(
            type=PydanticCustomError("rule", "{text}", {"text": text}),
            loc=tuple(path.split(".")),
            input=value,
        )
        for reads, rule in RULES
        if not any(_overlap(tuple(read.split(".")), path) for read in reads for path in gone)
        for path, value, text in rule(settings)
    ]


def _overlap(one: Path, other: Path) -> bool:
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def without_all(data: Any, paths: list[Path]) -> tuple[Any, list[Path]]:
    """A copy of `data` without what `paths` name, and the paths that were really taken out.

    At least one is: called again and again, it comes to an end.
    """
    taken: list[Path] = []
    for path in paths:
        if not any(path[: len(gone)] == gone for gone in taken):
            data, gone = _without(data, path)
            taken.append(gone)
    return data, taken


def _without(data: Any, path: Path) -> tuple[Any, Path]:
    """A list goes as a whole, so that the indexes of other mistakes stay true.

    Where the path ends in something missing, what lacks it goes.
    """
    if not isinstance(data, dict) or not path or path[0] not in data:
        return {}, ()
    head, rest = path[0], path[1:]
    inner = data[head]
    if rest and isinstance(inner, dict) and rest[0] in inner:
        smaller, taken = _without(inner, rest)
        return {**data, head: smaller}, (head, *taken)
    return {key: value for key, value in data.items() if key != head}, (head,)


def _topology_has_its_nodes(settings: Settings) -> Iterator[Mistake]:
    store = settings.store
    if store.topology == "sentinel" and not store.sentinel.nodes:
        yield (
            "store.sentinel.nodes",
            None,
            "topology sentinel needs the host:port of each Sentinel here",
        )
    if store.topology == "cluster" and not store.cluster.nodes:
        yield (
            "store.cluster.nodes",
            None,
            "topology cluster needs the host:port of some of its nodes here",
        )


def _cluster_names_no_data_nodes(settings: Settings) -> Iterator[Mistake]:
    nodes = settings.store.data_nodes
    if settings.store.topology == "cluster" and nodes:
        yield (
            "store.data_nodes",
            None,
            "on a Cluster each slot has nodes of its own, and the Cluster names them: leave it out",
        )


def _cluster_has_one_database(settings: Settings) -> Iterator[Mistake]:
    db = settings.store.data.db
    if settings.store.topology == "cluster" and db != 0:
        yield "store.data.db", db, "a Cluster has only database 0"


def _memory_is_one_process(settings: Settings) -> Iterator[Mistake]:
    workers = settings.server.workers
    if settings.store.topology == "memory" and workers != 1:
        yield (
            "server.workers",
            workers,
            "the memory store lives in one process: set 1, or choose another store.topology",
        )


def _reload_is_of_gunicorn(settings: Settings) -> Iterator[Mistake]:
    server = settings.server
    if server.reload and server.kind != "gunicorn":
        yield "server.reload", server.reload, "needs server.kind gunicorn"


def _one_password(section: str) -> tuple[tuple[str, ...], Rule]:
    path = f"store.{section}"

    def rule(settings: Settings) -> Iterator[Mistake]:
        credentials = settings.store.sentinel if section == "sentinel" else settings.store.data
        if credentials.password is not None and credentials.password_file is not None:
            yield f"{path}.password", credentials.password, "set this or password_file, not both"

    return (f"{path}.password", f"{path}.password_file"), rule


def _certificate_with_key(section: str) -> tuple[tuple[str, ...], Rule]:
    path = f"store.{section}.tls"

    def rule(settings: Settings) -> Iterator[Mistake]:
        credentials = settings.store.sentinel if section == "sentinel" else settings.store.data
        tls = credentials.tls
        if tls.cert_file is not None and tls.key_file is None:
            yield f"{path}.cert_file", tls.cert_file, "needs key_file beside it"
        if tls.key_file is not None and tls.cert_file is None:
            yield f"{path}.key_file", tls.key_file, "needs cert_file beside it"

    return (f"{path}.cert_file", f"{path}.key_file"), rule


def _counters_are_no_ticket(settings: Settings) -> Iterator[Mistake]:
    sessions = settings.sessions
    if sessions.stats_key.startswith(sessions.key_prefix):
        yield (
            "sessions.stats_key",
            sessions.stats_key,
            f"begins with sessions.key_prefix ({sessions.key_prefix}), as only tickets do",
        )


def _one_secret(settings: Settings) -> Iterator[Mistake]:
    security = settings.security
    if security.secret is not None and security.secret_file is not None:
        yield "security.secret", security.secret, "set this or secret_file, not both"


def _secret_outside_loopback(settings: Settings) -> Iterator[Mistake]:
    security, server = settings.security, settings.server
    if not server.is_loopback and security.secret is None and security.secret_file is None:
        yield (
            "security.secret",
            None,
            f"needed since server.bind is {server.bind}, not loopback: "
            f"set {MIN_SECRET_CHARACTERS} or more characters (such as the output of: "
            "openssl rand -hex 32), the same on every instance",
        )


def _secret_file_is_long_enough(settings: Settings) -> Iterator[Mistake]:
    security = settings.security
    if security.secret_file is None:
        return
    length = len(security.current_secret() or "")
    if length < MIN_SECRET_CHARACTERS:
        yield (
            "security.secret_file",
            security.secret_file,
            f"holds {length} characters, needs at least {MIN_SECRET_CHARACTERS}",
        )


def _tenants_outside_loopback(settings: Settings) -> Iterator[Mistake]:
    server = settings.server
    if not server.is_loopback and not settings.security.tenants:
        yield (
            "security.tenants",
            None,
            f"needed since server.bind is {server.bind}: without tenants, everyone who reaches "
            "it could create tickets; add a tenant, or bind to 127.0.0.1",
        )


def _tenants_are_told_apart(settings: Settings) -> Iterator[Mistake]:
    names: dict[str, int] = {}
    keys: dict[str, int] = {}
    for i, tenant in enumerate(settings.security.tenants):
        path = f"security.tenants.{i}"
        if names.setdefault(tenant.name, i) != i:
            yield f"{path}.name", tenant.name, "another tenant has this name"
        given = "key_sha256" if tenant.key_file is None else "key_file"
        for digest in tenant.digests():
            if keys.setdefault(digest, i) != i:
                yield f"{path}.{given}", SecretStr(digest), "another tenant has this key"


def _tenants_have_one_key(settings: Settings) -> Iterator[Mistake]:
    for i, tenant in enumerate(settings.security.tenants):
        path = f"security.tenants.{i}"
        if tenant.key_file is None and not tenant.key_sha256:
            yield (
                f"{path}.key_sha256",
                None,
                'needed: make it with printf %s "$API_KEY" | sha256sum, or set key_file',
            )
        if tenant.key_file is not None and tenant.key_sha256:
            yield f"{path}.key_file", tenant.key_file, "set this or key_sha256, not both"


def _region_is_not_its_own_peer(settings: Settings) -> Iterator[Mistake]:
    region = settings.region
    if region.peers and not region.name:
        yield "region.name", None, "needed since region.peers is set: name this region"
    if region.name in region.peers:
        yield (
            f"region.peers.{region.name}",
            None,
            "is this region itself: list only the others",
        )


def _logs_are_two_files(settings: Settings) -> Iterator[Mistake]:
    logs = settings.logs
    if logs.file is not None and logs.file == logs.security_file:
        yield "logs.security_file", logs.security_file, "logs.file is the same file: name another"


RULES: tuple[tuple[tuple[str, ...], Rule], ...] = (
    (("server.workers", "store.topology"), _memory_is_one_process),
    (("server.reload", "server.kind"), _reload_is_of_gunicorn),
    (("store.topology", "store.sentinel.nodes", "store.cluster.nodes"), _topology_has_its_nodes),
    (("store.topology", "store.data_nodes"), _cluster_names_no_data_nodes),
    (("store.topology", "store.data.db"), _cluster_has_one_database),
    _one_password("sentinel"),
    _one_password("data"),
    _certificate_with_key("sentinel"),
    _certificate_with_key("data"),
    (("sessions.key_prefix", "sessions.stats_key"), _counters_are_no_ticket),
    (("security.secret", "security.secret_file"), _one_secret),
    (("server.bind", "security.secret", "security.secret_file"), _secret_outside_loopback),
    (("security.secret_file",), _secret_file_is_long_enough),
    (("server.bind", "security.tenants"), _tenants_outside_loopback),
    (("security.tenants",), _tenants_are_told_apart),
    (("security.tenants",), _tenants_have_one_key),
    (("region.name", "region.peers"), _region_is_not_its_own_peer),
    (("logs.file", "logs.security_file"), _logs_are_two_files),
    *NODE_RULES,
)
