"""Asks one server, name or agent; each question has short time limits and answers as a value."""

from __future__ import annotations

import hashlib
import socket
import ssl
import time
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from typing import Any

from redis.exceptions import NoPermissionError, RedisError, ResponseError

from guarita.clients import agent_connection, pool
from guarita.config import Address, Credentials, SessionSettings, TlsSettings, Topology
from guarita.doctor import answers
from guarita.doctor.answers import text_of
from guarita.doctor.seen import Agent, HostName, Node, Sentinel, Server

TIMEOUT_S = 0.5
# A busy machine is no slow network: a round trip that is slow is tried again, as long as that is
# soon over.
_TRIPS = 10
_QUICK_S = 0.01
_SLOWEST_S = 0.2
_LINE_BYTES = 4096
_ACL_LOG_ENTRIES = 20
_CONFIG = (
    *("appendonly", "appendfsync", "save", "stop-writes-on-bgsave-error"),
    *("min-replicas-to-write", "min-replicas-max-lag", "replica-priority"),
    *("repl-timeout", "repl-ping-replica-period"),
)

# What the service's scripts call. This one runs nothing of it: it asks the server what its user
# may do, and the server keeps its text, as it keeps the service's own.
_CHECK = b"""
local lacks = {}
for _, words in ipairs({
  {'get', KEYS[1]}, {'set', KEYS[1], '', 'PXAT', '1'}, {'pexpiretime', KEYS[1]}, {'time'},
  {'hget', KEYS[2], ''}, {'hmget', KEYS[2], ''}, {'hset', KEYS[2], '', ''},
  {'hincrby', KEYS[2], '', '1'}, {'hdel', KEYS[2], ''}, {'hlen', KEYS[2]}, {'hkeys', KEYS[2]},
  {'spublish', KEYS[2] .. ':revocations', ''},
}) do
  if not redis.acl_check_cmd(unpack(words)) then table.insert(lacks, words[1]) end
end
return lacks
"""
_CHECK_ID = hashlib.sha1(_CHECK, usedforsecurity=False).hexdigest()

Command = tuple[str | bytes | int, ...]
Clock = Callable[[], float]


def ask_sentinel(
    address: Address, credentials: Credentials, primary_name: str, now: Clock
) -> Sentinel:
    """Everything that a Sentinel says of one primary."""
    commands: dict[str, Command] = {
        "named": ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", primary_name),
        "master": ("SENTINEL", "MASTER", primary_name),
        "replicas": ("SENTINEL", "REPLICAS", primary_name),
        "sentinels": ("SENTINEL", "SENTINELS", primary_name),
        "ckquorum": ("SENTINEL", "CKQUORUM", primary_name),
        "myid": ("SENTINEL", "MYID"),
        "masters": ("SENTINEL", "MASTERS"),
        "acl log": ("ACL", "LOG", _ACL_LOG_ENTRIES),
    }
    server, said = _ask(address, credentials, commands, now)
    if server.failure or server.info.get("redis_mode") != "sentinel":
        return Sentinel(server)
    if isinstance(said["master"], NoPermissionError):
        return Sentinel(server)
    return Sentinel(server, answers.view(said))


def ask_node(
    address: Address,
    credentials: Credentials,
    sessions: SessionSettings,
    topology: Topology,
    now: Clock,
) -> Node:
    """Everything that a data node says of itself, and what its user may do."""
    tag = "{0}" if topology is Topology.CLUSTER else ""
    record, counters = f"{sessions.key_prefix}{tag}doctor", f"{sessions.stats_key}{tag}"
    commands: dict[str, Command] = {
        "config": ("CONFIG", "GET", *_CONFIG),
        "client list": ("CLIENT", "LIST", "TYPE", "pubsub"),
        "acl log": ("ACL", "LOG", _ACL_LOG_ENTRIES),
        "role": ("ROLE",),
        "script load": ("SCRIPT", "LOAD", _CHECK),
        "evalsha": ("EVALSHA", _CHECK_ID, 2, record, counters),
        "wait": ("WAIT", 0, 1),
    }
    if topology is Topology.CLUSTER:
        commands["cluster info"] = ("CLUSTER", "INFO")
        commands["cluster nodes"] = ("CLUSTER", "NODES")
    server, said = _ask(address, credentials, commands, now)
    if server.failure:
        return Node(server)
    return Node(
        server,
        config=answers.fields(said.get("config")),
        watchers=answers.watchers(said.get("client list")),
        lacks=_lacks(said),
        cluster=answers.lines(said.get("cluster info")),
        members=answers.members(said.get("cluster nodes")),
    )


def _lacks(said: dict[str, Any]) -> tuple[str, ...]:
    """What the service calls itself, and what its scripts do."""
    own = ("info", "role", "script load", "evalsha", "wait", "cluster nodes")
    denied = [name for name in own if isinstance(said.get(name), NoPermissionError)]
    checked = said.get("evalsha")
    within = [text_of(each) for each in checked] if isinstance(checked, list) else []
    return tuple(denied + within)


