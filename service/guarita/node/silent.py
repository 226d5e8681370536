"""Which replicas a primary cuts off: those that are attached and have said nothing for 2 s.

An attached replica must have every write, so a frozen one holds all of them until it is detached;
the server itself does that after `repl-timeout` (60 s). One that is well comes back by itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from guarita.node.own import Attached
from guarita.stores.durability import Address

SILENT_S = 2.0
STOOD_STILL_S = 0.5  # between two looks: the first one after it says nothing yet


def decide(replicas: Iterable[Attached], clock_s: float) -> frozenset[Address]:
    """Those to cut off. `clock_s` is the server's wall clock.

    The server counts in whole seconds of its clock: an acknowledgement that is `lag` old came
    before the end of the second that was `lag` ago.
    """
    into_second_s = clock_s % 1
    return frozenset(
        each.node for each in replicas if each.online and each.lag_s - 1 + into_second_s >= SILENT_S
    )
