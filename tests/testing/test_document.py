"""What compose is told to start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from guarita.testing.document import Layout, Place, Secrets, document

SECRETS = Secrets("the-api-key", "the-secret", "the-password", "of-the-sentinels")
LAYOUTS = [
    Layout("standalone"),
    Layout("sentinel", nodes=3, sentinels=3, services=2),
    Layout("sentinel", nodes=3, sentinels=3, users=True, directory=Path("/of/a/drill")),
    Layout("cluster", nodes=6),
]


def _written(layout: Layout) -> dict[str, Any]:
    ports = {name: 20_000 + number for number, name in enumerate(layout.everybody)}
    return document(layout, SECRETS, Place("p", "this process", "10.1.2", ports))


each_layout = pytest.mark.parametrize("layout", LAYOUTS, ids=lambda each: each.topology)


@each_layout
def test_every_port_is_published_on_loopback_alone(layout: Layout) -> None:
    every = [port for each in _written(layout)["services"].values() for port in each["ports"]]
    assert len(every) == len(layout.everybody)
    assert all(port.startswith("127.0.0.1:") for port in every)


@each_layout
def test_everybody_has_an_address_of_his_own_that_all_others_know(layout: Layout) -> None:
    services = _written(layout)["services"]
    addresses = {each["networks"]["guarita"]["ipv4_address"] for each in services.values()}
    assert len(addresses) == len(services)
    known = {entry.partition(":")[2] for each in services.values() for entry in each["extra_hosts"]}
    assert known == addresses


@each_layout
def test_no_container_may_do_more_than_it_must(layout: Layout) -> None:
    for each in _written(layout)["services"].values():
        assert (each["read_only"], each["cap_drop"]) == (True, ["ALL"])


def test_a_dollar_in_a_setting_is_no_variable_of_compose() -> None:
    layout = Layout("standalone", settings={"GUARITA_SECURITY__SECRET": "a$b"})
    environment = _written(layout)["services"]["service-1"]["environment"]
    assert environment["GUARITA_SECURITY__SECRET"] == "a$$b"


def test_the_api_key_itself_is_not_among_what_the_containers_get() -> None:
    assert "the-api-key" not in str(_written(LAYOUTS[1]))


def test_with_users_the_default_password_is_nobodys() -> None:
    assert "the-password" not in str(_written(LAYOUTS[2]))
