"""What the agent tells its own server, over the Unix socket that nobody else reaches."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from guarita.clients import Argument, exchange
from guarita.node.own import Attached
from guarita.stores.durability import Address

_CLIENT = re.compile(rb"id=(\d+) addr=(\S+):\d+ ")


class Server:
    """Commands to one server, each on a connection of its own: they are few.

    All raise `RedisError` or `OSError` where it does not do as told within a second.
    """

    def __init__(
        self, connect: Callable[[], Any], *, port: int, priority: int, tls: bool = False
    ) -> None:
        self._connect = connect
        self._port = port
        self._priority = priority
        self._port_setting = "tls-port" if tls else "port"

    def open_door(self) -> None:
        """Let others reach it."""
        self._tell(("CONFIG", "SET", self._port_setting, self._port))

    def close_door(self) -> None:
        """Nobody reaches it any more, and who had is hung up on; links of replication stay."""
        self._tell(
            ("CONFIG", "SET", self._port_setting, 0),
            ("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"),
            ("CLIENT", "KILL", "TYPE", "pubsub"),
        )

    def follow(self, primary: Address) -> None:
        """Become a replica, which is not promotable before it has caught up."""
        self._tell(("CONFIG", "SET", "replica-priority", 0), ("REPLICAOF", *primary))

    def lead(self) -> None:
        """Become primary."""
        self._tell(
            ("REPLICAOF", "NO", "ONE"), ("CONFIG", "SET", "replica-priority", self._priority)
        )

    def be_promotable(self, promotable: bool) -> None:
        self._tell(("CONFIG", "SET", "replica-priority", self._priority if promotable else 0))

    def pause_writes(self, for_s: float) -> None:
        """Writes wait; the server goes on by itself after that time."""
        self._tell(("CLIENT", "PAUSE", int(for_s * 1000), "WRITE"))

    def resume_writes(self) -> None:
        self._tell(("CLIENT", "UNPAUSE"))

    def cut(self, silent: Iterable[Address], replicas: Sequence[Attached]) -> None:
        """Hang up on these replicas. `replicas` is the whole list, in the server's order."""
        (clients,) = self._tell(("CLIENT", "LIST", "TYPE", "replica"))
        ids = sorted((int(id), addr.decode()) for id, addr in _CLIENT.findall(clients))
        kills = [("CLIENT", "KILL", "ID", id) for id in _ids_of(set(silent), replicas, ids)]
        if kills:
            self._tell(*kills)

    def tell(self, commands: Sequence[tuple[Argument, ...]]) -> None:
        """Whatever is to be told."""
        self._tell(*commands)

    def _tell(self, *commands: tuple[Argument, ...]) -> list[Any]:
        connection = self._connect()
        try:
            return exchange(connection, commands)
        finally:
            connection.disconnect()


def _ids_of(
    silent: set[Address], replicas: Sequence[Attached], clients: Sequence[tuple[int, str]]
) -> list[int]:
    """The clients of these replicas.

    The server tells neither list by the names of the other. Both are in the order in which the
    replicas came, so that they are told apart by their places where several share an address.
    """
    hosts = [host for _, host in clients]
    wanted = {host for host, _ in silent}
    if all(hosts.count(host) == 1 for host in wanted):
        return [id for id, host in clients if host in wanted]
    if len(replicas) != len(clients):
        return []
    return [id for each, (id, _) in zip(replicas, clients, strict=True) if each.node in silent]
