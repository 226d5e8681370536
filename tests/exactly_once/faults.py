"""The faults: each is done, held, and healed, on whoever is primary then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass

import redis

from guarita.errors import TopologyError
from guarita.processes import wait_until
from guarita.topology.local import Node

from . import cuts
from .rivals import SERVICES

PAUSE_S = 4.0  # longer than down-after (1 s) and a failover (2.2 s)
CUT_S = 8.0  # longer than repl-timeout as well: the sides have forgotten each other
DEAD_S = 3.0
REPLICA_S = 6.0


@dataclass(frozen=True, slots=True)
class Scene:
    """An installation as a fault finds it."""

    sentinel: cuts.IslandSentinel
    primary: Node
    replicas: tuple[Node, ...]

    @classmethod
    def of(cls, sentinel: cuts.IslandSentinel) -> Scene:
        return cls(sentinel, sentinel.primary(), sentinel.replicas())

    @property
    def services(self) -> list[str]:
        return [cuts.service_address(index) for index in range(SERVICES)]

    def cut(self, some: Iterable[Node | str], others: Iterable[Node | str]) -> _Cut:
        return cuts.cut(_addresses(some), _addresses(others))


_Cut = AbstractContextManager[None]


def _addresses(group: Iterable[Node | str]) -> list[str]:
    return [each.host if isinstance(each, Node) else each for each in group]


def hold(seconds: float) -> None:
    """A fault lasts: nothing is awaited here."""
    time.sleep(seconds)


def kill(scene: Scene) -> None:
    """kill -9 the primary; 3 s later it is started with its data"""
    scene.sentinel.kill(scene.primary)
    hold(DEAD_S)
    scene.sentinel.start(scene.primary)


def pause(scene: Scene) -> None:
    """SIGSTOP the primary for longer than a failover takes"""
    scene.sentinel.pause(scene.primary)
    hold(PAUSE_S)
    scene.sentinel.resume(scene.primary)


def pause_until(event: str) -> Callable[[Scene], None]:
    """SIGSTOP the primary, and SIGCONT at an event of the failover."""

    def fault(scene: Scene) -> None:
        with Events(scene.sentinel) as events:
            scene.sentinel.pause(scene.primary)
            try:
                events.wait_for(event)
            finally:
                scene.sentinel.resume(scene.primary)

    fault.__doc__ = f"SIGSTOP the primary, SIGCONT at {event}"
    return fault


def switch(scene: Scene) -> None:
    """SENTINEL FAILOVER, with the old primary alive"""
    # Refused while an earlier failover is not over for that Sentinel.
    if not wait_until(lambda: _switched(scene), timeout_s=60, pause_s=0.5):
        raise TimeoutError(f"no Sentinel replaced {scene.primary}")


def _switched(scene: Scene) -> bool:
    try:
        return scene.sentinel.failover() != scene.primary
    except TopologyError:
        return False


def cut_from_all(scene: Scene) -> None:
    """the primary reaches the services alone"""
    with scene.cut([scene.primary], [*scene.replicas, *scene.sentinel.sentinels]):
        hold(CUT_S)


def cut_from_sentinels(scene: Scene) -> None:
    """the primary and the Sentinels do not reach each other"""
    with scene.cut([scene.primary], scene.sentinel.sentinels):
        hold(CUT_S)


def split(scene: Scene) -> None:
    """primary, a replica and a service on one side, all others on the other"""
    here, there = scene.services
    near, far = scene.replicas
    with scene.cut([scene.primary, near, here], [far, there, *scene.sentinel.sentinels]):
        hold(CUT_S)


def split_from_both(scene: Scene) -> None:
    """primary, a replica and both services on one side, a replica and the Sentinels on the other"""
    near, far = scene.replicas
    with scene.cut([scene.primary, near, *scene.services], [far, *scene.sentinel.sentinels]):
        hold(CUT_S)


def cut_two_sentinels(scene: Scene) -> None:
    """primary and a replica are cut from two of the three Sentinels"""
    with scene.cut([scene.primary, scene.replicas[1]], scene.sentinel.sentinels[:2]):
        hold(CUT_S)


def cut_replica(scene: Scene) -> None:
    """a replica reaches nobody"""
    others = [scene.primary, scene.replicas[0], *scene.services, *scene.sentinel.sentinels]
    with scene.cut([scene.replicas[1]], others):
        hold(CUT_S)


def kill_replica(scene: Scene) -> None:
    """kill -9 a replica; 6 s later it is started with its data"""
    scene.sentinel.kill(scene.replicas[0])
    hold(REPLICA_S)
    scene.sentinel.start(scene.replicas[0])


def pause_replica(scene: Scene) -> None:
    """SIGSTOP a replica for longer than repl-timeout"""
    scene.sentinel.pause(scene.replicas[0])
    hold(CUT_S)
    scene.sentinel.resume(scene.replicas[0])


FAULTS: dict[str, Callable[[Scene], None]] = {
    "kill": kill,
    "pause": pause,
    "pause-until-elected": pause_until("+elected-leader"),
    "pause-until-promotion": pause_until("+failover-state-wait-promotion"),
    "pause-until-switch": pause_until("+switch-master"),
    "switch": switch,
    "cut-sentinels": cut_from_sentinels,
    "cut-all": cut_from_all,
    "split": split,
    "split-both": split_from_both,
    "cut-two-sentinels": cut_two_sentinels,
    "cut-replica": cut_replica,
    "kill-replica": kill_replica,
    "pause-replica": pause_replica,
}


@contextmanager
def rejoining(scene: Scene) -> Iterator[None]:
    """Meanwhile, the old primary is made a replica as soon as a majority names another node.

    Sentinel alone takes 8 to 11 s for it. A node that was just promoted is left alone: for up to
    a second it takes writes while the Sentinels still name the old one.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            with suppress(redis.RedisError, TopologyError):
                _rejoin(scene)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()


def _rejoin(scene: Scene) -> None:
    named = scene.sentinel.primary()
    if named == scene.primary:
        return
    with scene.sentinel.client(scene.primary) as client:
        if client.info("replication")["role"] == "master":
            client.replicaof(named.host, str(named.port))


class Events:
    """What the Sentinels tell of a failover, listened to from before it begins."""

    def __init__(self, sentinel: cuts.IslandSentinel) -> None:
        self._sentinel = sentinel
        self._stack = ExitStack()
        self._subscriptions: list[redis.client.PubSub] = []

    def __enter__(self) -> Events:
        for node in self._sentinel.sentinels:
            client = self._stack.enter_context(self._sentinel.client(node))
            subscription = self._stack.enter_context(client.pubsub())
            subscription.psubscribe("*")
            subscription.get_message(timeout=1)  # subscribed
            self._subscriptions.append(subscription)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def wait_for(self, name: str, *, timeout_s: float = 30) -> None:
        """Return once a Sentinel tells it. Raises `TimeoutError`."""
        if not wait_until(lambda: self._heard(name), timeout_s=timeout_s, pause_s=0.001):
            raise TimeoutError(f"no Sentinel told {name} within {timeout_s:g} s")

    def _heard(self, name: str) -> bool:
        told = [each.get_message(timeout=0) for each in self._subscriptions]
        return any(message is not None and message["channel"] == name for message in told)
