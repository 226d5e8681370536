"""Rounds: load by two services, one fault in the middle, heal, and the check of the history."""

from __future__ import annotations

import math
import multiprocessing
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from . import cuts
from .faults import FAULTS, Scene, hold, rejoining
from .history import (
    NOBODY,
    Anomaly,
    Outcome,
    Ticket,
    Truth,
    check,
    longest_silence_s,
)
from .rivals import RIVALS, SERVICES, Part, serve, settings_for

READY_S = 180.0
LEAD_S = 1.0  # of load before the fault, and after its heal
NUMBERS = 10_000_000  # of tickets a round at most


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: the size of the load, and what the services are."""

    faults: tuple[str, ...]
    tickets: int  # a round, at least
    rate: float  # tickets a second at most
    durability: str = "balanced"
    rejoin: bool = False  # the old primary is made a replica at once, as by an agent beside it
    trusting: bool = False  # negative control: the primary's own list decides


@dataclass(frozen=True, slots=True)
class Round:
    """One round and what it showed."""

    number: int
    fault: str
    tickets: int
    creates: Counter[str]
    redeems: Counter[str]
    silence_s: float
    anomalies: list[Anomaly]


def run(plan: Plan, directory: Path) -> Iterator[Round]:
    """Start everything in this network namespace and yield each round as it ends."""
    cuts.lay_out()
    sentinel = cuts.IslandSentinel(
        directory, base_port=7000, password="of the nodes", sentinel_password="of the others"
    )
    kept: dict[int, Ticket] = {}
    with sentinel, _services(sentinel, plan, directory) as services:
        for number, fault in enumerate(plan.faults):
            tickets = _round(sentinel, services, plan, number)
            kept |= {ticket.number: ticket for ticket in tickets}
            yield _summary(number, fault, tickets)
        # What a later failover took away is found here.
        yield _summary(len(plan.faults), "in the end", _with_truth(services, kept.values()))


def _round(
    sentinel: cuts.IslandSentinel, services: list[Connection], plan: Plan, number: int
) -> list[Ticket]:
    sentinel.wait_ready(READY_S)
    for service in services:
        service.send(
            ("run", number * NUMBERS, math.ceil(plan.tickets / SERVICES), plan.rate / SERVICES)
        )
    hold(LEAD_S)
    scene = Scene.of(sentinel)
    FAULTS[plan.faults[number]](scene)
    with rejoining(scene) if plan.rejoin else nullcontext():
        hold(LEAD_S)
        for service in services:
            service.send("stop")
        parts = [service.recv() for service in services]
        sentinel.wait_ready(READY_S)
    return _with_truth(services, _joined(parts))


def _joined(parts: Iterable[Part]) -> list[Ticket]:
    created = {number: answer for part in parts for number, answer in part.created.items()}
    redeemed = {job: answer for part in parts for job, answer in part.redeemed.items()}
    return [
        Ticket(
            number,
            answer,
            tuple(redeemed[number, rival] for rival in range(RIVALS)),
            Truth(exists=True),
        )
        for number, answer in sorted(created.items())
    ]


def _with_truth(services: list[Connection], tickets: Iterable[Ticket]) -> list[Ticket]:
    """The same tickets with what the store says of them now; each service is asked a half."""
    tickets = list(tickets)
    shares = [tickets[index::SERVICES] for index in range(SERVICES)]
    for service, share in zip(services, shares, strict=True):
        service.send(("look", [(ticket.number, _admitted(ticket)) for ticket in share]))
    truths = {number: truth for each in services for number, truth in each.recv().items()}
    return [
        Ticket(ticket.number, ticket.created, ticket.rivals, truths[ticket.number])
        for ticket in tickets
    ]


def _admitted(ticket: Ticket) -> int:
    for rival, answer in enumerate(ticket.rivals):
        if answer.outcome is Outcome.ACKNOWLEDGED:
            return rival
    return NOBODY


def _summary(number: int, fault: str, tickets: list[Ticket]) -> Round:
    return Round(
        number,
        fault,
        len(tickets),
        Counter(ticket.created.outcome.value for ticket in tickets),
        Counter(answer.outcome.value for ticket in tickets for answer in ticket.rivals),
        longest_silence_s(tickets),
        check(tickets),
    )


@contextmanager
def _services(
    sentinel: cuts.IslandSentinel, plan: Plan, directory: Path
) -> Iterator[list[Connection]]:
    """The processes of the services, each in its own network and told its settings."""
    spawning = multiprocessing.get_context("spawn")
    peers = spawning.Pipe()
    controls: list[Connection] = []
    processes = []
    for index in range(SERVICES):
        control, theirs = spawning.Pipe()
        log = str(directory / f"service-{index}.log")
        process = spawning.Process(target=serve, args=(index, theirs, peers[index], log))
        process.start()
        theirs.close()
        control.recv()  # it has left this network
        cuts.join(index, process.pid or 0)
        control.send("joined")
        control.recv()
        control.send((settings_for(sentinel, plan.durability), plan.trusting))
        controls.append(control)
        processes.append(process)
    for peer in peers:
        peer.close()
    try:
        yield controls
    finally:
        for process in processes:
            process.kill()
            process.join()
