"""At most one pod bears the label of the primary, and it follows the node's role."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guarita.errors import TopologyError
from guarita.kubernetes.roles import LABEL, label
from guarita.node.peers import Role
from guarita.node.pod import PodLabel
from guarita.processes import wait_until

from .api_server import ApiServer

PODS = ("g-node-0", "g-node-1", "g-node-2")


def pods(server: ApiServer, *names: str) -> Callable[[], list[str | None]]:
    """Puts these pods there; what is returned tells the labels of all."""
    for name in names:
        server.objects[f"pods/{name}"] = {"metadata": {"name": name}}
    return lambda: [
        server.objects[f"pods/{name}"]["metadata"].get("labels", {}).get(LABEL) for name in names
    ]


def test_the_label_is_taken_off_the_old_primary_before_the_new_one_gets_it(
    server: ApiServer,
) -> None:
    told = pods(server, *PODS)
    label(server.api, "g-node-0", "primary", PODS[1:])
    label(server.api, "g-node-2", "replica", PODS[:2])
    assert told() == ["primary", None, "replica"]
    server.calls.clear()
    label(server.api, "g-node-1", "primary", ("g-node-0", "g-node-2"))
    assert told() == ["replica", "primary", "replica"]
    assert server.calls == [f"PATCH pods/{pod}" for pod in ("g-node-0", "g-node-2", "g-node-1")]


def test_a_pod_that_is_gone_keeps_nobody_from_the_label(server: ApiServer) -> None:
    told = pods(server, "g-node-1")
    label(server.api, "g-node-1", "primary", ("g-node-0",))
    assert told() == ["primary"]


def test_nobody_gets_it_while_another_one_may_bear_it(server: ApiServer) -> None:
    told = pods(server, *PODS)
    label(server.api, "g-node-0", "primary", PODS[1:])
    server.refuse["PATCH pods"] = 403
    with pytest.raises(TopologyError, match="pod g-node-0 cannot be labelled: 403 forbidden"):
        label(server.api, "g-node-1", "primary", ("g-node-0",))
    assert told() == ["primary", None, None]


def test_it_follows_the_role_and_a_failure_is_tried_again(server: ApiServer) -> None:
    told = pods(server, *PODS[:2])
    role: list[Role | None] = [None]
    keeper = PodLabel(server.api, "g-node-0", ("g-node-1",), lambda: role[0])
    keeper.start()
    try:
        for new in (Role.PRIMARY, Role.REPLICA):
            role[0] = new
            assert wait_until(lambda new=new: told()[0] == new, timeout_s=5)
        server.refuse["PATCH pods"] = 500
        role[0] = Role.PRIMARY
        count = len(server.calls)
        assert wait_until(lambda: len(server.calls) > count, timeout_s=5)
        assert told()[0] == "replica"
        server.refuse.clear()
        assert wait_until(lambda: told()[0] == "primary", timeout_s=5)
    finally:
        keeper.close()
