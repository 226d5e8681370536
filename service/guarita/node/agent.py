"""The agent of a data node, from its start to its end: boot, duty, hand over, leave, stop."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
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
from guarita.node import boot, damage, handover, leave, metrics
from guarita.node.child import Child, Restarts, exit_status
from guarita.node.conf import agent_user, data_lines, write_file
from guarita.node.directory import enter
from guarita.node.duty import Duty, Since
from guarita.node.endpoint import Endpoint, tls_of
from guarita.node.own import INTERVAL_S, Observer, Own, look
from guarita.node.passwords import Command, Passwords, data_commands
from guarita.node.peers import Agents, Role, State
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
GONE_S = 2.0  # of silence, after which a server that is to leave holds nobody up
READY_S = 1.5  # at least, for a Sentinel to hear of new priorities, by INFO once a second
STOP_S = 1.5  # for the server to end, of a stop
NAMED_S = 5.0  # after a hand over, until a majority of the Sentinels names the new primary
TOLD_S = 0.5  # within which others are told to stop as well, where several are
HAND_OVERS = 3  # tries

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

    def _pause_while(self, holds: Callable[[], bool], timeout_s: float) -> None:
        """While it holds, and its server runs."""
        end_s = time.monotonic() + timeout_s
        while time.monotonic() < end_s and not self._child.ended.is_set() and holds():
            self._pause()

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
                self._depart(deadline_s)
            except (RedisError, OSError) as exc:
                _log.warning("leaves without a word", reason=str(exc))
            finally:
                observer.close()
        return exit_status(self._child.stop(max(2.0, deadline_s - time.monotonic())))

    def _depart(self, deadline_s: float) -> None:
        """Hand over and leave; again where a Sentinel that had not heard of it promotes it then."""
        was_primary = True  # nobody says that it was promoted since where this is not known
        with suppress(RedisError, OSError):
            was_primary = self._look().role is Role.PRIMARY
        self._insist(lambda: self._server.be_promotable(False), deadline_s - STOP_S)
        self._pause_while(lambda: True, TOLD_S)
        while True:
            if successor := self._hand_over(deadline_s):
                self._await_switch(successor, deadline_s)
            if not self._leave(deadline_s - STOP_S, was_primary=was_primary):
                return
            was_primary = True
            self._insist(self._server.open_door, deadline_s - STOP_S)
            self._await_switch(self._me, deadline_s)

    def _insist(self, do: Callable[[], None], end_s: float) -> None:
        """Until the server does so: it may stand still. Then, or when it has ended, its error."""
        while True:
            try:
                return do()
            except (RedisError, OSError):
                if time.monotonic() >= end_s or self._child.ended.is_set():
                    raise
            self._pause()

    def _role(self) -> Role | None:
        """As last seen, also through a door that is closed."""
        own = self._observer.now(fresh_s=GONE_S)
        return own.role if own else None

    def _hand_over(self, deadline_s: float) -> Address | None:
        """The new primary, if there is one."""
        down_after_s = self._settings.node.down_after_ms / 1000
        end_s = deadline_s - STOP_S - handover.PAUSE_S - down_after_s - leave.VOTED_OUT_S
        for _ in range(HAND_OVERS):
            self._pause_while(
                lambda: self._why_not_hand_over() in handover.PASSING, end_s - time.monotonic()
            )
            if reason := self._why_not_hand_over():
                _log.info("nothing is handed over", reason=reason)
                return None
            ready_s = max(READY_S, end_s - time.monotonic())
            if (successor := self._one_hand_over(ready_s)) or time.monotonic() > end_s:
                return successor
        return None

    def _one_hand_over(self, ready_s: float) -> Address | None:
        try:
            return handover.HandOver(
                self._me,
                self._server,
                self._look,
                self._sentinel_clients.values(),
                self._settings.store.sentinel.primary_name,
                self._client_of,
                self._ask_words,
                self._leaving,
            ).run(ready_s)
        except (RedisError, OSError) as exc:  # how far it came is seen at the next look
            _log.warning("not handed over", reason=str(exc))
            return None

    def _leaving(self) -> frozenset[Address]:
        """The others that are to stop as well, by the word of their agents."""
        peers = self._agents.ask(self._peers)
        return frozenset(
            node for node, peer in peers.items() if peer and peer.state is State.LEAVING
        )

    def _why_not_hand_over(self) -> str | None:
        try:
            own = self._look()
        except (RedisError, OSError):
            return handover.SILENT
        return handover.why_not(self._me, own, self._ask_words())

    def _await_switch(self, successor: Address, deadline_s: float) -> None:
        """Until a majority of the Sentinels names the new primary."""

        def is_not_named() -> bool:
            self._watch.hurry()
            return self._watch.now().named != successor

        self._pause_while(is_not_named, min(NAMED_S, deadline_s - time.monotonic()))

    def _leave(self, deadline_s: float, *, was_primary: bool) -> bool:
        """Stay attached behind a closed door until the Sentinels have voted this node out.

        Whether it was promoted instead. A primary that was replaced, and did not hear of it, just
        goes. `was_primary`: when it was told to stop.
        """
        leads = self._role() is Role.PRIMARY
        if leads and not was_primary:
            _log.warning("leaves later", reason="it was promoted when it was to leave")
            return True
        named = self._ask_words().named
        if named == self._me or (named is None and leads):
            return False
        self._await_hand_over(deadline_s)
        self._insist(self._server.close_door, deadline_s)
        metrics.ACTIONS.labels("leave").inc()
        _log.warning("leave", reason="it is to stop: nobody reaches it until it is voted out")
        since = Since()
        while time.monotonic() < deadline_s and not self._child.ended.is_set():
            self._watch.hurry()
            words = self._watch.now()
            agreed_s = since.held_s("agreed", words.agrees_down(self._me))
            own = self._observer.now(fresh_s=GONE_S)  # its door closed on the observer as well
            if own is not None and own.role is Role.PRIMARY and not leads:
                _log.warning("leaves later", reason="it was promoted while it was leaving")
                return True
            detached_s = since.held_s("detached", own is not None and not own.link_up)
            step, reason = leave.decide(self._me, own, words, agreed_s, detached_s)
            if step is leave.Step.GO:
                _log.info("leaves", reason=reason)
                return False
            self._pause()
        _log.warning("leaves", reason="its time is over, and the Sentinels have not voted it out")
        return False

    def _await_hand_over(self, deadline_s: float) -> None:
        """Of its primary, where that is to stop as well."""
        since = Since()

        def is_under_way() -> bool:
            own = self._observer.now(fresh_s=GONE_S)
            follows = own.follows if own else None
            primary = self._agents.ask(self._peers)[follows] if follows in self._peers else None
            silent_s = since.held_s("silent", primary is None)
            return leave.is_handing_over(own, primary, silent_s)

        down_after_s = self._settings.node.down_after_ms / 1000
        end_s = deadline_s - down_after_s - leave.VOTED_OUT_S
        self._pause_while(is_under_way, end_s - time.monotonic())

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
