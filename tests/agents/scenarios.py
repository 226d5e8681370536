"""The table: what is played, and what of it must hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from guarita.topology.local import LocalSentinel

from . import outages, tangles
from .stage import FiveSentinels, Stage

DOWN_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """None lost and none double always; `None` is no bound."""

    play: Callable[[Stage], None]
    pause_s: float | None = None
    failed: int | None = 0
    measured: Mapping[str, float] = field(default_factory=dict)  # at most
    durabilities: tuple[str, ...] = ("balanced", "strict")
    kind: type[LocalSentinel] = LocalSentinel
    fresh: bool = False  # leaves nothing that another repetition can use

    @property
    def words(self) -> str:
        return self.play.__doc__ or ""


_REJOINED = {"rejoined_s": 1.0}
_BALANCED = ("balanced",)

SCENARIOS: dict[str, Scenario] = {
    # `strict` stands still while a node is dead.
    "term": Scenario(outages.term_primary, 1.0, durabilities=_BALANCED),
    "kill-server": Scenario(outages.kill_server, 3.5),
    "kill-node": Scenario(outages.kill_node, 6.0, durabilities=_BALANCED),
    "stop-server": Scenario(outages.stop_server, 6.0, measured={**_REJOINED, "stale_acks": 0}),
    "stop-node": Scenario(outages.stop_node, 6.0, measured={**_REJOINED, "stale_acks": 0}),
    "restart": Scenario(outages.restart_at_once),
    "restart-empty": Scenario(outages.restart_empty, measured={"as_primary": 0}),
    "isolated": Scenario(
        tangles.isolated_restart, failed=None, measured={"writable": 0, "silent": 0}
    ),
    "masterless": Scenario(tangles.masterless, failed=None, measured={"primary_s": 15}),
    "reset-all": Scenario(tangles.reset_then_kill, failed=None, measured={"primary_s": 30}),
    "stop-all": Scenario(tangles.stop_all, measured={"agree_s": 60}, durabilities=_BALANCED),
    "scale-down": Scenario(
        tangles.scale_sentinels_down,
        measured={"forgotten_s": 90, "failover_s": 6},
        durabilities=_BALANCED,
        kind=FiveSentinels,
        fresh=True,
    ),
    "chained": Scenario(tangles.chained_replica, failed=None, measured={"put_right_s": 60}),
    "deaf": Scenario(tangles.deaf_replica, 6.0, measured={"follows_s": 6, "told": 3}, fresh=True),
    "stale": Scenario(tangles.stale_replica, failed=None, measured={"put_right_s": 60}),
    "rolling": Scenario(outages.rolling_restart),
    "freeze-replica": Scenario(
        outages.freeze_then_kill_replica, DOWN_AFTER_S + 2.5, durabilities=_BALANCED
    ),
    "given-up": Scenario(outages.frozen_after_given_up, 9.5, durabilities=_BALANCED),
    "resume-in-failover": Scenario(outages.resume_in_failover, 6.0),
    "restart-without-tail": Scenario(outages.restart_without_tail, measured={"as_primary": 0}),
    "full-load": Scenario(outages.full_load, measured={"failovers": 0}),
}
