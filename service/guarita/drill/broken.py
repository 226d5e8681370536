"""Services that are broken on purpose: what a drill must find, or it finds nothing.

`python -m guarita.drill.broken BREAKAGE --config FILE serve`, started by a negative control only.
Nothing of the product imports this, and no setting leads here.
"""

from __future__ import annotations

import hashlib
import sys
import time
from typing import Any

from guarita.cli import main
from guarita.deadline import Deadline
from guarita.drill.targets.base import Breakage
from guarita.stores import guard, scripts
from guarita.stores.base import Redeem, Redeemed, RedeemResult
from guarita.stores.durability import Address, Decision, View
from guarita.stores.lane import Lane
from guarita.stores.redis import RedisStore

_GUARD = b"if flag(record, USED) then"
# What an earlier redeem has put behind the ticket (`record.lua`) makes room for this one's.
_FORGET = b"""if flag(record, USED) then
  record = string.sub(record, 1, TICKET) .. string.sub(record, TICKET + 75)
end
"""
_write, _redeem = Lane.write, RedisStore.redeem


def redeem_without_wait(self: Lane, *words: Any, script: Any = None, deadline: Deadline) -> Any:
    """A redeem is acknowledged as soon as the primary has it."""
    if script is scripts.REDEEM:
        return self.read(*words, script=script, deadline=deadline)
    return _write(self, *words, script=script, deadline=deadline)


def redeem_in_two_steps(self: RedisStore, redeem: Redeem, *, deadline: Deadline) -> RedeemResult:
    """Looks whether the ticket is used, and only then uses it."""
    record = self.read(redeem.id, deadline=deadline)
    if record is not None and record.used:
        return _redeem(self, redeem, deadline=deadline)
    time.sleep(0.005)
    answer = self._write(
        self._lane(redeem.id),
        _BLIND,
        redeem.id,
        redeem.attempt_sha256,
        redeem.token_sha256,
        redeem.session_ttl_s,
        redeem.replay_window_s,
        int(redeem.revoke_on_replay),
        redeem.id.bytes,
        self._marked,
        deadline=deadline,
    )
    outcome = Redeemed(answer[0].decode())
    if outcome is Redeemed.UNKNOWN:
        return RedeemResult(outcome, None)
    return RedeemResult(outcome, self._current(redeem.id, answer[1], deadline))


def trust_the_primary(_durability: Any, view: View, _nodes: frozenset[Address], _s: float) -> Any:
    """Whoever the primary itself lists must have the write, and nobody else."""
    return Decision(view.attached, alone_is_enough=True)


def _blind() -> scripts.Script:
    """The redeem that does not look whether the ticket is used."""
    text = scripts.REDEEM.text
    if _GUARD not in text:
        raise RuntimeError("redeem.lua looks for used tickets in other words now")
    text = text.replace(_GUARD, _FORGET + b"if false then")
    return scripts.Script(text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())


_BLIND = _blind()


def break_it(breakage: Breakage) -> None:
    """Put the broken part in place of the sound one, in this process and those it forks."""
    match breakage:
        case Breakage.NO_WAIT:
            Lane.write = redeem_without_wait  # type: ignore[method-assign]
        case Breakage.NOT_ATOMIC:
            RedisStore.redeem = redeem_in_two_steps  # type: ignore[method-assign]
        case Breakage.TRUSTS_PRIMARY:
            guard.decide = trust_the_primary  # type: ignore[attr-defined,assignment]


if __name__ == "__main__":
    break_it(Breakage(sys.argv.pop(1)))
    main()
