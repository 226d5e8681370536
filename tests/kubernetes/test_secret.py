"""The Secret of an installation is made once, by whoever comes first, and never replaced."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from guarita.errors import TopologyError
from guarita.kubernetes.api import Api
from guarita.kubernetes.secret import ensure, random_values

from .api_server import ApiServer

KEYS = ("secret", "service-password")


def read(server: ApiServer, name: str = "g-secrets") -> dict[str, str]:
    data = server.objects[f"secrets/{name}"]["data"]
    return {key: base64.b64decode(text).decode() for key, text in data.items()}


def make(server: ApiServer, *keys: str) -> list[str]:
    return ensure(server.api, "g-secrets", random_values(keys or KEYS), {"app": "guarita"})


def test_it_is_made_with_a_long_random_value_for_each_key(server: ApiServer) -> None:
    assert make(server) == sorted(KEYS)
    values = read(server)
    assert set(values) == set(KEYS)
    assert all(len(value) >= 43 for value in values.values())
    assert len(set(values.values())) == len(KEYS)
    assert server.objects["secrets/g-secrets"]["metadata"]["labels"] == {"app": "guarita"}


def test_asked_again_it_is_left_alone(server: ApiServer) -> None:
    make(server)
    before = read(server)
    server.calls.clear()
    assert make(server) == []
    assert read(server) == before
    assert server.calls == ["GET secrets/g-secrets"]


def test_what_is_missing_is_added_and_the_rest_kept(server: ApiServer) -> None:
    make(server)
    before = read(server)
    server.objects["secrets/g-secrets"]["metadata"]["annotations"] = {"by": "somebody"}
    assert make(server, *KEYS, "api-key-acme") == ["api-key-acme"]
    after = read(server)
    assert {key: after[key] for key in KEYS} == before
    assert server.objects["secrets/g-secrets"]["metadata"]["annotations"] == {"by": "somebody"}


def test_of_two_at_once_the_first_ones_values_count(server: ApiServer) -> None:
    server.before_write.append(lambda: make(server))
    assert make(server) == []
    first = read(server)
    server.before_write.append(lambda: make(server, "other"))
    assert make(server, *KEYS, "api-key-acme") == ["api-key-acme"]
    assert {key: read(server)[key] for key in KEYS} == first
    assert "other" in read(server)


def test_outside_of_a_pod_it_says_so(tmp_path: Any) -> None:
    with pytest.raises(TopologyError, match="needs a pod with a service account"):
        ensure(Api(account=tmp_path / "nothing"), "g", random_values(("a",)), {})


def test_an_api_server_of_another_authority_is_not_believed(
    server: ApiServer, tmp_path: Any
) -> None:
    other = ApiServer(tmp_path / "other")
    other.port = server.port
    with pytest.raises(TopologyError, match=r"does not answer: .*certificate"):
        make(other)
    assert server.calls == []
