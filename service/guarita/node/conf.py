"""The configuration files of the servers that agents run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from socket import SOCK_STREAM, getaddrinfo

from guarita.config import Address, Credentials, Durability, NodeUser, Settings
from guarita.config.node import Role
from guarita.config.store import Password
from guarita.errors import TopologyError

# Without announce there is no agent: the checks of each command see to it.
_ANYWHERE = Address("127.0.0.1", 6379)


def write_file(path: Path, text: str) -> None:
    """Replace a file at once; nobody else may read it. Raises `OSError`."""
    draft = path.with_name(f"{path.name}.draft")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def data_lines(settings: Settings, socket: Path) -> str:
    """A data node's file. It has no role and no port yet: the agent opens the port by CONFIG SET
    once it knows the role, and speaks to the server over `socket` until then.

    Raises `ValueError` when a password file is gone.
    """
    node = settings.node
    announce = node.announce or _ANYWHERE
    lines = [
        "port 0",
        f"unixsocket {quoted(str(socket))}",
        "unixsocketperm 700",
        f"bind {' '.join(node.interfaces)}",
        f"replica-announce-ip {quoted(announce.host)}",
        f"replica-announce-port {announce.port}",
        *common_lines(node.data_dir),
        *_durable_lines(settings),
        "repl-diskless-sync yes",
        "repl-diskless-sync-delay 0",
        "repl-ping-replica-period 1",
        "min-replicas-to-write 1",
        "min-replicas-max-lag 2",
        # Promotable only when it has caught up: the agent says when.
        "replica-priority 0",
        "shutdown-timeout 2",
        f"maxmemory {node.memory_mb}mb",
        "maxmemory-policy noeviction",
        *tls_lines(settings),
        *_access_lines(settings),
    ]
    return "".join(f"{line}\n" for line in lines)


def lone_lines(settings: Settings, socket: Path) -> str:
    """The file of a server that no Sentinel watches; a node of a Cluster, where that is configured.

    Raises `ValueError` when a password file is gone, and `TopologyError` when the host that a node
    announces has no address.
    """
    node = settings.node
    announce = node.announce or _ANYWHERE
    tls = tls_lines(settings)
    lines = [
        f"port {0 if tls else announce.port}",
        *([f"tls-port {announce.port}"] if tls else []),
        f"unixsocket {quoted(str(socket))}",
        "unixsocketperm 700",
        f"bind {' '.join(node.interfaces)}",
        *common_lines(node.data_dir),
        *_durable_lines(settings),
        "repl-diskless-sync-delay 0",
        "repl-ping-replica-period 1",
        f"maxmemory {node.memory_mb}mb",
        "maxmemory-policy noeviction",
        *tls,
        *_access_lines(settings),
        *(_cluster_lines(settings, announce) if settings.store.topology == "cluster" else []),
    ]
    return "".join(f"{line}\n" for line in lines)


def _cluster_lines(settings: Settings, announce: Address) -> list[str]:
    """Nodes know each other by address alone, so it is the one that its name has now: where that is
    the name of a Service, it stays. Its primary lists it by the same one, by which services know
    whether it has a write."""
    try:
        found = getaddrinfo(announce.host, announce.port, type=SOCK_STREAM)
    except OSError as exc:
        raise TopologyError(f"node.announce: {announce.host} has no address: {exc}") from exc
    return [
        "cluster-enabled yes",
        "cluster-config-file nodes.conf",
        f"cluster-node-timeout {settings.node.down_after_ms}",
        "cluster-replica-validity-factor 0",
        "repl-timeout 5",  # nobody but the server drops a replica that is frozen
        f"cluster-announce-ip {found[0][4][0]}",
        f"replica-announce-ip {found[0][4][0]}",
        f"replica-announce-port {announce.port}",
    ]


def common_lines(directory: Path) -> list[str]:
    """What the files of data nodes and Sentinels have in common."""
    return ["daemonize no", "protected-mode yes", f"dir {quoted(str(directory.absolute()))}"]


def _durable_lines(settings: Settings) -> list[str]:
    is_strict = settings.store.durability is Durability.STRICT
    fsync = settings.node.fsync or ("always" if is_strict else "everysec")
    return ['save ""', "appendonly yes", f"appendfsync {fsync}"]


def tls_lines(settings: Settings) -> list[str]:
    """Certificates, and TLS towards other servers too; nothing where there is no TLS."""
    tls = settings.node.tls
    if tls.cert_file is None:
        return []
    return [
        f"tls-cert-file {quoted(str(tls.cert_file))}",
        f"tls-key-file {quoted(str(tls.key_file))}",
        f"tls-ca-cert-file {quoted(str(tls.ca_file))}",
        # Passwords and ACLs say who somebody is; a certificate that is shown must be right.
        "tls-auth-clients optional",
        "tls-replication yes",
    ]


def _access_lines(settings: Settings) -> Iterator[str]:
    users = settings.node.users.by_role()
    if users:
        yield from (acl_line(rules_of(role, settings), user) for role, user in users.items())
        # Nobody logs in as it. The server itself loads its file as this user, and leaves out each
        # transaction, which every script with two writes is, that it may not run (Redis 7.0, Valkey
        # 8.1: `-NOPERM` to the `AOF-loading-client`).
        yield "user default off resetpass ~* &* +@all"
        replica = users["replica"]
        yield f"masteruser {replica.username}"
        yield f"masterauth {quoted(replica.current_password() or '')}"
        return
    password = settings.store.data.current_password()
    if password:
        yield f"requirepass {quoted(password)}"
        yield f"masterauth {quoted(password)}"


def agent_user(settings: Settings) -> Credentials:
    """Who an agent is to data nodes."""
    data = settings.store.data
    user = settings.node.users.by_role().get("agent")
    if user is None:
        return data
    return data.model_copy(
        update={
            "username": user.username,
            "password": user.password,
            "password_file": user.password_file,
        }
    )


def acl_line(rules: str, user: NodeUser) -> str:
    """A `user` line; it holds only the SHA-256 of each password."""
    return f"user {user.username} on {' '.join(digests(user))} {rules}"


def digests(credentials: Password) -> list[str]:
    """Of the passwords that a server takes, as ACL rules. Raises `ValueError` as reading does."""
    passwords = credentials.accepted_passwords()
    return [f"#{hashlib.sha256(each.encode()).hexdigest()}" for each in passwords]


def rules_of(role: Role, settings: Settings) -> str:
    """The least rights that a role needs on a data node.

    Sentinel and replica: https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/
    and https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/
    """
    sessions = settings.sessions
    stats = _pattern(sessions.stats_key)
    rules: Mapping[Role, str] = {
        "service": (
            f"resetchannels ~{_pattern(sessions.key_prefix)}* ~{stats}* &{stats}* -@all +ping "
            "+role +info +select +client|setname +time +wait +script|load +eval +evalsha +get +set "
            "+pexpiretime +hget +hset +hmget +hincrby +hdel +hlen +hkeys +spublish +ssubscribe "
            "+sunsubscribe"
        ),
        # A server's keeper: it may configure it, and reads the counters alone.
        "agent": (
            f"resetchannels %R~{stats}* -@all +ping +role +info +hmget +time +wait +client +config "
            "+replicaof +failover +shutdown +acl|setuser +lastsave"
        ),
        "sentinel": (
            "resetchannels &__sentinel__:hello -@all +multi +exec +ping +subscribe +publish +info "
            "+role +replicaof +slaveof +failover +config|rewrite +client|setname +client|kill "
            "+script|kill"
        ),
        "replica": "resetchannels -@all +ping +psync +replconf",
        # Neither CONFIG GET, which tells the replicas' password, nor SLOWLOG GET, which tells keys.
        "exporter": "resetchannels -@all +ping +info +slowlog|len +latency|latest",
    }
    return rules[role]


def _pattern(text: str) -> str:
    """As a glob pattern, in which it stands for itself."""
    return "".join(f"\\{each}" if each in "*?[]\\^-" else each for each in text)


def quoted(text: str) -> str:
    """As one word of a configuration file.

    https://redis.io/docs/latest/operate/oss_and_stack/management/config-file/
    """
    escaped = "".join(
        f"\\x{byte:02x}" if byte < 0x20 or byte > 0x7E or byte in b'"\\' else chr(byte)
        for byte in text.encode()
    )
    return f'"{escaped}"'
