"""Asks the nodes, takes the steps that the plan names, and looks again until nothing is left."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import redis
from redis.exceptions import RedisError

from guarita.errors import TopologyError
from guarita.topology.cluster import plan
from guarita.topology.cluster.plan import Installation, Meet, Step, named
from guarita.topology.cluster.view import Address, View, look

PAUSE_S = 0.1

Connect = Callable[[Address], redis.Redis]


def form(
    nodes: Sequence[Address],
    connect: Connect,
    *,
    replicas: int,
    timeout_s: float,
    tell: Callable[[str], None] = lambda _: None,
) -> str:
    """Make one Cluster of these nodes, and wait until it is whole; says what it is, in words.

    The first time the slots go to the first nodes, and the others follow them. Later, nodes that
    have lost sight of each other meet again, also at new addresses, and a new node follows the
    primary that has fewest replicas. It may be called again at any time, by two at once, and after
    an interruption. `tell` hears of each step.

    Raises `TopologyError` after `timeout_s`, with what is missing; and at once where two Clusters
    would become one, or slots be given out whose keys are elsewhere.
    """
    forming = _Forming(Installation(tuple(nodes), replicas), connect, tell)
    end_s = time.monotonic() + timeout_s
    try:
        while missing := forming.advance():
            if time.monotonic() >= end_s:
                raise TopologyError(f"The Cluster was not whole within {timeout_s:g} s: {missing}.")
            time.sleep(PAUSE_S)
    finally:
        forming.close()
    return plan.summary(forming.views)


class _Forming:
    def __init__(
        self, installation: Installation, connect: Connect, tell: Callable[[str], None]
    ) -> None:
        self._installation = installation
        self._clients = {node: connect(node) for node in installation.nodes}
        self._executor = ThreadPoolExecutor(len(self._clients), "guarita-form")
        self._tell = tell
        self._told: set[str] = set()
        self.views: dict[Address, View] = {}

    def close(self) -> None:
        self._executor.shutdown(wait=False)
        for client in self._clients.values():
            client.close()

    def advance(self) -> str:
        """Look, and take all steps that are known; what is missing then, "" when nothing is."""
        answers = dict(
            zip(self._clients, self._executor.map(self._ask, self._clients), strict=True)
        )
        self.views = {node: each for node, each in answers.items() if isinstance(each, View)}
        self._check_ids()
        steps = plan.steps(self._installation, self.views)
        refusals = [words for each in steps if (words := self._take(each))]
        if len(self.views) < len(answers):
            return _silence(answers)
        if steps:
            return refusals[0] if refusals else "its nodes do not know each other yet"
        return plan.obstacle(self._installation, self.views)

    def _check_ids(self) -> None:
        nodes: dict[str, Address] = {}
        for node, view in self.views.items():
            if nodes.setdefault(view.id, node) != node:
                raise TopologyError(f"{named(nodes[view.id])} and {named(node)} are the same node.")

    def _ask(self, node: Address) -> View | str:
        try:
            return look(self._clients[node])
        except (RedisError, OSError) as exc:
            return str(exc)

    def _take(self, step: Step | Meet) -> str:
        """Why the node did not do it, in words; another run may have been faster."""
        try:
            command, words = self._command_of(step)
            self._clients[step.at].execute_command("CLUSTER", *command)  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as exc:
            return f"{named(step.at)}: {exc}"
        if words and words not in self._told:
            self._told.add(words)
            self._tell(words)
        return ""

    def _command_of(self, step: Step | Meet) -> tuple[plan.Command, str]:
        if isinstance(step, Step):
            return step.command, step.words
        host, port = step.whom
        # CLUSTER MEET takes no names (https://redis.io/docs/latest/commands/cluster-meet/).
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return ("MEET", str(found[4][0]), port), f"{named(step.at)} meets {named(step.whom)}"


def _silence(answers: dict[Address, View | str]) -> str:
    return "; ".join(
        f"{named(node)} does not answer: {said}"
        for node, said in answers.items()
        if isinstance(said, str)
    )
