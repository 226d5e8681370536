from __future__ import annotations

from pathlib import Path

import pytest

from guarita import servers
from guarita.errors import ServerMissing
from guarita.servers import find_server

REDIS = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=0"
VALKEY = "Valkey server v=8.1.1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=0"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(servers, "_MORE_PLACES", ())
    return tmp_path


def install(directory: Path, name: str, line: str) -> Path:
    program = directory / name
    program.write_text(f"#!/bin/sh\necho '{line}'\n")
    program.chmod(0o755)
    return program


def test_valkey_is_preferred(programs: Path) -> None:
    install(programs, "redis-server", REDIS)
    path = install(programs, "valkey-server", VALKEY)
    found = find_server()
    assert (found.path, found.name, found.version) == (str(path), "Valkey", "8.1.1")


def test_a_server_that_is_too_old_is_passed_over(programs: Path) -> None:
    install(programs, "valkey-server", "Valkey server v=7.1.9 sha=0")
    install(programs, "redis-server", REDIS)
    assert find_server().name == "Redis"


def test_the_chosen_server_is_taken_or_nothing(programs: Path) -> None:
    install(programs, "valkey-server", VALKEY)
    chosen = install(programs, "my-redis", REDIS)
    assert find_server(str(chosen)).name == "Redis"
    with pytest.raises(ServerMissing, match="other-server was not found"):
        find_server("other-server")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (None, "neither valkey-server nor redis-server"),
        ("Redis server v=6.2.20 sha=0", "is Redis 6.2.20"),
        ("hello", "does not say that it is Redis or Valkey"),
    ],
)
def test_without_a_server_one_sentence_says_what_to_do(
    programs: Path, line: str | None, reason: str
) -> None:
    if line:
        install(programs, "redis-server", line)
    with pytest.raises(ServerMissing) as caught:
        find_server()
    text = str(caught.value)
    assert reason in text
    assert "setup_redis.sh" in text
    assert "make run STORE=memory" in text
    assert "\n" not in text
