"""What `make up` does before it asks Docker for anything."""

from __future__ import annotations

import re
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import kit

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture
def env(tmp_path: Path) -> Path:
    path = tmp_path / ".env"
    assert kit.make_env(path)
    return path


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _replace(path: Path, old: str, new: str) -> None:
    path.write_text(re.sub(old, new, path.read_text(), flags=re.MULTILINE))


def test_a_new_env_is_good_random_and_its_owners_alone(env: Path, tmp_path: Path) -> None:
    values = kit.read_env(env)
    assert _mode(env) == 0o600
    assert len({values[name] for name in kit.PASSWORDS}) == len(kit.PASSWORDS)
    (tmp_path / "other").mkdir()
    kit.make_env(tmp_path / "other/.env")
    other = kit.read_env(tmp_path / "other/.env")
    assert not {values[name] for name in kit.PASSWORDS} & {other[name] for name in kit.PASSWORDS}


def test_an_env_is_never_overwritten(env: Path, tmp_path: Path) -> None:
    before = env.read_bytes()
    assert not kit.make_env(env)
    assert env.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == [".env"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (r"^SECRET=.*", "SECRET", r"\.env:\d+: write NAME=value"),
        (r"^SECRET=.*", "SECRET=", "SECRET must be 32 or more"),
        (r"^SECRET=.*", "SECRET=password", "SECRET must be 32 or more"),
        (r"^SECRET=.*\n", "", "SECRET must be 32 or more"),
        (r"^SECRET=", "SECRET = ", r"\.env:\d+: write NAME=value, without spaces"),
        (r"^API_KEY=.*", "API_KEY=" + 40 * "a", "API_KEY_SHA256 is not that of API_KEY"),
        (r"^HTTP_PORT=.*", "HTTP_PORT=70000", "HTTP_PORT must be a port"),
        (r"^NETWORK=.*", "NETWORK=10.0.0.0/8", "NETWORK must be the first three numbers"),
        (r"^NETWORK=.*", "NETWORK=10.0.256", "NETWORK must be the first three numbers"),
        (r"^ORIGIN=.*", "ORIGIN=shop.example", "ORIGIN must be"),
        (r"^(SECRET=.*)", r"\1\n\1", "SECRET is set twice"),
    ],
)
def test_a_broken_env_is_told_in_one_sentence(env: Path, old: str, new: str, words: str) -> None:
    _replace(env, old, new)
    with pytest.raises(kit.Obstacle, match=words) as caught:
        kit.read_env(env)
    assert "\n" not in str(caught.value)


def test_what_is_told_of_a_broken_env_holds_no_password(env: Path) -> None:
    _replace(env, r"^SECRET=(.*)", r"SECRET='\1'")
    secret = env.read_text().split("SECRET='")[1].split("'")[0]
    with pytest.raises(kit.Obstacle) as caught:
        kit.read_env(env)
    assert secret not in str(caught.value)


def test_an_env_that_others_can_read_is_refused(env: Path) -> None:
    env.chmod(0o644)
    with pytest.raises(kit.Obstacle, match="chmod 600"):
        kit.read_env(env)


def test_secrets_are_files_in_a_directory_of_their_owner(env: Path, tmp_path: Path) -> None:
    values = kit.read_env(env)
    kit.write_secrets(tmp_path / "s", values)
    assert _mode(tmp_path / "s") == 0o700
    assert (tmp_path / "s/service-password").read_text() == values["SERVICE_PASSWORD"] + "\n"
    assert not (tmp_path / "s/api-key").exists()
    assert values["DATA_PASSWORD"] not in (tmp_path / "s/standalone.acl").read_text()


def test_secrets_that_have_not_changed_are_left_alone(env: Path, tmp_path: Path) -> None:
    kit.write_secrets(tmp_path / "s", kit.read_env(env))
    before = {each.name: each.stat().st_mtime_ns for each in (tmp_path / "s").iterdir()}
    _replace(env, r"^SECRET=.*", "SECRET=" + 32 * "x")
    kit.write_secrets(tmp_path / "s", kit.read_env(env))
    after = {each.name: each.stat().st_mtime_ns for each in (tmp_path / "s").iterdir()}
    assert [name for name in after if after[name] != before[name]] == ["secret"]


