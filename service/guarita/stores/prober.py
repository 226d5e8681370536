"""Keeps the gates right: one prober a process finds primaries, so that requests never poll."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

import structlog
from redis.exceptions import RedisError

from guarita import metrics
from guarita.stores.discovery import STEADY_INTERVAL_S, Demoted, Finder, NotFound
from guarita.stores.durability import Address
from guarita.stores.lane import Lane, Primary

TROUBLE_INTERVAL_S = 0.05
REOPEN_INTERVAL_S = 0.5  # a node may take the probe's write, and still refuse those of callers
DOUBT_INTERVAL_S = 0.04  # a reading of all watchers, while somebody who must have a write has not

_log = structlog.get_logger("guarita.stores")


class Prober:
    """Opens the gates of lanes whose primary is found and takes writes; wakes on trouble."""

    def __init__(self, finder: Finder, open_primary: Callable[[Address, Lane], Primary]) -> None:
        self._finder = finder
        self._open_primary = open_primary
        self._lanes: Sequence[Lane] = ()
        self._last: dict[str, Primary] = {}
        self._opened: dict[str, tuple[Address, float]] = {}
        self._probes: dict[str, tuple[Address, Future[Primary]]] = {}
        self._successors: dict[str, tuple[Address, Address]] = {}  # of whom, and who
        self._log_next_at = 0.0
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="guarita-prober", daemon=True)

    def start(self, lanes: Sequence[Lane]) -> None:
        self._lanes = lanes
        # Room for the probe of a node that hangs beside that of the one which replaced it.
        self._executor = ThreadPoolExecutor(2 * len(lanes), "guarita-probe")
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
        self._executor.shutdown(wait=False, cancel_futures=True)
        for _, probe in list(self._probes.values()):
            probe.add_done_callback(_end_unwanted)
        for primary in self._last.values():
            primary.end("the store was closed")

    def _run(self) -> None:
        while not self._closed.is_set():
            self._wake.clear()
            try:
                self._look()
                self._tell_metrics()
            except Exception:  # noqa: BLE001 - without it requests would wait for ever
                if not self._closed.is_set() and self._may_log():
                    _log.exception("looking for the primary failed")
            if any(lane.gate.primary is None for lane in self._lanes):
                self._closed.wait(TROUBLE_INTERVAL_S)
            elif self._in_doubt():
                self._closed.wait(DOUBT_INTERVAL_S)
            else:
                self._wake.wait(STEADY_INTERVAL_S)

    def _tell_metrics(self) -> None:
        states = [lane.acknowledgement for lane in self._lanes]
        metrics.STORE_PRIMARY_KNOWN.set(all(state.primary for state in states))
        metrics.STORE_REQUIRED.set(min(len(state.required) for state in states))
        metrics.STORE_LEFT_OUT.set(max(len(state.left_out) for state in states))
        metrics.STORE_WAITING.set(sum(state.waiting for state in states))

    def _in_doubt(self) -> bool:
        primaries = (lane.gate.primary for lane in self._lanes)
        return any(primary is not None and primary.in_doubt for primary in primaries)

    def _look(self) -> None:
        troubled = any(lane.gate.primary is None for lane in self._lanes)
        try:
            finding = self._finder.find(urgent=troubled)
        except NotFound as exc:
            for lane in self._lanes:
                lane.guard.note(exc.nodes)
                lane.guard.observe_nobody()
            self._explain(self._lanes, str(exc))
            return
        for lane in self._lanes:
            lane.guard.note(finding.nodes)
            try:
                if round := finding.round_of(lane.tag):
                    lane.guard.observe(round)
                named = finding.primary_of(lane.tag)
                self._settle(lane, self._successor_of(lane, named))
            except NotFound as exc:
                self._explain([lane], str(exc))

    def _explain(self, lanes: Sequence[Lane], reason: str) -> None:
        """Say why requests wait: to them always, to the log about once a second."""
        closed = [lane for lane in lanes if lane.gate.primary is None]
        for lane in closed:
            lane.gate.explain(reason)
        if closed and self._may_log():
            waiting = sum(lane.gate.waiting for lane in self._lanes)
            _log.warning("no primary", reason=reason, waiting=waiting)

    def _may_log(self) -> bool:
        """About once a second: what goes wrong does so at every look."""
        now_s = time.monotonic()
        if now_s < self._log_next_at:
            return False
        self._log_next_at = now_s + STEADY_INTERVAL_S
        return True

    def _settle(self, lane: Lane, address: Address) -> None:
        current = lane.gate.primary
        if current is not None:
            if current.address == address:
                return
            lane.gate.close(current, f"the primary is {address[0]}:{address[1]} now")
        if last := self._last.pop(lane.tag, None):
            last.end(lane.gate.reason)
            _log.warning("primary lost", primary=str(last), reason=lane.gate.reason)
        if self._opened_just_now(lane, address):
            return
        asked, probe = self._probes.get(lane.tag, (None, None))
        if probe is not None and asked != address:
            probe.add_done_callback(_end_unwanted)
        if probe is None or asked != address:
            # In a thread of its own: a frozen node must not keep us from hearing of the next one.
            probe = self._executor.submit(self._open_primary, address, lane)
            self._probes[lane.tag] = (address, probe)
            wait([probe], TROUBLE_INTERVAL_S)
        if probe.done():
            del self._probes[lane.tag]
            self._admit(lane, address, probe)

    def _opened_just_now(self, lane: Lane, address: Address) -> bool:
        opened, opened_s = self._opened.get(lane.tag, (None, 0.0))
        return opened == address and time.monotonic() < opened_s + REOPEN_INTERVAL_S

    def _admit(self, lane: Lane, address: Address, probe: Future[Primary]) -> None:
        try:
            primary = probe.result()
        except (RedisError, OSError, ValueError) as exc:
            self._follow(lane, address, exc)
            raise NotFound(f"{address[0]}:{address[1]} takes no writes: {exc}") from exc
        if self._closed.is_set():
            primary.end("the store was closed")
            return
        self._last[lane.tag] = primary
        _log.info("primary found", primary=str(primary), waiting=lane.gate.waiting)
        self._opened[lane.tag] = (address, time.monotonic())
        primary.begin()
        lane.gate.open(primary)

    def _successor_of(self, lane: Lane, named: Address) -> Address:
        predecessor, successor = self._successors.get(lane.tag, (None, named))
        if predecessor == named:
            return successor
        self._successors.pop(lane.tag, None)
        return named

    def _follow(self, lane: Lane, address: Address, failure: Exception) -> None:
        """In a planned switch the old primary names the new one a second before the Sentinels do.

        Going there is safe: whoever takes a write, the same nodes must have it. One that no
        Sentinel ever named is none of ours.
        """
        self._successors.pop(lane.tag, None)
        if isinstance(failure, Demoted) and lane.guard.knows(failure.follows):
            self._successors[lane.tag] = (address, failure.follows)


def _end_unwanted(probe: Future[Primary]) -> None:
    """The node answered after another one had taken its place, or the store was closed."""
    if not probe.cancelled() and probe.exception() is None:
        probe.result().end("it is not wanted any more")
