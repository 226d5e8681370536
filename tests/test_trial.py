"""`guarita trial`: tells an installation that works from one that does not."""

from __future__ import annotations

from http.client import HTTPConnection

from guarita import trial
from guarita.errors import Reason, Rejected, StoreUnavailable
from guarita.sessions import Policy, Sessions
from guarita.stores.memory import MemoryStore
from guarita.topology.local import ports


def sessions() -> Sessions:
    return Sessions(MemoryStore(), Policy(b"s" * 32))


def test_a_store_that_works_has_no_obstacle() -> None:
    assert trial.through_store(sessions(), 5) is None


class Broken(Sessions):
    """Fails at the second redeem, or does not."""

    def __init__(self, second: Exception | None) -> None:
        super().__init__(MemoryStore(), Policy(b"s" * 32))
        self._second = second
        self._redeems = 0

    def redeem(self, *args: object, **named: object) -> None:  # type: ignore[override]
        self._redeems += 1
        if self._redeems > 1 and self._second:
            raise self._second


def test_a_ticket_that_is_admitted_twice_is_an_obstacle() -> None:
    assert trial.through_store(Broken(None), 5) == "a second redeem was admitted"
    assert trial.through_store(Broken(Rejected(Reason.USED)), 5) is None
    lost = trial.through_store(Broken(Rejected(Reason.UNKNOWN)), 5)
    assert lost == "redeem was refused: unknown"
    down = trial.through_store(Broken(StoreUnavailable("no primary")), 5)
    assert down == "the store does not do it: no primary"


def test_a_service_that_is_not_there_is_an_obstacle() -> None:
    (port,) = ports.free_ports(1)
    said = trial.through_service(lambda: HTTPConnection("127.0.0.1", port, timeout=2), None)
    assert said
    assert "does not answer" in said
