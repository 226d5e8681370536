"""The measuring: servers side by side, the same cells for each in turn, several rounds."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.contestants import Contestant, Row, Site
from bench.facts import ROOT
from bench.load import Answer, NoLoad, Request, send
from bench.processes import cpu_s
from bench.store import Primary, bytes_per_record
from guarita import processes
from guarita.topology.local import LocalSentinel, LocalStandalone, ports

SESSIONS = 100  # that are asked for in turn by verify
MEMORY_RECORDS = 200_000
START_S = 30.0

Alone = dict[str, dict[str, float]]
"""Of the store without HTTP: figures by operation and name."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing to measure; `live` tickets are in the store beforehand."""

    row: Row
    connections: int
    live: int = 0


@dataclass(frozen=True, slots=True)
class Model:
    """A record that a contestant made, to be copied: its key, and what the caller was told."""

    key: bytes
    answer: Answer


@dataclass(frozen=True, slots=True)
class Sample:
    """What one short run of load has shown. Everything is per request, but for the rate."""

    per_s: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    store_cpu_us: float
    commands: dict[str, float]


@dataclass(slots=True)
class Runner:
    """A contestant that is running, and what was measured of it."""

    contestant: Contestant
    port: int
    identity: processes.Identity
    samples: dict[Cell, list[Sample]] = field(default_factory=dict)
    fastest: float = 0.0

    def most_redeems(self, seconds: int) -> int:
        """More than it can do in that time, going by what it did before."""
        return round(3 * max(self.fastest, 5000) * seconds)

    def ask(self, connection: http.client.HTTPConnection, request: Request) -> Answer:
        """What it answers. Raises `NoLoad` unless it answers 200."""
        body = request.body or None
        connection.request(request.method, request.path, body, dict(request.headers))
        answer = connection.getresponse()
        data = answer.read()
        if answer.status != http.client.OK:
            raise NoLoad(f"{self.contestant.name} answered {request.path} with {answer.status}")
        return Answer(answer.headers.get("Set-Cookie", "").partition(";")[0], data)

    @contextmanager
    def connection(self) -> Iterator[http.client.HTTPConnection]:
        connection = http.client.HTTPConnection(ports.HOST, self.port, timeout=10)
        try:
            yield connection
        finally:
            connection.close()


