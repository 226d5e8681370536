"""The agent of a server that no Sentinel watches: the only one, or a node of a Cluster.

It decides nothing: it says how the server is, has it read certificates that change, and lets a
replica of the Cluster take over before it stops.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog
from redis.exceptions import RedisError

from guarita import logs
from guarita.clients import Argument, client, exchange, local_connection
from guarita.config import Settings, check_lone_node
from guarita.node import metrics
from guarita.node.child import Child, exit_status
from guarita.node.conf import lone_lines, write_file
from guarita.node.directory import enter
from guarita.node.endpoint import Answer, Endpoint, tls_of
from guarita.node.own import Own, read
from guarita.node.passwords import Command, Passwords, data_commands
from guarita.node.peers import Role
from guarita.processes import wait_until
from guarita.servers import find_server

SOCKET = Path("server.sock")  # in the data directory, which is the working directory
INTERVAL_S = 0.5
ASK_S = 1.0
TAKE_OVER_S = 5.0

_log = structlog.get_logger("guarita.node")


def run(settings: Settings) -> int:
    """Run the server until SIGTERM or Ctrl-C; returns its exit status.

    Raises `ConfigError` and `TopologyError` before anything is started.
    """
    agent = LoneAgent(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.ask_to_stop())
    return agent.run()


class LoneAgent:
    """One server."""

    def __init__(self, settings: Settings) -> None:
        check_lone_node(settings)
        logs.configure(settings)
        node = settings.node
        self._settings = settings
        self._program = find_server(None if node.server == "auto" else node.server)
        self._in_cluster = settings.store.topology == "cluster"
        self._child = Child("data")
        self._stopping = threading.Event()
        self._endpoint = Endpoint(
            node.http,
            {"/livez": self._live, "/readyz": self._ready, "/metrics": metrics.exposition},
            tls_of(node),
        )

    def ask_to_stop(self) -> None:
        """As a signal handler does: only notes it."""
        self._stopping.set()

    def run(self) -> int:
        """Until it is asked to stop, or the server has ended."""
        directory = enter(self._settings.node.data_dir)
        passwords = Passwords(lambda: data_commands(self._settings))  # first: they may change
        write_file(directory / "server.conf", lone_lines(self._settings, SOCKET))
        self._endpoint.start()
        try:
            self._child.start([self._program.path, "server.conf"], directory)
            while not self._stopping.is_set() and not self._child.ended.wait(INTERVAL_S):
                if self._why_not_ready() is None:
                    passwords.mind(self._tell)
            return self._stop()
        finally:
            self._endpoint.close()

    def _stop(self) -> int:
        deadline_s = time.monotonic() + self._settings.node.stop_s
        if self._child.exit_code is not None:
            _log.error("the server ended", exit_code=self._child.exit_code)
            return exit_status(self._child.exit_code)
        if self._in_cluster:
            try:
                self._hand_over()
            except (RedisError, OSError) as exc:
                _log.warning("not handed over", reason=str(exc))
        return exit_status(self._child.stop(max(2.0, deadline_s - time.monotonic())))

    def _hand_over(self) -> None:
        """Have a replica take over, which pauses writes until it has them all.

        https://redis.io/docs/latest/commands/cluster-failover/
        """
        own = self._own()
        heirs = sorted((each for each in own.replicas if each.online), key=lambda each: each.lag_s)
        if own.role is Role.REPLICA or not heirs:
            return
        heir = heirs[0].node
        with client(heir, self._settings.store.data, ASK_S, ASK_S) as asked:
            asked.execute_command("CLUSTER", "FAILOVER")
        if wait_until(lambda: self._own().role is Role.REPLICA, timeout_s=TAKE_OVER_S):
            metrics.ACTIONS.labels("hand_over").inc()
            _log.info("handed over", primary=f"{heir[0]}:{heir[1]}", reason="it is to stop")
        else:
            _log.warning("not handed over", reason=f"no replica took over in {TAKE_OVER_S:g} s")

    # How the server is

    def _live(self) -> Answer:
        alive = self._child.pid is not None
        return Answer.text(200, "alive") if alive else Answer.text(503, "the server does not run")

    def _ready(self) -> Answer:
        reason = self._why_not_ready()
        return Answer.text(503 if reason else 200, reason or "ready")

    def _why_not_ready(self) -> str | None:
        try:
            told = self._exchange(("INFO", "persistence"))[0]
            if b"\r\nloading:1" in told:
                return "the server loads its data"
            own = self._own()
            if own.role is Role.REPLICA and not own.link_up:
                return "the link to its primary is down"
            if (
                self._in_cluster
                and b"cluster_state:ok" not in self._exchange(("CLUSTER", "INFO"))[0]
            ):
                return "the Cluster is not whole"
        except (RedisError, OSError, ValueError) as exc:  # or the file of its password is gone
            return f"the server does not answer: {exc}"
        return None

    def _own(self) -> Own:
        return read(self._exchange(("INFO", "replication"))[0], None, time.monotonic())

    def _tell(self, commands: Sequence[Command]) -> None:
        """What has changed in files."""
        self._exchange(*commands)
        self._endpoint.show(tls_of(self._settings.node))

    def _exchange(self, *commands: tuple[Argument, ...]) -> list[Any]:
        connection = local_connection(SOCKET, self._settings.store.data, ASK_S)
        try:
            return exchange(connection, commands)
        finally:
            connection.disconnect()
