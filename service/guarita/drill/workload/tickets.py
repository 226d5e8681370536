"""The tickets of a load, and who still has to ask for which."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field

from guarita.drill.history import Outcome

RIVALS = 3
KEPT = 0.25  # of all tickets: nobody redeems them before the end
AT_ONCE = 0.3  # of the draws: all rivals that are left redeem at the same time
# So many are open in the end, whatever the rate: pages redeem also while no ticket can be made.
RESERVE = 50


@dataclass(slots=True)
class Ticket:
    """An acknowledged ticket and what its clients know of it."""

    name: str
    id: str
    rivals_left: list[str] = field(default_factory=list)
    in_doubt: list[str] = field(default_factory=list)  # attempts that were perhaps admitted
    attempt: str = ""  # the one that was admitted
    token: str = ""

    def note(self, attempt: str, outcome: Outcome, token: str) -> None:
        """How a redeem of it ended; a token only for the admitted one."""
        if token:
            self.attempt, self.token = attempt, token
        elif outcome is Outcome.UNKNOWN:
            self.in_doubt.append(attempt)


class Tickets:
    """All tickets of a load. Draws are at random, so that a ticket's rivals ask for it at any age:
    before a fault, while it lasts and after it."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.all: list[Ticket] = []
        self._open: list[Ticket] = []  # with rivals that have not asked yet
        self._sessions: list[Ticket] = []

    def add(self, name: str, id: str) -> Ticket:
        ticket = Ticket(name, id)
        self.all.append(ticket)
        if self._rng.random() >= KEPT:
            ticket.rivals_left = [f"{name}-{letter}" for letter in "abc"[:RIVALS]]
            self._open.append(ticket)
        return ticket

    def admitted(self, ticket: Ticket) -> None:
        """Others may verify its session from now on."""
        self._sessions.append(ticket)

    @property
    def are_few(self) -> bool:
        """Whether fewer are open than there should be."""
        return len(self._open) < RESERVE

    def draw_redeem(self) -> tuple[Ticket, list[str]] | None:
        """A ticket and the attempts to begin now."""
        if not self._open:
            return None
        at = self._rng.randrange(len(self._open))
        ticket = self._open[at]
        count = len(ticket.rivals_left) if self._rng.random() < AT_ONCE else 1
        attempts, ticket.rivals_left = ticket.rivals_left[:count], ticket.rivals_left[count:]
        if not ticket.rivals_left:
            _take(self._open, at)
        return ticket, attempts

    def draw_session(self) -> Ticket | None:
        return self._rng.choice(self._sessions) if self._sessions else None

    def draw_last_session(self) -> Ticket | None:
        """One that nobody verifies on purpose any more: it is about to be revoked."""
        if not self._sessions:
            return None
        return _take(self._sessions, self._rng.randrange(len(self._sessions)))


def token_hash(token: str) -> str:
    """What a history may hold of a session token."""
    return hashlib.sha256(token.encode()).hexdigest()[:12]


def _take(tickets: list[Ticket], at: int) -> Ticket:
    """In any order: the last one takes its place."""
    tickets[at], tickets[-1] = tickets[-1], tickets[at]
    return tickets.pop()
