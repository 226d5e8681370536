"""Asks everybody at once, and those whom they name, until all have answered or time is up."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from guarita.config import Address, SessionSettings, StoreSettings, Topology
from guarita.config.addresses import is_ip
from guarita.doctor import ask
from guarita.doctor.answers import not_understood
from guarita.doctor.seen import (
    Agent,
    Cause,
    Failure,
    HostName,
    Node,
    Seen,
    Sentinel,
    Server,
)

BUDGET_S = 2.0

_Answer = Sentinel | Node | HostName | Agent
_Key = tuple[type, Address | str]


def observe(
    store: StoreSettings,
    sessions: SessionSettings,
    *,
    agents: Iterable[Address] = (),
    now: Callable[[], float] = time.time,
    budget_s: float = BUDGET_S,
) -> Seen:
    """What is to be seen within `budget_s` seconds of the installation that `store` names."""
    began = time.monotonic()
    round = _Round(store, sessions, now)
    if store.topology is not Topology.MEMORY:
        round.begin(tuple(agents))
        round.wait(began + budget_s)
    found = round.found(budget_s)
    sentinels = tuple(each for each in found if isinstance(each, Sentinel))
    nodes = [each for each in found if isinstance(each, Node)]
    return Seen(
        topology=store.topology,
        durability=store.durability,
        deadline_s=store.deadline_s,
        primary_name=store.sentinel.primary_name if sentinels else "",
        sentinels=sentinels,
        nodes=_merged(nodes, sentinels),
        names=tuple(each for each in found if isinstance(each, HostName)),
        agents=tuple(each for each in found if isinstance(each, Agent)),
        data_nodes=store.data_nodes,
        now_s=now(),
        took_s=time.monotonic() - began,
    )


class _Round:
    """One thread for each question: one that hangs (a name server, say) keeps nobody waiting.

    They are daemons, so that the command ends in time whatever they wait for.
    """

    def __init__(
        self, store: StoreSettings, sessions: SessionSettings, now: Callable[[], float]
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._now = now
        self._answers: queue.SimpleQueue[tuple[_Key, _Answer, list[Address]]] = queue.SimpleQueue()
        self._asked: dict[_Key, _Answer | None] = {}  # in order of asking

    def begin(self, agents: tuple[Address, ...]) -> None:
        store = self._store
        if store.topology is Topology.SENTINEL:
            for address in store.sentinel.nodes:
                self._ask_sentinel(address)
            self._ask_nodes(store.data_nodes)
        elif store.topology is Topology.CLUSTER:
            self._ask_nodes(store.cluster.nodes)
        else:
            self._ask_nodes([Address(store.standalone.host, store.standalone.port)])
        for address in agents:
            self._ask((Agent, address), partial(ask.ask_agent, address, store.data.tls))

    def wait(self, until: float) -> None:
        """Collects answers and asks whom they name."""
        while any(answer is None for answer in self._asked.values()):
            try:
                key, answer, named = self._answers.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return
            self._asked[key] = answer
            self._ask_nodes(named)

    def found(self, budget_s: float) -> list[_Answer]:
        late = Failure(Cause.SILENT, f"no answer within {budget_s:g} s")
        return [answer or _failed(key, late, budget_s) for key, answer in self._asked.items()]

    def _ask_sentinel(self, address: Address) -> None:
        sentinel = self._store.sentinel
        self._ask(
            (Sentinel, address),
            lambda: ask.ask_sentinel(address, sentinel, sentinel.primary_name, self._now),
        )
        self._resolve(address.host)

    def _ask_nodes(self, addresses: Iterable[Address]) -> None:
        data, topology = self._store.data, self._store.topology
        for address in addresses:
            self._ask(
                (Node, address),
                partial(ask.ask_node, address, data, self._sessions, topology, self._now),
            )
            self._resolve(address.host)

    def _resolve(self, host: str) -> None:
        if not is_ip(host):
            self._ask((HostName, host), lambda: ask.resolve(host))

    def _ask(self, key: _Key, question: Callable[[], _Answer]) -> None:
        if key in self._asked:
            return
        self._asked[key] = None

        def answer() -> None:
            named: list[Address] = []
            try:
                found = question()
                named = _whom_it_names(found)
            except Exception as exc:  # noqa: BLE001 - told of this one; the others are judged
                found = _failed(key, not_understood(exc))
            self._answers.put((key, found, named))

        threading.Thread(target=answer, name="guarita-doctor", daemon=True).start()


def _whom_it_names(answer: _Answer) -> list[Address]:
    """The data nodes that an answer names."""
    if isinstance(answer, Sentinel) and answer.view and answer.view.primary:
        return [answer.view.primary, *(each.address for each in answer.view.replicas)]
    if isinstance(answer, Node):
        named = [answer.follows] if answer.follows else []
        named += [each.address for each in answer.followers]
        return named + [each.address for each in answer.members]
    return []


def _failed(key: _Key, failure: Failure, took_s: float = 0.0) -> _Answer:
    """Who was asked, without an answer to be judged."""
    kind, where = key
    if isinstance(where, str):
        return HostName(where, took_s, failure=failure.text)
    if kind is Agent:
        return Agent(where, alive=False, ready=False, trouble=failure.text)
    server = Server(where, failure)
    return Sentinel(server) if kind is Sentinel else Node(server)


def _merged(nodes: list[Node], sentinels: tuple[Sentinel, ...]) -> tuple[Node, ...]:
    """One node for each server, under the address that Sentinels use for it."""
    named = {address for sentinel in sentinels for address in _whom_it_names(sentinel)}
    nodes = sorted(nodes, key=lambda node: node.address not in named)
    merged: dict[str, Node] = {}
    for node in nodes:
        id = node.info.get("run_id") or str(node.address)
        if first := merged.get(id):
            merged[id] = replace(first, aliases=first.aliases | {node.address})
        else:
            merged[id] = node
    return tuple(sorted(merged.values(), key=lambda node: (node.address.host, node.address.port)))
