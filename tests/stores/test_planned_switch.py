"""A switch that was planned: the old primary names the new one before the Sentinels do."""

from __future__ import annotations

import pytest

from guarita.deadline import Deadline
from guarita.stores.base import Redeemed
from guarita.topology.local import LocalSentinel, LocalStandalone, Node

from .conftest import settings_for, started
from .test_contract import create, eventually, redeem


@pytest.fixture
def sentinel(tmp_path):
    installation = started(LocalSentinel(tmp_path))
    yield installation
    installation.kill_all()


def follow(sentinel: LocalSentinel, node: Node, primary: Node | None) -> None:
    words = (primary.host, primary.port) if primary else ("NO", "ONE")
    with sentinel.client(node) as client:
        client.execute_command("REPLICAOF", *words)


def test_writes_go_on_at_the_successor_that_the_old_primary_follows(sentinel, opened):
    store = opened(settings_for(sentinel))
    id = create(store, Deadline.after(10))
    old, (new, other) = sentinel.primary(), sentinel.replicas()
    eventually(lambda: sentinel.problem() is None)
    follow(sentinel, new, None)
    for node in (old, other):
        follow(sentinel, node, new)
    assert redeem(store, Deadline.after(10), id) is Redeemed.ADMITTED
    assert sentinel.votes() == {old.port: 3}  # nobody waited for the Sentinels
    (lane,) = store._lanes  # type: ignore[attr-defined]
    required = {f"{node.host}:{node.port}" for node in (old, other)}
    assert set(dict(lane.acknowledgement.required)) == required


def test_a_successor_that_is_gone_again_is_not_held_on_to(sentinel, opened):
    """It was followed on the old primary's word; then the Sentinels' word counts again."""
    store = opened(settings_for(sentinel))
    id = create(store, Deadline.after(10))
    old, (new, other) = sentinel.primary(), sentinel.replicas()
    follow(sentinel, new, None)
    for node in (old, other):
        follow(sentinel, node, new)
    assert redeem(store, Deadline.after(10), id) is Redeemed.ADMITTED
    follow(sentinel, old, None)
    for node in (new, other):
        follow(sentinel, node, old)
    create(store, Deadline.after(10))
    (lane,) = store._lanes  # type: ignore[attr-defined]
    assert lane.acknowledgement.primary == f"{old.host}:{old.port}"


def test_a_node_that_no_sentinel_ever_named_is_not_followed(sentinel, opened, tmp_path):
    stranger = started(LocalStandalone(tmp_path / "stranger"))
    try:
        store = opened(settings_for(sentinel))
        create(store, Deadline.after(10))
        with stranger.client(stranger.primary()) as client:
            follow(sentinel, sentinel.primary(), stranger.primary())
            create(store, Deadline.after(30))  # at whom the Sentinels promote instead
            assert client.dbsize() == 0
        (lane,) = store._lanes  # type: ignore[attr-defined]
        assert lane.acknowledgement.primary != str(stranger.primary())
    finally:
        stranger.kill_all()
