"""What a drill notes of a node."""

from __future__ import annotations

from pathlib import Path

import redis

from guarita.drill.history import Role
from guarita.drill.targets.nodes import sample_of
from guarita.drill.targets.slow import load_arguments
from guarita.processes import wait_until
from guarita.topology.local import LocalStandalone, Node

LOAD_KEY_US = 5_000
KEYS = 400


class SlowToLoad(LocalStandalone):
    """As the server of a drill is."""

    def config_lines(self, node: Node) -> list[str]:
        arguments = load_arguments(LOAD_KEY_US).removeprefix("--").split(" --")
        return [*super().config_lines(node), *arguments]


def test_a_node_that_loads_its_data_is_seen_to(tmp_path: Path) -> None:
    installation = SlowToLoad(tmp_path, password="secret")
    installation.up(timeout_s=30)
    try:
        [node] = installation.nodes
        with installation.client(node) as client:
            client.mset({f"key-{number}": number for number in range(KEYS)})
            client.bgrewriteaof()
            assert wait_until(lambda: _is_rewritten(client), timeout_s=30)
            assert sample_of(client, node, {}, 0).role is Role.PRIMARY
        installation.kill(node)
        installation.start(node)
        with installation.client(node) as client:
            roles = [sample_of(client, node, {}, 0).role]
            assert wait_until(
                lambda: _appended(roles, sample_of(client, node, {}, 0).role) is Role.PRIMARY,
                timeout_s=30,
            )
        assert Role.LOADING in roles
    finally:
        installation.kill_all()


def _is_rewritten(client: redis.Redis) -> bool:
    told = client.info("persistence")
    return not told["aof_rewrite_in_progress"] and not told["aof_rewrite_scheduled"]


def _appended(roles: list[Role], role: Role) -> Role:
    roles.append(role)
    return role