def _ask(
    address: Address, credentials: Credentials, commands: dict[str, Command], now: Clock
) -> tuple[Server, dict[str, Any]]:
    """Signs in, asks for INFO and by it for the clock, then sends all commands at once.

    An error of one is its answer. A server that is loading is asked for INFO alone: its other
    answers are errors that redis-py takes for a lost connection.
    """
    user = credentials.username or "default"
    found = Server(address, user=user)
    connection: Any = pool(
        (address.host, address.port), credentials, TIMEOUT_S, TIMEOUT_S
    ).make_connection()
    try:
        connection.connect()
        first, began_s, unsure_s = _ask_info(connection, now)
        if isinstance(first, RedisError) and not isinstance(first, NoPermissionError):
            raise first
        told = answers.info(first)
        asked = {} if told.get("loading") == "1" else commands
        replies = _exchange(connection, list(asked.values())) if asked else []
        said = {"info": first, **dict(zip(asked, replies, strict=True))}
        certificate_ends_s = _certificate_ends_s(connection)
    except (RedisError, OSError, ValueError) as exc:
        return Server(address, answers.failure(exc), user=user), {}
    finally:
        connection.disconnect()
    time_us = answers.lines(first).get("server_time_usec")
    found = Server(
        address,
        user=user,
        info=told,
        ahead_s=int(time_us) / 1e6 - (began_s + unsure_s) if time_us else None,
        unsure_s=unsure_s,
        denied=tuple(n for n, each in said.items() if isinstance(each, NoPermissionError)),
        refusals=answers.refusals(said.get("acl log")),
        certificate_ends_s=certificate_ends_s,
        open=_is_open(address, credentials),
    )
    return found, said


def _ask_info(connection: Any, now: Clock) -> tuple[Any, float, float]:
    """The answer of INFO that came quickest, when it was asked for, and half its round trip."""
    tries: list[tuple[float, float, Any]] = []
    spent_s = 0.0
    while len(tries) < _TRIPS and spent_s < _SLOWEST_S:
        began_s, clock = now(), time.monotonic()
        answer = _exchange(connection, [("INFO",)])[0]
        trip_s = time.monotonic() - clock
        tries.append((trip_s, began_s, answer))
        spent_s += trip_s
        if trip_s <= _QUICK_S or isinstance(answer, RedisError):
            break
    trip_s, began_s, answer = min(tries, key=lambda each: each[0])
    return answer, began_s, trip_s / 2


def _exchange(connection: Any, commands: list[Command]) -> list[Any]:
    connection.send_packed_command(connection.pack_commands(commands), check_health=False)
    return [_answer(connection) for _ in commands]


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response()
    except ResponseError as exc:
        return exc
    except RedisError as exc:
        if connection.is_connected:  # an answer with an error of its own kind, such as LOADING
            return exc
        raise


def _is_open(address: Address, credentials: Credentials) -> bool:
    """Whether a client without password or certificate is answered."""
    tls = credentials.tls.model_copy(update={"cert_file": None, "key_file": None})
    anybody = Credentials(tls=tls)
    connection: Any = pool(
        (address.host, address.port), anybody, TIMEOUT_S, TIMEOUT_S
    ).make_connection()
    try:
        connection.connect()
        return bool(_exchange(connection, [("PING",)])[0] == b"PONG")
    except (RedisError, OSError):
        return False
    finally:
        connection.disconnect()


def _certificate_ends_s(connection: Any) -> float | None:
    """Until when the server's certificate is good; redis-py has no other way to its socket."""
    tls = getattr(connection, "_sock", None)
    certificate = tls.getpeercert() if isinstance(tls, ssl.SSLSocket) else None
    if not certificate:
        return None
    return float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))


def resolve(host: str) -> HostName:
    """How a name resolves from here, and how long that takes."""
    began = time.monotonic()
    try:
        rows = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as exc:
        return HostName(host, time.monotonic() - began, failure=exc.strerror or str(exc))
    addresses = tuple(sorted({str(row[4][0]) for row in rows}))
    return HostName(host, time.monotonic() - began, addresses)


def ask_agent(address: Address, tls: TlsSettings) -> Agent:
    """Whether a node agent is alive and ready; `tls` is that of the data nodes."""
    alive, trouble = _get(address, tls, "/livez")
    if alive != HTTPStatus.OK:
        return Agent(address, alive=False, ready=False, trouble=trouble)
    ready, trouble = _get(address, tls, "/readyz")
    role, _ = _get(address, tls, "/role")  # only the agents of data nodes have it
    return Agent(
        address,
        alive=True,
        ready=ready == HTTPStatus.OK,
        trouble=trouble,
        of_data_node=role != HTTPStatus.NOT_FOUND,
    )


def _get(address: Address, tls: TlsSettings, path: str) -> tuple[int, str]:
    """The status, 0 where none came, and what is wrong where it is not 200."""
    try:
        connection = agent_connection((address.host, address.port), tls, TIMEOUT_S)
    except OSError as exc:
        return 0, f"store.data.tls: {exc}"
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        if response.status == HTTPStatus.OK:
            return response.status, ""
        return response.status, f"{path} answered {response.status}{_reason(response)}"
    except (OSError, HTTPException) as exc:
        return 0, f"{path}: {answers.harmless(str(exc))}"
    finally:
        connection.close()


def _reason(response: HTTPResponse) -> str:
    """Agents say why in the first line; without it, the status has to do."""
    try:
        line = answers.harmless(response.readline(_LINE_BYTES))
    except (OSError, HTTPException):
        return ""
    return f": {line}" if line else ""
