"""An installation that runs already and is known by its URL alone.

It is loaded and looked at over HTTP. Its nodes are not known, so what breaks it is a command of the
user's own. Nothing of it is started or ended.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from guarita.drill.history import Sample
from guarita.drill.targets.base import Power, Shape, Spoilt, Terms
from guarita.drill.workload.load import Place
from guarita.errors import TopologyError
from guarita.processes import Condition, wait_until
from guarita.topology.helm import Release

READY_S = 90.0
ASK_S = 5.0
_PORTS = {"http": 80, "https": 443}
_NO_NODES = "it is known by its URL alone: its nodes cannot be reached"


def place_of(url: str) -> Place:
    """The service at this URL. Raises `ValueError` with a sentence."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"{url} must be http://HOST[:PORT] or https://HOST[:PORT]")
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        raise ValueError(f"{url} must end with its host: all paths are the service's own")
    port = parts.port or _PORTS[parts.scheme]
    return Place(parts.netloc, parts.hostname, port, tls=parts.scheme == "https")


class RunningTarget:
    """See `guarita.drill.targets.base.Target`."""

    name = "running"
    slack_s = 0.0
    was_there = True
    nodes: tuple[str, ...] = ()
    sentinels: tuple[str, ...] = ()

    def __init__(self, place: Place, shape: Shape, *, api_key: str, terms: Terms) -> None:
        self.shape = shape
        self.places: Sequence[Place] = [place]
        self.api_key = api_key
        self.terms = terms
        self._place = place
        url = f"{'https' if place.tls else 'http'}://{place.host}:{place.port}"
        self.options = f"--url {url} --yes-break-it {place.name}"

    def start(self) -> None:
        self.wait_settled()

    def end(self) -> None:
        """It was there before."""

    def restore(self) -> None:
        """What was done to it, a command did: only another one can take it away."""

    def lacks(self, power: Power) -> str | None:  # noqa: ARG002 - it has none
        return _NO_NODES

    def versions(self) -> dict[str, str]:
        return {}

    def obstacle(self) -> str | None:
        """`/healthz/deep` writes to the store."""
        place = self._place
        connection = (
            http.client.HTTPSConnection(
                place.host, place.port, timeout=ASK_S, context=ssl.create_default_context()
            )
            if place.tls
            else http.client.HTTPConnection(place.host, place.port, timeout=ASK_S)
        )
        try:
            connection.request("GET", "/healthz/deep")
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as exc:
            return f"{place.name} does not answer: {exc}"
        finally:
            connection.close()
        return None if status == http.client.OK else f"{place.name}/healthz/deep answers {status}"

    def wait_settled(self) -> None:
        if not wait_until(lambda: self.obstacle() is None, timeout_s=READY_S, pause_s=0.2):
            raise TopologyError(f"it was not well within {READY_S:g} s: {self.obstacle()}")

    # What needs its nodes. No fault that does applies here, so none of these is called.

    def primary(self) -> str:
        _refuse()

    def replicas(self) -> tuple[str, ...]:
        _refuse()

    def address(self, name: str) -> tuple[str, int]:
        _refuse(name)

    def watcher(self, name: str) -> Callable[[int], Sample]:
        _refuse(name)

    def condition(self, name: str) -> Condition:
        _refuse(name)

    def hear(self, event: str) -> AbstractContextManager[Callable[[], bool]]:
        _refuse(event)

    def log(self, name: str) -> str:
        _refuse(name)

    def command(self, name: str, *words: str | int, timeout_s: float = 1.0) -> Any:
        _refuse(name, words, timeout_s)

    def kill(self, name: str, *, server_only: bool = False) -> None:
        _refuse(name, server_only)

    def pause(self, name: str, *, server_only: bool = False) -> None:
        _refuse(name, server_only)

    def resume(self, name: str, *, server_only: bool = False) -> None:
        _refuse(name, server_only)

    def terminate(self, name: str, *, within_s: float = 40.0) -> float:
        _refuse(name, within_s)

    def start_node(self, name: str) -> None:
        _refuse(name)

    def directory(self, name: str) -> Path:
        _refuse(name)

    def drop_sentinels(self, count: int) -> None:
        _refuse(count)

    def change_password(self, password: str) -> None:
        _refuse(password)

    def change_certificates(self) -> Callable[[], bool]:
        _refuse()

    def cut(self, some: Iterable[str], others: Iterable[str], *, one_way: bool = False) -> str:
        _refuse(some, others, one_way)

    def slow(
        self, some: Iterable[str], others: Iterable[str], *, loss_percent: int, delay_ms: int
    ) -> str | None:
        _refuse(some, others, loss_percent, delay_ms)

    def spoil_names(self, how: Spoilt) -> None:
        _refuse(how)

    def swap_addresses(self, who: Sequence[str]) -> None:
        _refuse(who)

    def mingled(self) -> Mapping[str, int]:
        _refuse()

    def release(self) -> Release:
        _refuse()

    def lost_packets(self) -> int:
        """None are lost here."""
        return 0

    def mend(self) -> None:
        """Nothing was cut."""


def _refuse(*_: object) -> NoReturn:
    raise TopologyError(_NO_NODES)
