"""What each Sentinel sees, as the Sentinels' agents read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import redis
from redis.exceptions import RedisError

from guarita.clients import client
from guarita.config import Settings
from guarita.stores.durability import Address

ANSWERED_MS = 1000


@dataclass(frozen=True, slots=True)
class View:
    """One Sentinel's view; of replicas and other Sentinels, whether each is down."""

    primary: Address
    config_epoch: int
    healthy: bool
    """Whether nothing is flagged about the primary."""
    replicas: Mapping[Address, bool]
    sentinels: Mapping[Address, bool]
    strange: frozenset[Address] = frozenset()
    """Nodes that it reports down although something answers it there, and that not as it must: it
    is not let in, or has connected to what was at this name before."""


class Sentinels:
    """All Sentinels of the configuration, in its order."""

    def __init__(self, clients: Mapping[Address, redis.Redis], primary_name: str) -> None:
        self._clients = clients
        self._primary_name = primary_name
        self._executor = ThreadPoolExecutor(max(1, len(clients)), "guarita-views")

    def look(self) -> dict[Address, View | None]:
        """The view of each, asked at once; None of those that do not answer."""
        views = self._executor.map(self._view, self._clients.values())
        return dict(zip(self._clients, views, strict=True))

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
        for each in self._clients.values():
            each.close()

    def _view(self, sentinel: redis.Redis) -> View | None:
        try:
            primary: Any = sentinel.sentinel_master(self._primary_name)
            replicas: Any = sentinel.sentinel_slaves(self._primary_name)
            others: Any = sentinel.sentinel_sentinels(self._primary_name)
            return View(
                _address(primary),
                int(primary["config-epoch"]),
                primary["flags"] == "master",
                _down_by_address(replicas),
                _down_by_address(others),
                frozenset(_address(row) for row in (primary, *replicas) if _is_strange(row)),
            )
        except (RedisError, OSError, ValueError, KeyError):
            return None


def sentinels_of(settings: Settings) -> Sentinels:
    """The Sentinels of the configuration."""
    sentinel = settings.store.sentinel
    patience_s = sentinel.timeout_s
    clients = {
        (each.host, each.port): client((each.host, each.port), sentinel, patience_s, patience_s)
        for each in sentinel.nodes
    }
    return Sentinels(clients, sentinel.primary_name)


def named_by_majority(views: Iterable[View | None], count: int) -> Address | None:
    """Whom more than half of `count` Sentinels name."""
    votes = Counter(view.primary for view in views if view)
    return next((who for who, number in votes.items() if number > count // 2), None)


def _address(fields: Mapping[str, Any]) -> Address:
    return str(fields["ip"]), int(fields["port"])


def _is_strange(row: Mapping[str, Any]) -> bool:
    """A Sentinel never closes a connection on which anything comes (Redis, sentinel.c). It may be
    flagged as disconnected: there is another one, for messages, which is closed."""
    is_answered = int(row["last-ping-reply"]) < ANSWERED_MS < int(row["last-ok-ping-reply"])
    return "s_down" in str(row["flags"]).split(",") and is_answered


def _down_by_address(rows: Iterable[Mapping[str, Any]]) -> dict[Address, bool]:
    return {_address(row): "s_down" in str(row["flags"]).split(",") for row in rows}
