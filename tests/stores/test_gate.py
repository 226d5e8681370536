"""How requests wait for a primary and are let on."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from guarita.deadline import Deadline
from guarita.errors import StoreUnavailable
from guarita.stores.gate import Gate

from .test_contract import eventually


def gate_with(max_waiting: int = 100) -> tuple[Gate[str], list[str]]:
    troubles: list[str] = []
    gate: Gate[str] = Gate(max_waiting=max_waiting, on_trouble=lambda: troubles.append("trouble"))
    return gate, troubles


def test_an_open_gate_lets_through_at_once():
    gate, _ = gate_with()
    gate.open("one")
    assert gate.enter(Deadline.after(5)) == "one"


def test_an_open_gate_refuses_who_comes_too_late():
    gate, _ = gate_with()
    gate.open("one")
    with pytest.raises(StoreUnavailable, match="deadline"):
        gate.enter(Deadline.after(0))


def test_a_closed_gate_refuses_at_the_deadline_and_says_why():
    gate, _ = gate_with()
    gate.open("one")
    gate.close("one", "it died")
    with pytest.raises(StoreUnavailable, match="it died"):
        gate.enter(Deadline.after(0.01))
    assert gate.waiting == 0


def test_all_that_wait_are_let_on_when_it_opens():
    gate, _ = gate_with()
    with ThreadPoolExecutor(20) as executor:
        held = [executor.submit(gate.enter, Deadline.after(10)) for _ in range(20)]
        eventually(lambda: gate.waiting == 20)
        gate.open("two")
        assert {each.result() for each in held} == {"two"}


def test_only_the_primary_in_use_can_be_closed():
    gate, troubles = gate_with()
    first, second = "".join(["o", "ne"]), "".join(["o", "ne"])
    gate.open(first)
    gate.close(first, "gone")
    gate.open(second)
    gate.close(first, "a late word about the one before")
    assert gate.primary is second
    assert troubles == ["trouble"]


def test_past_the_cap_nobody_waits():
    gate, _ = gate_with(max_waiting=1)
    with ThreadPoolExecutor(1) as executor:
        held = executor.submit(gate.enter, Deadline.after(10))
        eventually(lambda: gate.waiting == 1)
        with pytest.raises(StoreUnavailable, match="1 requests wait already"):
            gate.enter(Deadline.after(10))
        gate.open("one")
        assert held.result() == "one"


def test_who_is_let_on_and_finds_it_closed_again_waits_on():
    gate, _ = gate_with()
    entered = threading.Event()
    with ThreadPoolExecutor(1) as executor:

        def enter() -> str:
            entered.set()
            return gate.enter(Deadline.after(10))

        held = executor.submit(enter)
        entered.wait()
        for _ in range(50):
            gate.open("one")
            current = gate.primary
            if current is not None:
                gate.close(current, "again")
        gate.open("last")
        assert held.result() in ("one", "last")


def test_who_was_let_on_and_finds_it_closed_again_is_not_refused_for_others_that_wait(monkeypatch):
    gate, _ = gate_with(max_waiting=1)
    spread_out, go_on = threading.Event(), threading.Event()

    def sleep(_s: float) -> None:
        spread_out.set()
        go_on.wait(10)

    monkeypatch.setattr("guarita.stores.gate.time", SimpleNamespace(sleep=sleep))
    with ThreadPoolExecutor(1) as executor:
        held = executor.submit(gate.enter, Deadline.after(10))
        eventually(lambda: gate.waiting == 1)
        gate.open("one")
        spread_out.wait(10)
        gate.close("one", "again")
        with pytest.raises(StoreUnavailable, match="1 requests wait already"):
            gate.enter(Deadline.after(10))  # it has its place still
        go_on.set()
        gate.open("two")
        assert held.result() == "two"
        assert gate.waiting == 0
