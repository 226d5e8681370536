"""What can be done to the containers of an installation, and how it is undone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor

import redis

from guarita.errors import TopologyError
from guarita.processes import Condition, wait_until
from guarita.testing import engine
from guarita.testing.document import Layout, Place

GONE_S = 40.0


class Faults(ABC):
    """Each lasts until `heal`."""

    layout: Layout
    project: str

    @property
    @abstractmethod
    def place(self) -> Place: ...

    @abstractmethod
    def primary(self) -> str: ...

    @abstractmethod
    def wait_well(self) -> None: ...

    def container(self, name: str) -> str:
        """What Docker calls it."""
        return f"{self.project}-{name}-1"

    def condition(self, name: str) -> Condition:
        return engine.look(self.project)[self.container(name)].condition

    def kill_primary(self) -> str:
        """kill -9; returns its name."""
        return self.kill(self.primary())

    def pause_primary(self) -> str:
        """Freeze it; returns its name."""
        return self.pause(self.primary())

    def stop_primary(self) -> str:
        """SIGTERM, as `docker stop` sends it; returns its name when it is gone."""
        return self.stop(self.primary())

    def isolate_primary(self) -> str:
        """Take it off the network; returns its name."""
        return self.isolate(self.primary())

    def kill(self, name: str) -> str:
        engine.docker("kill", self.container(name))
        return name

    def pause(self, name: str) -> str:
        engine.docker("pause", self.container(name))
        return name

    def resume(self, name: str) -> str:
        if self.condition(name) is Condition.PAUSED:
            engine.docker("unpause", self.container(name))
        return name

    def stop(self, name: str, *, within_s: float = GONE_S) -> str:
        """SIGTERM; returns when it is gone. After `within_s` seconds it is killed."""
        engine.docker("stop", f"-t={within_s:.0f}", self.container(name))
        return name

    def start_again(self, name: str) -> str:
        """Start a dead one with its data; does nothing where it runs."""
        engine.docker("start", self.container(name))
        return name

    def restart(self, *names: str) -> None:
        """SIGTERM, and start, all at once; without names everything."""
        chosen = names or self.layout.everybody
        with ThreadPoolExecutor(len(chosen)) as pool:
            for each in [pool.submit(self._restart, name) for name in chosen]:
                each.result()

    def remove(self, *names: str) -> None:
        """Take containers away for good, with their data."""
        engine.docker("rm", "--force", "--volumes", *(self.container(name) for name in names))

    def isolate(self, name: str) -> str:
        engine.docker("network", "disconnect", self._network, self.container(name))
        return name

    def rejoin(self, name: str) -> str:
        """Undo `isolate`; does nothing where it is on the network."""
        if self._network not in engine.look(self.project)[self.container(name)].networks:
            address = self.place.address(name)
            words = ("network", "connect", "--ip", address, self._network)
            engine.docker(*words, self.container(name))
        return name

    def heal(self) -> None:
        """Undo every fault, and return when all is well."""
        found = engine.look(self.project)
        for name in self.layout.everybody:
            seen = found[self.container(name)]
            if seen.condition is Condition.PAUSED:
                self.resume(name)
            if self._network not in seen.networks:
                self.rejoin(name)
            if seen.condition is Condition.DEAD:
                self.start_again(name)
        self.wait_well()

    def wait_new_primary(self, old: str, *, timeout_s: float = 30.0) -> str:
        """The primary, once it is another one than `old`."""
        found = [old]

        def is_new() -> bool:
            try:
                found[0] = self.primary()
            except (TopologyError, redis.RedisError):
                return False
            return found[0] != old

        if not wait_until(is_new, timeout_s=timeout_s, pause_s=0.05):
            raise TopologyError(f"no other primary than {old} within {timeout_s:g} s")
        return found[0]

    def _restart(self, name: str) -> None:
        engine.docker("restart", f"-t={GONE_S:.0f}", self.container(name))

    @property
    def _network(self) -> str:
        return f"{self.project}_guarita"