class Course:
    """A Sentinel installation of three data nodes, and servers that use it, in a directory."""

    def __init__(self, directory: Path, installation: LocalSentinel, *, seconds: int) -> None:
        self.directory = directory
        self.primary = Primary(installation)
        self._installation = installation
        self._seconds = seconds

    def start(self, contestant: Contestant) -> Runner:
        """Start a server and wait until it answers. Raises `NoLoad`."""
        (port,) = ports.free_ports(1)
        site = Site(
            self.directory,
            port,
            str(self._installation.primary()),
            tuple(str(each) for each in self._installation.sentinels),
        )
        log = self.directory / f"{contestant.name}.log"
        identity = processes.spawn(contestant.argv(site), cwd=self.directory, log=log)
        runner = Runner(contestant, port, identity)
        if not processes.wait_until(lambda: ports.answers(port), timeout_s=START_S):
            processes.kill([identity])
            raise NoLoad(f"{contestant.name} did not start: {log.read_text()[-1000:]}")
        return runner

    def warm_up(self, runner: Runner, cell: Cell, seconds: int) -> None:
        """A run that counts only as a hint of how fast the contestant is."""
        runner.fastest = max(runner.fastest, self._run(runner, cell, seconds).per_s)

    def measure(self, runner: Runner, cell: Cell) -> None:
        """One run of load, added to the runner's samples.

        Raises `NoLoad` when a request was refused or not answered.
        """
        sample = self._run(runner, cell, self._seconds)
        runner.fastest = max(runner.fastest, sample.per_s)
        runner.samples.setdefault(cell, []).append(sample)

    def _run(self, runner: Runner, cell: Cell, seconds: int) -> Sample:
        contestant = runner.contestant
        model = self._model(runner)
        self._copy(contestant, model, cell.live)
        requests: list[Request] = []
        match cell.row:
            case "create":
                requests = [contestant.create()]
            case "redeem":
                ids = self._copy(contestant, model, runner.most_redeems(seconds))
                requests = [contestant.redeem(id) for id in ids]
            case "verify":
                requests = self._sessions(runner)
        return self._load(runner, requests, cell.connections, seconds)

    def alone(self, runner: Runner, live: int) -> Alone:
        """Guarita's store without HTTP, with that many tickets in it: figures by operation."""
        self._copy(runner.contestant, self._model(runner), live)
        return self._operations(self.directory / f"{runner.contestant.name}.yaml")

    def alone_on_one_server(self) -> Alone:
        """The same on a server of its own, which no replica shares the processors with."""
        with LocalStandalone(self.directory / "one-server") as installation:
            (node,) = installation.nodes
            store = {
                "topology": "standalone",
                "durability": "fast",
                "standalone": {"host": node.host, "port": node.port},
            }
            sessions = {"max_sessions": 0, "cache_age_s": 0}
            settings = self.directory / "one-server.yaml"
            settings.write_text(json.dumps({"store": store, "sessions": sessions}))
            return self._operations(settings)

    def _operations(self, settings: Path) -> Alone:
        answer = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "bench.operations", str(settings)],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        try:
            figures: Alone = json.loads(answer.stdout.splitlines()[-1])
        except (IndexError, ValueError) as exc:
            raise NoLoad(f"bench.operations failed: {answer.stderr[-1000:]}") from exc
        return figures

    def close(self) -> None:
        self.primary.close()

    def weigh(self, runner: Runner) -> float:
        """Bytes of memory that one more ticket, not used yet, takes."""
        contestant = runner.contestant
        model = self._model(runner)
        dump = self.primary.dump(model.key)
        keys = [contestant.key(contestant.new_id(model.answer)) for _ in range(MEMORY_RECORDS)]
        return bytes_per_record(self.directory / f"memory-{contestant.name}", dump, keys)

    def _model(self, runner: Runner) -> Model:
        """Have the contestant make the only record in the store."""
        self.primary.empty()
        with runner.connection() as connection:
            answer = runner.ask(connection, runner.contestant.create())
        return Model(self.primary.record(runner.contestant.key_prefix), answer)

    def _copy(self, contestant: Contestant, model: Model, count: int) -> list[str]:
        ids = [contestant.new_id(model.answer) for _ in range(count)]
        self.primary.copy(model.key, [contestant.key(id) for id in ids])
        return ids

    def _sessions(self, runner: Runner) -> list[Request]:
        """Requests that ask for sessions, which are made for it."""
        contestant = runner.contestant
        requests = []
        with runner.connection() as connection:
            for _ in range(SESSIONS):
                answer = runner.ask(connection, contestant.create())
                if contestant.is_ours:
                    id = json.loads(answer.body)["session_id"]
                    answer = runner.ask(connection, contestant.redeem(id))
                requests.append(contestant.verify(answer))
        return requests

    def _load(
        self, runner: Runner, requests: list[Request], connections: int, seconds: int
    ) -> Sample:
        url = f"http://{ports.HOST}:{runner.port}"
        file = self.directory / "requests.txt"
        pid = runner.identity.pid
        self.primary.start_counting()
        before_s = cpu_s(pid, whole_session=True)
        load = send(url, requests, file=file, connections=connections, s=seconds)
        spent_s = cpu_s(pid, whole_session=True) - before_s
        calls, store_s = self.primary.counted()
        if load.refused or load.broken or not load.requests:
            raise NoLoad(f"{runner.contestant.name}: {load} for {requests[0].path}")
        return Sample(
            per_s=load.per_s,
            cpu_us=spent_s * 1e6 / load.requests,
            p50_ms=load.p50_us / 1000,
            p99_ms=load.p99_us / 1000,
            store_cpu_us=store_s * 1e6 / load.requests,
            commands={name: n / load.requests for name, n in calls.items()},
        )
