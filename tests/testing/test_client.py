"""The client for tests: what it repeats, and what it makes of the answers."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guarita.errors import GuaritaError, StoreOutcomeUnknown
from guarita.testing.client import Client

from ..serving import MEMORY, serving, start

KEY = "of-these-tests"
SECURITY = {
    "secret": "a secret of these tests, long enough",
    "tenants": [{"name": "tests", "key_sha256": hashlib.sha256(KEY.encode()).hexdigest()}],
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    directory = tmp_path_factory.mktemp("service")
    with serving(directory, store=MEMORY, security=SECURITY) as running:
        yield Client(f"http://127.0.0.1:{running.port}", KEY)


def test_a_ticket_is_redeemed_once_and_its_session_is_good_until_it_is_revoked(
    client: Client,
) -> None:
    ticket = client.create(subject="ana", claims={"plan": "gold"})
    session = client.redeem(ticket)
    assert session is not None
    assert (session.subject, session.claims) == ("ana", {"plan": "gold"})
    assert client.redeem(ticket) is None
    assert client.verify(session.token)
    client.revoke(ticket=ticket)
    assert not client.verify(session.token)


def test_the_same_key_and_the_same_attempt_get_the_same_answer(client: Client) -> None:
    key, attempt = "the-key-of-one-ticket", "the-attempt-of-one-page"
    ticket = client.create(key=key)
    assert client.create(key=key) == ticket
    assert client.redeem(ticket, attempt) == client.redeem(ticket, attempt)


def test_a_simple_host_validates_once(client: Client) -> None:
    ticket = client.create()
    assert client.validate(ticket)
    assert not client.validate(ticket)
    assert client.status()["total_used"] >= 1


def test_what_is_wrong_with_a_call_is_told_at_once(client: Client) -> None:
    stranger = Client(client.url, "the wrong key", deadline_s=60)
    began_s = time.monotonic()
    with pytest.raises(GuaritaError, match="403"):
        stranger.create()
    assert time.monotonic() < began_s + 30


def test_nobody_there_is_told_after_the_deadline(client: Client) -> None:
    nobody = Client("http://127.0.0.1:1", KEY, deadline_s=0.3)
    with pytest.raises(StoreOutcomeUnknown, match=r"not told within 0\.3 s"):
        nobody.create()


def test_a_call_waits_for_a_service_that_is_not_there_yet(tmp_path: Path) -> None:
    told: list[str] = []
    with serving(tmp_path, store=MEMORY, security=SECURITY) as running:
        client = Client(f"http://127.0.0.1:{running.port}", KEY, deadline_s=60)
        running.stop()
        caller = threading.Thread(target=lambda: told.append(client.create()))
        caller.start()
        server = {"bind": f"127.0.0.1:{running.port}", "workers": 1}
        again = start(tmp_path, server=server, store=MEMORY, security=SECURITY)
        try:
            caller.join(timeout=60)
        finally:
            again.kill()
            again.wait()
    assert len(told) == 1
