"""Passwords change in an order in which nobody's is ever wrong, wherever it is interrupted."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pytest

from guarita.errors import TopologyError
from guarita.kubernetes.rotation import KEPT_S, ROTATION, retire, rotate
from guarita.kubernetes.secret import ensure, random_values

from .api_server import ApiServer

NAME = "g-secrets"
KEYS = ("service-password", "sentinel-password")


def read(server: ApiServer) -> dict[str, str]:
    data = server.objects[f"secrets/{NAME}"]["data"]
    return {key: base64.b64decode(text).decode() for key, text in data.items()}


@pytest.fixture
def old(server: ApiServer) -> dict[str, str]:
    ensure(server.api, NAME, random_values(("secret", *KEYS)), {})
    return read(server)


def taken(_: Mapping[str, str]) -> None:
    """Every server takes them at once."""


def change(server: ApiServer, rotation: str = "1", wait_taken=taken, now_s: float = 0) -> bool:
    return rotate(server.api, NAME, KEYS, rotation, wait_taken, now_s)


def test_servers_take_the_next_passwords_before_anybody_uses_them(
    server: ApiServer, old: dict[str, str]
) -> None:
    seen = []

    def wait_taken(passwords: Mapping[str, str]) -> None:
        now = read(server)
        seen.append(passwords)
        assert {key: now[key] for key in old} == old
        assert passwords == {key: now[f"{key}-next"] for key in KEYS}

    assert change(server, wait_taken=wait_taken)
    new = read(server)
    assert {key: new[key] for key in KEYS} == seen[0]
    assert {key: new[f"{key}-previous"] for key in KEYS} == {key: old[key] for key in KEYS}
    assert new["secret"] == old["secret"]
    assert not any(key.endswith("-next") for key in new)


def test_it_is_done_once_for_each_rotation(server: ApiServer, old: dict[str, str]) -> None:
    assert change(server, "1")
    new = read(server)
    assert not change(server, "1")
    assert read(server) == new
    assert change(server, "2")
    assert all(read(server)[key] not in (old[key], new[key]) for key in KEYS)


def test_where_a_server_does_not_take_them_the_old_ones_go_on_and_it_can_be_tried_again(
    server: ApiServer, old: dict[str, str]
) -> None:
    def refuse(_: Mapping[str, str]) -> None:
        raise TopologyError("node-1 does not")

    with pytest.raises(TopologyError):
        change(server, wait_taken=refuse)
    half = read(server)
    assert {key: half[key] for key in old} == old
    assert change(server)
    assert {key: read(server)[key] for key in KEYS} == {key: half[f"{key}-next"] for key in KEYS}


def test_two_at_once_make_one_change(server: ApiServer, old: dict[str, str]) -> None:
    def the_other_first(_: Mapping[str, str]) -> None:
        change(server)

    change(server, wait_taken=the_other_first)
    new = read(server)
    assert {key: new[f"{key}-previous"] for key in KEYS} == {key: old[key] for key in KEYS}


def test_what_no_server_was_seen_to_take_never_becomes_the_password(
    server: ApiServer, old: dict[str, str]
) -> None:
    """Another rotation comes to its end meanwhile, and a third one has begun."""

    def refuse(_: Mapping[str, str]) -> None:
        raise TopologyError("node-1 does not")

    def others_first(_: Mapping[str, str]) -> None:
        change(server, "1")
        with pytest.raises(TopologyError):
            change(server, "3", wait_taken=refuse)

    with pytest.raises(TopologyError, match="changed by somebody else meanwhile"):
        change(server, "2", wait_taken=others_first)
    with pytest.raises(TopologyError, match="changed by somebody else meanwhile"):
        change(server, "4", wait_taken=lambda _: change(server, "3"))
    assert all(f"{key}-next" not in read(server) for key in KEYS)


def test_previous_passwords_go_when_nobody_can_use_them(
    server: ApiServer, old: dict[str, str]
) -> None:
    assert not retire(server.api, NAME, KEYS, 1e9)
    change(server, now_s=1000)
    assert not retire(server.api, NAME, KEYS, 1000 + KEPT_S - 1)
    assert retire(server.api, NAME, KEYS, 1000 + KEPT_S)
    assert not any(key.endswith("-previous") for key in read(server))


def test_a_new_secret_is_not_changed_at_once(server: ApiServer) -> None:
    ensure(server.api, NAME, random_values(KEYS), {}, {ROTATION: "1"})
    assert not change(server, "1")
