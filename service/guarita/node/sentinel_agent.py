"""The agent of a Sentinel, from its start to its end."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import structlog
from redis.exceptions import RedisError

from guarita import hosts, logs
from guarita.clients import client
from guarita.config import Address as ConfigAddress
from guarita.config import Credentials, Settings, check_sentinel
from guarita.node import first, forget, metrics
from guarita.node.child import Child, Restarts, exit_status
from guarita.node.conf import agent_user, write_file
from guarita.node.directory import enter
from guarita.node.endpoint import Answer, Endpoint, tls_of
from guarita.node.passwords import (
    Command,
    Passwords,
    certificate,
    sentinel_commands,
    signing_in,
)
from guarita.node.peers import Agents
from guarita.node.sentinel_conf import Memory, periods_ms, remembered, sentinel_lines
from guarita.node.sentinel_view import View, named_by_majority, sentinels_of
from guarita.servers import find_server
from guarita.stores.durability import Address

FILE = Path("sentinel.conf")  # in the data directory, which is the working directory
INTERVAL_S = 1.0
ASK_S = 0.3
TURN_S = 4.0  # Sentinels that share their files start again one after another

_log = structlog.get_logger("guarita.node")


def run(settings: Settings) -> int:
    """Run a Sentinel until SIGTERM or Ctrl-C; returns the exit status of its server.

    Raises `ConfigError` and `TopologyError` before anything is started.
    """
    hosts.check(settings)
    agent = SentinelAgent(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.ask_to_stop())
    return agent.run()


class Turn:
    """When a Sentinel starts again for another certificate: while all answer, and after those
    before it. They may share their files, and so see that at the same moment.
    """

    def __init__(self, certificate: str) -> None:
        """`certificate` is what it was started with."""
        self._certificate = certificate
        self._since_s: float | None = None

    def has_come(
        self, me: Address, views: Mapping[Address, View | None], now: str | None, now_s: float
    ) -> bool:
        """Whether it has, with this certificate in the files now (None: they cannot be read)."""
        if now in (None, self._certificate) or not (views and all(views.values())):
            self._since_s = None
            return False
        if self._since_s is None:
            self._since_s = now_s
        return now_s - self._since_s >= TURN_S * sorted(views).index(me)


class SentinelAgent:
    """One Sentinel."""

    def __init__(self, settings: Settings) -> None:
        check_sentinel(settings)
        logs.configure(settings)
        node, sentinel = settings.node, settings.store.sentinel
        announce = cast("ConfigAddress", node.announce)
        self._settings = settings
        self._name = sentinel.primary_name
        self._me: Address = (announce.host, announce.port)
        self._peers: list[Address] = [(peer.host, peer.port) for peer in node.peers]
        self._program = find_server(None if node.server == "auto" else node.server)
        self._child = Child("sentinel")
        self._stopping = threading.Event()
        self._own = client(self._me, sentinel, sentinel.timeout_s, 1.0)
        self._sentinels = sentinels_of(settings)
        self._view: View | None = None
        self._is_waiting = False
        self._nodes: Credentials = agent_user(settings)
        self._endpoint = Endpoint(
            node.http,
            {"/livez": self._live, "/readyz": self._ready, "/metrics": metrics.exposition},
            tls_of(node),
        )

    def ask_to_stop(self) -> None:
        """As a signal handler does: only notes it."""
        self._stopping.set()

    def run(self) -> int:
        """Until it is asked to stop, or the server can not be kept up."""
        directory = enter(self._settings.node.data_dir)
        hosts.keep(self._settings)
        self._endpoint.start()
        restarts = Restarts()
        try:
            while self._write_file():
                answered = self._serve_once(directory)
                if self._stopping.is_set():
                    break
                code = self._child.exit_code or 0
                if not (answered and restarts.allow(time.monotonic())):
                    _log.error("the server ended", exit_code=code)
                    return exit_status(code)
                _act("restart", f"the server ended with {code}")
            return exit_status(self._child.stop(self._settings.node.stop_s))
        finally:
            self._endpoint.close()
            self._sentinels.close()
            self._own.close()

    # Its file

    def _write_file(self) -> bool:
        """As configured, with what it remembers or others know; False when it is to stop."""
        old = FILE.read_text() if FILE.exists() else ""
        memory = remembered(old, self._name)
        memory = self._brought_up_to_date(memory) if memory else self._first_memory()
        if memory is None:
            return False
        write_file(FILE, sentinel_lines(self._settings, memory))
        return True

    def _brought_up_to_date(self, memory: Memory) -> Memory:
        """By what the others say."""
        self._is_waiting = True
        views = self._views_of_others()
        self._is_waiting = False
        choice = first.later(
            memory.primary, memory.config_epoch, views, len(self._settings.store.sentinel.nodes)
        )
        if choice is None:
            return memory
        host, port = choice.primary
        _act("watch", choice.reason, primary=f"{host}:{port}")
        return replace(
            memory,
            primary=choice.primary,
            config_epoch=choice.config_epoch,
            current_epoch=max(memory.current_epoch, choice.config_epoch),
            replicas=memory.replicas | {memory.primary},
        )

    def _views_of_others(self) -> list[View | None]:
        return [view for each, view in self._sentinels.look().items() if each != self._me]

    def _first_memory(self) -> Memory | None:
        """Whom to watch at a first start; None when it is to stop meanwhile."""
        agents = Agents(self._settings, timeout_s=ASK_S)
        started_s = time.monotonic()
        self._is_waiting = True
        try:
            while not self._stopping.is_set():
                views = self._views_of_others()
                peers = agents.ask(self._peers)
                silent = [each for each in self._peers if peers[each] is None]
                leading = [each for each in silent if self._has_replicas(each)]
                waited_s = time.monotonic() - started_s
                choice = first.decide([*views, None], peers, leading, waited_s)
                if choice:
                    host, port = choice.primary
                    _act("watch", choice.reason, primary=f"{host}:{port}")
                    return Memory(choice.primary, choice.config_epoch)
                self._stopping.wait(0.2)
        finally:
            self._is_waiting = False
            agents.close()
        return None

    def _has_replicas(self, node: Address) -> bool:
        """Whether a data node without an agent says that it is a primary that is followed."""
        role = self._role(node)
        return role is not None and role[0] == b"master" and bool(role[2])

    def _role(self, node: Address) -> list[object] | None:
        try:
            with client(node, self._nodes, ASK_S, ASK_S) as asked:
                answer: list[object] = asked.execute_command("ROLE")
                return answer
        except (RedisError, OSError, ValueError):
            return None

    # One life of the server

    def _serve_once(self, directory: Path) -> bool:
        """Until it ends or is to stop. Whether it ever answered."""
        passwords = Passwords(lambda: sentinel_commands(self._settings))
        turn = Turn(certificate(self._settings))
        self._endpoint.show(tls_of(self._settings.node))
        self._child.start([self._program.path, str(FILE), "--sentinel"], directory)
        pending: tuple[forget.Step, float] | None = None
        is_prepared = False
        while not self._stopping.is_set() and not self._child.ended.is_set():
            is_prepared = is_prepared or self._prepare()
            if is_prepared:
                passwords.mind(self._tell)
            views = self._sentinels.look() if is_prepared else {}
            self._view = views.get(self._me)
            now_s = time.monotonic()
            if turn.has_come(self._me, views, self._certificate(), now_s):
                _act("certificate", "its files hold another one, which it reads at its start alone")
                self._child.send(signal.SIGTERM)
            change = self._wanted(views)
            if change is None:
                pending = None
            elif pending is None or pending[0] is not change.step:
                pending = (change.step, now_s)
            elif now_s - pending[1] >= change.patience_s:
                self._carry_out(change)
                pending = None
            self._child.ended.wait(INTERVAL_S if is_prepared else 0.05)
        return is_prepared

    def _prepare(self) -> bool:
        """Tell it what no configuration file can hold; False while it does not answer."""
        told = periods_ms(self._settings.node.down_after_ms)
        periods = [word for pair in told.items() for word in pair]
        try:
            self._own.execute_command("SENTINEL", "DEBUG", *periods)  # type: ignore[no-untyped-call]
        except (RedisError, OSError, ValueError):
            return False
        return True

    def _certificate(self) -> str | None:
        """Of the files of TLS as they are now; None while they cannot be read."""
        try:
            return certificate(self._settings)
        except OSError:
            return None

    def _tell(self, commands: Sequence[Command]) -> None:
        for each in commands:
            self._own.execute_command(*each)  # type: ignore[no-untyped-call]

    def _wanted(self, views: Mapping[Address, View | None]) -> forget.Change | None:
        if self._view is None:
            return None
        named = named_by_majority(views.values(), len(views))
        role = self._role(named) if named else None
        answers = role is not None and role[0] == b"master"
        return forget.decide(forget.Scene(self._me, views, frozenset(self._peers), answers))

    def _carry_out(self, change: forget.Change) -> None:
        _act(str(change.step), change.reason)
        if change.step is forget.Step.INTRODUCE:
            self._child.send(signal.SIGTERM)  # it is started again, with everybody in its file
            return
        try:
            is_reset = change.step is forget.Step.FORGET
            self._tell(
                [("SENTINEL", "RESET", self._name) if is_reset else signing_in(self._settings)]
            )
        except (RedisError, OSError, ValueError) as exc:
            _log.warning("the Sentinel does not do as told", reason=str(exc))

    # What it answers over HTTP

    def _live(self) -> Answer:
        """One that has nobody to watch yet waits for a word, and is alive."""
        alive = self._is_waiting or self._child.pid is not None
        return Answer.text(200, "alive") if alive else Answer.text(503, "the server does not run")

    def _ready(self) -> Answer:
        if self._view is None:
            return Answer.text(503, "the Sentinel does not answer")
        host, port = self._view.primary
        return Answer.text(200, f"watches {host}:{port}")


def _act(action: str, reason: str, **more: str) -> None:
    """Every action is counted, and logged with its reason."""
    metrics.ACTIONS.labels(action).inc()
    _log.warning(action, reason=reason, **more)
