"""Rules about the section `node`, and what each of its two commands needs of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from guarita.config.addresses import is_loopback
from guarita.errors import ConfigError

if TYPE_CHECKING:
    from guarita.config.rules import Mistake, Rule
    from guarita.config.settings import Settings

_NEEDED_USERS = ("service", "agent", "sentinel", "replica")


def check_data_node(settings: Settings) -> None:
    """Whether `guarita node` can run with this. Raises `ConfigError`."""
    _check(settings, "guarita node", "this data node")


def check_lone_node(settings: Settings) -> None:
    """Whether `guarita node --alone` can run with this. Raises `ConfigError`."""
    node, store = settings.node, settings.store
    problems = []
    if store.topology not in ("standalone", "cluster"):
        problems.append(
            f"store.topology: {store.topology}: guarita node --alone needs standalone or cluster"
        )
    if store.topology == "cluster" and node.tls.cert_file is not None:
        problems.append(
            "node.tls: not with store.topology cluster: its nodes know each other by address, and "
            "certificates name hosts"
        )
    if node.announce is None:
        problems.append("node.announce: needed: the host:port under which this server is known")
    elif not is_loopback(str(node.announce)):
        problems += _open_doors(settings, sentinel=False)
    if problems:
        raise ConfigError(problems)


def check_sentinel(settings: Settings) -> None:
    """Whether `guarita sentinel` can run with this. Raises `ConfigError`."""
    announce, nodes = settings.node.announce, settings.store.sentinel.nodes
    problems = []
    if announce is not None and nodes and announce not in nodes:
        problems = [f"node.announce: {announce}: must be one of store.sentinel.nodes"]
    _check(settings, "guarita sentinel", "this Sentinel", problems)


def _check(settings: Settings, command: str, what: str, more: list[str] | None = None) -> None:
    node, store = settings.node, settings.store
    problems = []
    if store.topology != "sentinel":
        problems.append(f"store.topology: {store.topology}: {command} needs sentinel here")
    if node.announce is None:
        problems.append(f"node.announce: {command} needs the host:port under which {what} is known")
    if not node.peers:
        problems.append(f"node.peers: {command} needs the host:port of every data node here")
    problems += more or []
    if node.announce is not None and not is_loopback(str(node.announce)):
        problems += _open_doors(settings, sentinel=command == "guarita sentinel")
    if problems:
        raise ConfigError(problems)


def _open_doors(settings: Settings, *, sentinel: bool) -> Iterator[str]:
    """Whoever reaches an open server may do everything with it."""
    credentials = settings.store.sentinel if sentinel else settings.store.data
    if not credentials.is_set and (sentinel or not settings.node.users.by_role()):
        section, more = ("sentinel", "") if sentinel else ("data", ", or set node.users")
        yield (
            f"store.{section}.password: needed since node.announce is {settings.node.announce}, "
            f"not loopback: set it or password_file{more}"
        )


def _users_are_complete(settings: Settings) -> Iterator[Mistake]:
    roles = settings.node.users.by_role()
    for role in _NEEDED_USERS:
        if roles and role not in roles:
            others = ", ".join(roles)
            yield (
                f"node.users.{role}.password",
                None,
                f"needed since there are users ({others}): set it or password_file",
            )


def _users_are_told_apart(settings: Settings) -> Iterator[Mistake]:
    names: dict[str, str] = {}
    for role, user in settings.node.users.by_role().items():
        name = user.username or ""
        if name == "default":
            yield f"node.users.{role}.username", name, "the default user is off: choose another"
        elif names.setdefault(name, role) != role:
            yield f"node.users.{role}.username", name, f"node.users.{names[name]} has this name"


def _one_password(role: str) -> tuple[tuple[str, ...], Rule]:
    path = f"node.users.{role}"

    def rule(settings: Settings) -> Iterator[Mistake]:
        user = getattr(settings.node.users, role)
        if user.password is not None and user.password_file is not None:
            yield f"{path}.password", user.password, "set this or password_file, not both"

    return (f"{path}.password", f"{path}.password_file"), rule


def _tls_is_whole(settings: Settings) -> Iterator[Mistake]:
    tls, store = settings.node.tls, settings.store
    names = ("cert_file", "key_file", "ca_file")
    given = [name for name in names if getattr(tls, name) is not None]
    if not given:
        return
    for name in names:
        if name not in given:
            yield f"node.tls.{name}", None, f"needed since {given[0]} is set"
    for section, credentials in (("data", store.data), ("sentinel", store.sentinel)):
        is_used = section == "data" or store.topology == "sentinel"
        if is_used and not credentials.tls.enabled:
            yield (
                f"store.{section}.tls.enabled",
                credentials.tls.enabled,
                "must be true since node.tls is set: the servers have no other port then",
            )


def _quorum_can_be_reached(settings: Settings) -> Iterator[Mistake]:
    quorum, nodes = settings.node.quorum, settings.store.sentinel.nodes
    if quorum is not None and nodes and quorum > len(nodes):
        yield "node.quorum", quorum, f"there are only {len(nodes)} store.sentinel.nodes"


NODE_RULES: tuple[tuple[tuple[str, ...], Rule], ...] = (
    (("node.users",), _users_are_complete),
    (("node.users",), _users_are_told_apart),
    *(_one_password(role) for role in (*_NEEDED_USERS, "exporter")),
    (("node.tls", "store.data.tls", "store.sentinel.tls", "store.topology"), _tls_is_whole),
    (("node.quorum", "store.sentinel.nodes"), _quorum_can_be_reached),
)