def test_a_port_that_is_taken_is_told_with_the_name_to_change(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(kit.Obstacle, match=f"127.0.0.1:{port} .* set HTTPS_PORT in"):
            kit.check_port(port, "HTTPS_PORT", tmp_path / ".env")
    kit.check_port(port, "HTTPS_PORT", tmp_path / ".env")


def _up(directory: Path, docker: str | None, *options: str) -> subprocess.CompletedProcess[str]:
    """`make up` of a copy in this directory, where `docker` is this shell script."""
    shutil.copy(DEPLOY / "kit.py", directory)
    if docker is not None:
        (directory / "docker").write_text(f"#!/bin/sh\n{docker}\n")
        (directory / "docker").chmod(0o755)
    return subprocess.run(
        [sys.executable, str(directory / "kit.py"), *options, "up", "sentinel"],
        env={"PATH": str(directory)},
        capture_output=True,
        text=True,
    )


ENGINE = '[ "$1" = info ] && echo 28.0; [ "$1" != buildx ]'


@pytest.mark.parametrize(
    ("docker", "words"),
    [
        (None, "docker is not installed: https://docs.docker.com/engine/install/"),
        ("echo 'Cannot connect to the Docker daemon' >&2; exit 1", "start it, then try again"),
        ('[ "$1" = info ] && echo 28.0', "docker compose is missing"),
    ],
)
def test_without_an_engine_one_sentence_and_status_2(
    tmp_path: Path, docker: str | None, words: str
) -> None:
    result = _up(tmp_path, docker)
    assert result.returncode == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / ".env").exists()


def test_with_a_port_taken_one_sentence_and_status_2(env: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        _replace(env, r"^HTTPS_PORT=.*", f"HTTPS_PORT={port}")
        result = _up(tmp_path, ENGINE)
    assert result.returncode == 2
    assert result.stderr == (
        f"127.0.0.1:{port} cannot be listened at (Address already in use): set HTTPS_PORT in {env} "
        "to another port, or stop what listens there\n"
    )
    assert not (tmp_path / ".secrets").exists()


def test_with_a_broken_env_one_sentence_and_status_2(env: Path, tmp_path: Path) -> None:
    _replace(env, r"^SERVICE_PASSWORD=.*", "SERVICE_PASSWORD=secret")
    result = _up(tmp_path, ENGINE)
    assert result.returncode == 2
    assert result.stderr.startswith(f"{env}: SERVICE_PASSWORD must be 32 or more letters")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / ".secrets").exists()


@pytest.mark.parametrize(
    ("name", "wanted", "words"),
    [
        (
            "cluster",
            ["tls"],
            "OVERLAYS=tls does not go with KIT=cluster: it goes with KIT=sentinel",
        ),
        ("sentinel", ["ssl"], "OVERLAYS=ssl does not go with KIT=sentinel: there are tls, dev"),
    ],
)
def test_an_overlay_that_does_not_fit_is_told_in_one_sentence(
    name: str, wanted: list[str], words: str
) -> None:
    with pytest.raises(kit.Obstacle, match=words):
        kit.check_overlays(name, wanted)


def test_overlays_have_one_order(tmp_path: Path) -> None:
    assert kit.check_overlays("sentinel", ["dev", "tls"]) == ("tls", "dev")
    assert _up(tmp_path, ENGINE, "--overlays=nothing").returncode == 2


@pytest.mark.parametrize(
    ("name", "overlay"), [(name, each) for name, every in kit.OVERLAYS.items() for each in every]
)
def test_an_overlay_adds_to_what_the_kit_has_and_opens_no_port(name: str, overlay: str) -> None:
    services = yaml.safe_load((DEPLOY / f"compose.{name}.yaml").read_text())["services"]
    document = yaml.safe_load((DEPLOY / f"compose.{overlay}.yaml").read_text())
    assert set(document["services"]) <= set(services)
    assert not any("ports" in service for service in document["services"].values())
    made = {each.partition("=")[0] for each in (kit.PROXY_CERTIFICATE, *kit.NODE_CERTIFICATES)}
    for file in document.get("secrets", {}).values():
        assert Path(file["file"]).stem in made | {"ca"}


@pytest.mark.parametrize("name", kit.KITS)
def test_a_kit_exposes_this_machine_only_and_limits_each_container(name: str) -> None:
    document = yaml.safe_load((DEPLOY / f"compose.{name}.yaml").read_text())
    for service in document["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["pull_policy"] == "never"
        for needed in ("restart", "mem_limit", "stop_grace_period", "logging"):
            assert service.get(needed), needed
        has_the_images = service.get("command") == ["serve"] or "proxy" in service["image"]
        assert has_the_images or service["healthcheck"]


@pytest.mark.parametrize("name", kit.KITS)
def test_what_a_kit_takes_from_its_env_is_there(name: str, env: Path) -> None:
    values = kit.read_env(env)
    text = (DEPLOY / f"compose.{name}.yaml").read_text()
    asked = {found[1] for found in re.finditer(r"\$\{(\w+)(:-\w+)?", text) if not found[2]}
    assert asked <= set(values)
    files = re.findall(r"file: \.secrets/([\w.-]+)}", text)
    kit.write_secrets(env.parent / "s", values)
    assert set(files) <= {each.name for each in (env.parent / "s").iterdir()}
