"""One real installation for all tests of doctor; each of them leaves it as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from guarita.config import SessionSettings, StoreSettings
from guarita.doctor.findings import findings
from guarita.doctor.observe import observe
from guarita.doctor.seen import Seen
from guarita.topology.local import Installation, LocalSentinel, Node

from stores.conftest import started, store_settings

PASSWORD = "a data node's password"


def settings(installation: Installation, **store: object) -> StoreSettings:
    return StoreSettings.model_validate({**store_settings(installation), **store})


def look(store: StoreSettings, **options: object) -> Seen:
    return observe(store, SessionSettings(), **options)  # type: ignore[arg-type]


def codes(seen: Seen) -> set[str]:
    return {each.code for each in findings(seen)}


def said(seen: Seen, code: str) -> str:
    """The places and words of all findings of a kind."""
    found = [f"{each.node}: {each.text}" for each in findings(seen) if each.code == code]
    assert found, f"{code} is not among {codes(seen)}"
    return "\n".join(found)


def tell(installation: Installation, node: Node, *command: object) -> object:
    with installation.client(node) as client:
        return client.execute_command(*command)  # type: ignore[no-untyped-call]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSentinel]:
    installation = LocalSentinel(
        tmp_path_factory.mktemp("doctor"),
        password=PASSWORD,
        sentinel_password="a Sentinel's password",
        down_after_ms=3000,
    )
    started(installation)
    for node in installation.nodes:
        tell(installation, node, "CONFIG", "SET", "repl-timeout", 10)
    yield installation
    installation.kill_all()


@pytest.fixture
def well(shared: LocalSentinel) -> Iterator[LocalSentinel]:
    """The shared installation; what the test broke is mended after it."""
    before = shared.primary()
    yield shared
    for node in (*shared.nodes, *shared.sentinels):
        shared.resume(node)
        shared.start(node)
    for node in (*shared.nodes, *shared.sentinels):
        tell(shared, node, "ACL", "LOG", "RESET")
    for node in shared.nodes:
        tell(shared, node, "CONFIG", "SET", "repl-timeout", 10)
    tell(shared, before, "REPLICAOF", "NO", "ONE")
    for node in shared.nodes:
        if node != before:
            tell(shared, node, "REPLICAOF", before.host, before.port)
    shared.wait_ready()
    assert codes(look(settings(shared))) == set()
