"""The agent of a data node, from its start to its end: boot, duty, departure, stop."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import redis
import structlog
from redis.exceptions import RedisError

from guarita import hosts, logs
from guarita.clients import client, local_connection
from guarita.config import Address as ConfigAddress
from guarita.config import Credentials, Settings, check_data_node
from guarita.kubernetes.api import Api
from guarita.node import boot, damage, metrics
from guarita.node.child import Child, Restarts, exit_status
from guarita.node.conf import agent_user, data_lines, write_file
from guarita.node.departure import Departure
from guarita.node.directory import enter
from guarita.node.duty import Duty
from guarita.node.endpoint import Endpoint, tls_of
from guarita.node.own import INTERVAL_S, Observer, Own, look
from guarita.node.passwords import Command, Passwords, data_commands
from guarita.node.peers import Agents, State
from guarita.node.pod import PodLabel
from guarita.node.server import Server
from guarita.node.status import Status
from guarita.node.watch import Watch
from guarita.node.words import Words
from guarita.servers import find_server
from guarita.stores.durability import Address
from guarita.stores.redis import KeyNames
from guarita.stores.sentinel import SentinelMajority

SOCKET = Path("server.sock")  # in the data directory, which is the working directory
ASK_S = 0.3
TELL_S = 5.0  # how often the log hears why something is tried again

_log = structlog.get_logger("guarita.node")


def run(settings: Settings) -> int:
    """Run a data node until SIGTERM or Ctrl-C; returns the exit status of its server.

    Raises `ConfigError` and `TopologyError` before anything is started.
    """
    hosts.check(settings)
    agent = Agent(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.ask_to_stop())
    return agent.run()


class Agent:
    """One data node."""

    def __init__(self, settings: Settings) -> None:
        check_data_node(settings)
        node = settings.node
        announce = cast("ConfigAddress", node.announce)
        logs.configure(settings)
        self._settings = settings
        self._program = find_server(None if node.server == "auto" else node.server)
        self._me: Address = (announce.host, announce.port)
        self._peers = frozenset((p.host, p.port) for p in node.peers) - {self._me}
        self._counters = KeyNames(
            settings.sessions.key_prefix, settings.sessions.stats_key
        ).counters("")
        self._credentials: Credentials = agent_user(settings)
        self._child = Child("data")
        self._server = Server(
            lambda: self._connect(1.0),
            port=self._me[1],
            priority=node.priority,
            tls=node.tls.cert_file is not None,
        )
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._agents = Agents(settings, timeout_s=ASK_S)
        self._told_s = float("-inf")
        sentinel = settings.store.sentinel
        self._sentinel_clients = {
            (each.host, each.port): client(
                (each.host, each.port), sentinel, sentinel.timeout_s, sentinel.timeout_s
            )
            for each in sentinel.nodes
        }
        self._watch = Watch(
            SentinelMajority(
                self._sentinel_clients, sentinel.primary_name, patience_s=3 * sentinel.timeout_s
            ),
            len(sentinel.nodes),
            self._wake.set,
        )
        self._status = Status(self._me, self._child, self._watch.now, self._look)
        self._endpoint = Endpoint(node.http, self._status.routes(), tls_of(node))
        self._label = self._pod_label(node.pod) if node.pod else None

    def ask_to_stop(self) -> None:
        """As a signal handler does: only notes it. The thread that it interrupts may hold the lock
        of `_wake`."""
        self._stopping.set()

    def run(self) -> int:
        """Until it is asked to stop, or the server can not be kept up."""
        directory = enter(self._settings.node.data_dir)
        hosts.keep(self._settings)
        self._endpoint.start()
        self._watch.start()
        if self._label:
            self._label.start()
        restarts = Restarts()
        try:
            while True:
                served = self._serve_once(directory)
                if (told := self._damage()) and self._put_aside(directory, told):
                    continue
                code = self._child.exit_code
                if code is None or self._stopping.is_set():
                    return self._stop()
                if not (served and restarts.allow(time.monotonic())):
                    _log.error("the server ended", exit_code=code)
                    return exit_status(code)
                metrics.ACTIONS.labels("restart").inc()
                _log.warning("restart", reason=f"the server ended with {code}")
        finally:
            if self._label:
                self._label.close()
            self._endpoint.close()
            self._watch.close()
            self._agents.close()

    def _damage(self) -> str | None:
        """Of its file, as a server told that ended before it had loaded it."""
        return None if self._observer.has_loaded else damage.told_by(self._child.last_lines)

    def _put_aside(self, directory: Path, told: str) -> bool:
        """Once another node certainly has the data; whether the server may start without."""
        self._status.reason = f"its file is damaged: {told}"
        self._status.is_waiting, self._told_s = True, float("-inf")
        while not self._stopping.is_set():
            peers = self._agents.ask(self._peers)
            reason = damage.why_not_aside(self._me, self._ask_words(), peers)
            if reason is None:
                break
            self._tell_wait(f"its file is damaged ({told}) and may be the only copy: {reason}")
            self._pause()
        self._status.is_waiting = False
        if self._stopping.is_set() or (aside := damage.put_aside(directory)) is None:
            return False
        metrics.ACTIONS.labels("put_aside").inc()
        _log.error("put_aside", reason=told, kept_in=aside.name)
        return True

    # One life of the server

    def _serve_once(self, directory: Path) -> bool:
        """Until it ends or is to stop. Whether it ever answered."""
        passwords = Passwords(lambda: data_commands(self._settings))  # first: they may change
        write_file(directory / "server.conf", data_lines(self._settings, SOCKET))
        self._status.state = State.BOOTING
        observer = Observer(lambda: self._connect(None), self._counters, self._wake.set)
        self._child.start([self._program.path, "server.conf"], directory)
        self._observer = self._status.observer = observer
        observer.start()
        try:
            verdict = self._boot()
            if verdict is not None:
                self._on_duty(verdict, passwords)
        finally:
            observer.close()
        return observer.answered

    def _boot(self) -> boot.Verdict | None:
        """Decides as what to start, and lets others in; None where it ended or is to stop."""
        self._told_s = float("-inf")
        while self._goes_on():
            own = self._observer.now()
            if own is None or own.history is None:
                if refusal := self._observer.refusal:
                    self._tell_wait(refusal)
                self._pause()
                continue
            words, peers = self._ask_words(), {}
            if words.named == self._me:
                peers = self._agents.ask(self._peers)
                words = self._ask_words()  # last: the others may have taken long
            verdict = boot.decide(self._me, own.history, words, peers)
            if verdict.step is not boot.Step.WAIT and self._carry_out(verdict):
                return verdict
            self._tell_wait(verdict.reason)
            self._pause()
        return None

    def _tell_wait(self, reason: str) -> None:
        self._status.reason = reason
        self._tell_seldom("boot waits", reason)

    def _tell_seldom(self, event: str, reason: str) -> None:
        """For what is tried again at each look."""
        if time.monotonic() - self._told_s >= TELL_S:
            _log.warning(event, reason=reason)
            self._told_s = time.monotonic()

    def _carry_out(self, verdict: boot.Verdict) -> bool:
        try:
            if verdict.primary:
                self._server.follow(verdict.primary)
            else:
                self._server.lead()
            self._server.open_door()
        except (RedisError, OSError) as exc:
            _log.warning("boot waits", reason=f"the server does not do as told: {exc}")
            return False
        metrics.ACTIONS.labels(f"boot_{verdict.step}").inc()
        _log.warning("boot", role=verdict.step, reason=verdict.reason)
        self._status.state, self._status.reason = State.RUNNING, ""
        return True

    def _on_duty(self, verdict: boot.Verdict, passwords: Passwords) -> None:
        duty = Duty(
            self._me,
            self._server,
            peers=self._peers,
            ask_peers=self._agents.ask,
            ask_words=self._ask_words,
            client_of=self._client_of,
            leads=verdict.step is boot.Step.LEAD,
        )
        looked_s = 0.0
        while self._goes_on():
            own = self._observer.now()
            if own is None:
                self._watch.hurry()
            elif own.seen_s > looked_s:
                looked_s = own.seen_s
                try:
                    if duty.look(own, self._watch.now()):
                        self._watch.hurry()
                except (RedisError, OSError) as exc:
                    self._tell_seldom("the server does not do as told", str(exc))
                except Exception:  # noqa: BLE001 - without its agent the node would be worse off
                    _log.exception("a look at the server failed")
                passwords.mind(self._tell)
            self._pause()

    def _goes_on(self) -> bool:
        return not self._stopping.is_set() and not self._child.ended.is_set()

    def _pause(self) -> None:
        """Until something was seen or asked for; a server that ended is noticed in between."""
        self._wake.wait(INTERVAL_S)
        self._wake.clear()

    # The end

    def _stop(self) -> int:
        """Hand over, leave, stop. Returns the server's exit status."""
        deadline_s = time.monotonic() + self._settings.node.stop_s
        was_booting = self._status.state is State.BOOTING
        self._status.state = State.LEAVING
        if self._child.exit_code is None and not was_booting:
            observer = Observer(lambda: self._connect(None), self._counters, self._wake.set)
            self._observer = self._status.observer = observer
            observer.start()
            try:
                self._departure(observer, deadline_s).run()
            except (RedisError, OSError) as exc:
                _log.warning("leaves without a word", reason=str(exc))
            finally:
                observer.close()
        return exit_status(self._child.stop(max(2.0, deadline_s - time.monotonic())))

    def _departure(self, observer: Observer, deadline_s: float) -> Departure:
        return Departure(
            self._me,
            self._server,
            observer,
            self._watch,
            look=self._look,
            ask_peers=lambda: self._agents.ask(self._peers),
            sentinels=tuple(self._sentinel_clients.values()),
            primary_name=self._settings.store.sentinel.primary_name,
            client_of=self._client_of,
            pause=self._pause,
            ended=self._child.ended,
            down_after_s=self._settings.node.down_after_ms / 1000,
            deadline_s=deadline_s,
        )

    def _tell(self, commands: Sequence[Command]) -> None:
        """What has changed in files."""
        self._server.tell(commands)
        self._endpoint.show(tls_of(self._settings.node))

    def _pod_label(self, pod: str) -> PodLabel:
        others = sorted(host.partition(".")[0] for host, _ in self._peers)
        return PodLabel(Api(timeout_s=2.0), pod, tuple(others), self._status.confirmed_role)

    # Ways to servers

    def _ask_words(self) -> Words:
        return self._watch.asked_now(timeout_s=1.0)

    def _look(self) -> Own:
        connection = self._connect(ASK_S)
        try:
            return look(connection, self._counters)
        finally:
            connection.disconnect()

    def _connect(self, timeout_s: float | None) -> Any:
        return local_connection(SOCKET, self._credentials, timeout_s)

    def _client_of(self, address: Address) -> redis.Redis:
        return client(address, self._credentials, ASK_S, ASK_S)
