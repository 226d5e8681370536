"""A Cluster as one of its nodes sees it, and what that node says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import redis

Address = tuple[str, int]

_FAILED = {"fail", "fail?", "noaddr", "handshake"}


@dataclass(frozen=True, slots=True)
class Member:
    """A node as another one sees it (CLUSTER NODES)."""

    id: str
    host: str  # an address
    port: int
    name: str  # its cluster-announce-hostname, or ""
    flags: frozenset[str]
    primary_id: str
    slots: tuple[tuple[int, int], ...]
    linked: bool

    @property
    def failed(self) -> bool:
        return not self.flags.isdisjoint(_FAILED)

    @property
    def serves(self) -> bool:
        return "master" in self.flags and bool(self.slots) and not self.failed


@dataclass(frozen=True, slots=True)
class View:
    """What one node says of itself and of all whom it knows, itself among them."""

    id: str
    members: tuple[Member, ...]
    is_ok: bool  # cluster_state
    epoch: int
    keys: int
    link_up: bool  # to its primary; True for a primary

    @property
    def me(self) -> Member:
        return next(each for each in self.members if each.id == self.id)

    def known(self, id: str) -> Member | None:
        return next((each for each in self.members if each.id == id), None)

    def sees(self, id: str) -> bool:
        """Whether that node is met, linked and well."""
        member = self.known(id)
        return member is not None and member.linked and not member.failed


def look(client: redis.Redis) -> View:
    """Ask one node. Raises `RedisError` and `OSError`."""
    told: dict[str, str] = client.execute_command("CLUSTER INFO")  # type: ignore[no-untyped-call]
    replication = client.info("replication")
    id: Any = client.execute_command("CLUSTER", "MYID")  # type: ignore[no-untyped-call]
    return View(
        id=id if isinstance(id, str) else id.decode(),
        members=tuple(members_of(client)),
        is_ok=told["cluster_state"] == "ok",
        epoch=int(told["cluster_my_epoch"]),
        keys=int(client.dbsize()),
        link_up=replication.get("master_link_status", "up") == "up",
    )


def members_of(client: redis.Redis) -> list[Member]:
    """The Cluster as one node sees it, in order of slots; who is being met is not among them.

    Raises `RedisError` and `OSError`.
    """
    # Two words, so that redis-py leaves the answer as it is.
    answer: Any = client.execute_command("CLUSTER", "NODES")  # type: ignore[no-untyped-call]
    text = answer if isinstance(answer, str) else answer.decode()
    members = (_member(line) for line in text.splitlines())
    # Until the first answer of a node that is met, its id is made up.
    return sorted(
        (each for each in members if "handshake" not in each.flags), key=lambda each: each.slots
    )


def _member(line: str) -> Member:
    """https://redis.io/docs/latest/commands/cluster-nodes/#serialization-format"""
    id, place, flags, primary_id, _, _, _, link, *slots = line.split()
    address, _, more = place.partition("@")
    host, _, port = address.rpartition(":")
    return Member(
        id=id,
        host=host,
        port=int(port),
        name=more.partition(",")[2].partition(",")[0],
        flags=frozenset(flags.split(",")),
        primary_id="" if primary_id == "-" else primary_id,
        slots=tuple(_range(each) for each in slots if not each.startswith("[")),
        linked=link == "connected",
    )


def _range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return int(first), int(last or first)
