"""Load through a kit's own address while something happens to it, and orders of stopping it all."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ..agents.counting import Figures, figures_of
from ..agents.load import Load
from .endpoints import new_ticket, redeem
from .running import Kit

RATE = 100.0
STEADY_S = 60.0

# Each of them before and behind each other one.
EVERY_ORDER = ("restart", "recreate", "down", "restart", "down", "recreate", "restart")
_TURNS = {
    "restart": [("restart",)],
    "recreate": [("up", "--force-recreate", "--detach")],
    "down": [("down",), ("up", "--detach")],
}
EACH_ONCE = tuple(_TURNS)
TICKETS = 50  # a turn


def load_through(
    kit: Kit, fault: Callable[[], None], heal: Callable[[], None], replicas: int
) -> Figures:
    """What callers met who came all the time."""
    load = Load(kit.port, rate=RATE, tls=kit.tls, api_key=kit.env["API_KEY"])
    load.start()
    try:
        assert load.wait_steady(STEADY_S)
        since_s = time.monotonic()
        try:
            fault()
            assert load.wait_steady(STEADY_S, since_s=since_s)
        finally:
            heal()  # or the tests after it would fail as well
        kit.wait_well(replicas)
        assert load.wait_steady(STEADY_S, since_s=time.monotonic())
        load.stop()
        return figures_of(load.history())
    finally:
        load.close()


def check_nothing_is_lost(found: Figures) -> None:
    assert (found.failed, found.lost, found.double, found.wrong) == (0, 0, 0, 0), found


def stop_in_turns(kit: Kit, replicas: int, turns: Sequence[str]) -> None:
    """Everything is restarted, created anew, or taken down and started: tickets are as before."""
    redeemed: list[str] = []
    unused: list[str] = []
    for turn in turns:
        kit.wait_well(replicas)
        tickets = [new_ticket(kit) for _ in range(TICKETS)]
        redeemed += tickets[::2]
        unused += tickets[1::2]
        assert {redeem(kit, ticket)[0] for ticket in tickets[::2]} == {200}
        for words in _TURNS[turn]:
            ended = kit.compose(*words)
            assert ended.returncode == 0, ended.stderr
    kit.wait_well(replicas)
    assert {redeem(kit, ticket)[0] for ticket in unused} == {200}
    again = {redeem(kit, ticket, "another-attempt-at-a-used-one")[0] for ticket in redeemed}
    assert again == {401}
