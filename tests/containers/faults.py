"""Load through a kit's own address while something happens to it, and orders of stopping it all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from guarita.drill.check import Figures, Verdict
from guarita.drill.targets.base import Shape, Terms
from guarita.drill.targets.running import RunningTarget, place_of

from .breaking import Called, judge_on
from .endpoints import new_ticket, redeem
from .running import Kit

# Each of them before and behind each other one.
EVERY_ORDER = ("restart", "recreate", "down", "restart", "down", "recreate", "restart")
_TURNS = {
    "restart": [("restart",)],
    "recreate": [("up", "--force-recreate", "--detach")],
    "down": [("down",), ("up", "--detach")],
}
TICKETS = 50  # a turn


class Through(RunningTarget):
    """A kit, which is well where no worker of its service does without a replica."""

    def __init__(self, kit: Kit, replicas: int) -> None:
        scheme = "https" if kit.tls else "http"
        place = place_of(f"{scheme}://localhost:{kit.port}")
        super().__init__(place, Shape(), api_key=kit.env["API_KEY"], terms=Terms())
        self._kit = kit
        self._replicas = replicas

    def obstacle(self) -> str | None:
        return None if self._kit.is_well(self._replicas) else "its service does without a replica"


def load_through(
    kit: Kit,
    directory: Path,
    words: str,
    fault: Callable[[], None],
    heal: Callable[[], None],
    replicas: int,
) -> Figures:
    """What callers met who came all the time: nothing lost, nothing double, nothing failed."""
    with pytest.MonkeyPatch.context() as patch:
        if authority := kit.authority:
            patch.setenv("SSL_CERT_FILE", str(authority))
        called = Called(words, fault, heal, None)
        target = Through(kit, replicas)
        judgement = judge_on(lambda: target, directory, called, target.shape, failed=0)
    assert judgement.verdict is Verdict.VALID, judgement
    return judgement.figures


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
