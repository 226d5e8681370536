"""Keeps the gates right: one prober a process finds primaries, so that requests never poll."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import structlog
from redis.exceptions import RedisError

from guarita.stores.discovery import STEADY_INTERVAL_S, Address, Finder, NotFound
from guarita.stores.lane import Lane, Primary

TROUBLE_INTERVAL_S = 0.05

_log = structlog.get_logger("guarita.stores")


class Prober:
    """Opens the gates of lanes whose primary is found and takes writes; wakes on trouble."""

    def __init__(self, finder: Finder, open_primary: Callable[[Address, str], Primary]) -> None:
        self._finder = finder
        self._open_primary = open_primary
        self._lanes: Sequence[Lane] = ()
        self._last: dict[str, Primary] = {}
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="guarita-prober", daemon=True)

    def start(self, lanes: Sequence[Lane]) -> None:
        self._lanes = lanes
        self._thread.start()
        self._finder.watch(self.wake)

    def wake(self) -> None:
        """Look now: something may have changed."""
        self._wake.set()

    def close(self) -> None:
        self._closed.set()
        self._wake.set()
        self._thread.join(timeout=STEADY_INTERVAL_S)
        self._finder.close()
        for primary in self._last.values():
            primary.pool.disconnect()

    def _run(self) -> None:
        while not self._closed.is_set():
            self._wake.clear()
            try:
                self._look()
            except Exception:  # noqa: BLE001 - without its prober a process would wait for ever
                _log.exception("looking for the primary failed")
            if any(lane.gate.primary is None for lane in self._lanes):
                self._closed.wait(TROUBLE_INTERVAL_S)
            else:
                self._wake.wait(STEADY_INTERVAL_S)

    def _look(self) -> None:
        try:
            primary_of = self._finder.find()
        except NotFound as exc:
            for lane in self._lanes:
                lane.gate.explain(str(exc))
            return
        for lane in self._lanes:
            try:
                self._settle(lane, primary_of(lane.tag))
            except NotFound as exc:
                lane.gate.explain(str(exc))

    def _settle(self, lane: Lane, address: Address) -> None:
        current = lane.gate.primary
        if current is not None:
            if current.address == address:
                return
            lane.gate.close(current, f"the primary is {address[0]}:{address[1]} now")
        if last := self._last.pop(lane.tag, None):
            last.pool.disconnect(inuse_connections=False)
            _log.warning("primary lost", primary=str(last), reason=lane.gate.reason)
        try:
            primary = self._open_primary(address, lane.tag)
        except (RedisError, OSError) as exc:
            raise NotFound(f"{address[0]}:{address[1]} takes no writes: {exc}") from exc
        self._last[lane.tag] = primary
        _log.info("primary found", primary=str(primary), waiting=lane.gate.waiting)
        lane.gate.open(primary)
