"""Hosts and pages as a steady load over HTTP: create and redeem at a fixed rate."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from guarita.processes import wait_until


@dataclass(frozen=True, slots=True)
class Visit:
    """One ticket, from its creation to its redeem."""

    started_s: float
    took_s: float
    problem: str  # empty when it was admitted


@dataclass
class Load:
    """`rate` visits a second for `duration_s`, whether or not earlier ones have ended."""

    port: int
    rate: float
    duration_s: float
    visits: list[Visit] = field(default_factory=list)
    _answered_s: list[float] = field(default_factory=list)  # when each write was
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        """Returns when the last visit has ended."""
        start = time.monotonic()
        total = int(self.rate * self.duration_s)
        with ThreadPoolExecutor(max_workers=int(self.rate * 15)) as executor:
            for number in range(total):
                due = start + number / self.rate
                time.sleep(max(0.0, due - time.monotonic()))  # paces the load
                executor.submit(self._visit, number)

    def run_through(self, fault: Callable[[], object], *, after: int) -> None:
        """Call `fault` once `after` visits have ended; no visit may fail, nor be missing."""
        running = threading.Thread(target=self.run)
        running.start()
        try:
            assert wait_until(lambda: len(self.visits) >= after, timeout_s=self.duration_s)
            fault()
        finally:
            running.join()
        assert self.problems == []
        assert len(self.visits) == self.rate * self.duration_s

    @property
    def problems(self) -> list[str]:
        return [visit.problem for visit in self.visits if visit.problem]

    @property
    def longest_wait_s(self) -> float:
        return max(visit.took_s for visit in self.visits)

    @property
    def longest_pause_s(self) -> float:
        """The longest time without a successful write, from the first one to the last."""
        times = sorted(self._answered_s)
        return max(later - earlier for earlier, later in pairwise(times))

    def _visit(self, number: int) -> None:
        started = time.monotonic()
        problem = ""
        try:
            self._create_and_redeem(number)
        except (OSError, http.client.HTTPException, AssertionError) as exc:
            problem = f"visit {number}: {type(exc).__name__}: {exc}"
        with self._lock:
            self.visits.append(Visit(started, time.monotonic() - started, problem))

    def _create_and_redeem(self, number: int) -> None:
        ticket = self._write("/auth/create-session")
        body = {"session_id": ticket["session_id"], "attempt": f"attempt-{number:08}"}
        session = self._write("/auth/redeem", body)
        assert session["session_token"]

    def _write(self, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = call(self.port, "POST", path, body)
        self._answered_s.append(time.monotonic())
        return answer


def call(port: int, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """The answer's JSON; `AssertionError` with the whole answer on anything but 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        response = connection.getresponse()
        text = response.read().decode()
        assert response.status == http.client.OK, f"{path}: {response.status} {text}"
        return json.loads(text)
    finally:
        connection.close()
