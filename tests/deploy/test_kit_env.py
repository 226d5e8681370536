"""What is made once, read and checked: `deploy/.env` and `deploy/.secrets`."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

import kit_env
from guarita.config import Settings

SAME = 4 * "0123456789abcdef"


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in kit_env.CHOICES:
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / ".env"
    assert kit_env.make_env(path)
    return path


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _replace(path: Path, old: str, new: str) -> None:
    path.write_text(re.sub(old, new, path.read_text(), flags=re.MULTILINE))


def test_a_new_env_is_good_random_and_its_owners_alone(env: Path, tmp_path: Path) -> None:
    values = kit_env.read_env(env)
    assert _mode(env) == 0o600
    assert len({values[name] for name in kit_env.PASSWORDS}) == len(kit_env.PASSWORDS)
    (tmp_path / "other").mkdir()
    kit_env.make_env(tmp_path / "other/.env")
    other = kit_env.read_env(tmp_path / "other/.env")
    assert not {values[name] for name in kit_env.PASSWORDS} & {
        other[name] for name in kit_env.PASSWORDS
    }


def test_an_env_is_never_overwritten(env: Path, tmp_path: Path) -> None:
    before = env.read_bytes()
    assert not kit_env.make_env(env)
    assert env.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == [".env"]


def test_a_new_env_is_not_written_with_a_wrong_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVER", "memcached")
    with pytest.raises(kit_env.Obstacle, match="SERVER must be valkey or redis"):
        kit_env.make_env(tmp_path / ".env")
    assert not (tmp_path / ".env").exists()


def test_an_env_from_before_there_was_a_choice_is_good(env: Path) -> None:
    _replace(env, r"^(BASE|SERVER|TAG)=.*\n", "")
    values = kit_env.read_env(env)
    assert (values["SERVER"], values["TAG"]) == ("valkey", "latest")
    assert values["BASE"] == "debian:trixie-slim"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (r"^SECRET=.*", "SECRET", r"\.env:\d+: write NAME=value"),
        (r"^SECRET=.*", "SECRET=", "SECRET must be 32 or more"),
        (r"^SECRET=.*", "SECRET=password", "SECRET must be 32 or more"),
        (r"^SECRET=.*\n", "", "SECRET must be 32 or more"),
        (r"^SECRET=", "SECRET = ", r"\.env:\d+: write NAME=value, without spaces"),
        (r"^SECRET=.*", "SECRET=" + 40 * "a", "SECRET is not random"),
        (r"^API_KEY=.*", f"API_KEY={SAME}", "API_KEY_SHA256 is not that of API_KEY"),
        (r"^HTTP_PORT=.*", "HTTP_PORT=\u00b2", "HTTP_PORT must be a port"),
        (r"^NETWORK=.*", "NETWORK=8.8.8", "NETWORK must be the first three numbers"),
        (r"^NETWORK=.*", "NETWORK=127.0.0", "NETWORK must be the first three numbers"),
        (r"^ORIGIN=.*", "ORIGIN=http://Shop.example", "ORIGIN must be .* in lower case"),
        (r"^ORIGIN=.*", "ORIGIN=https://shop.example:443", "ORIGIN must be"),
        (r"^ORIGIN=.*", "ORIGIN=http://*", "ORIGIN must be"),
        (r"^ORIGIN=.*", "ORIGIN=http://u@shop.example", "ORIGIN must be"),
        (r"^ORIGIN=.*", "ORIGIN=http://shop.example:70000", "ORIGIN must be"),
        (r"^BASE=.*", "BASE=-x", "BASE must be the name of an image"),
        (r"^HTTP_PORT=.*", "HTTP_PORT=70000", "HTTP_PORT must be a port"),
        (r"^NETWORK=.*", "NETWORK=10.0.0.0/8", "NETWORK must be the first three numbers"),
        (r"^NETWORK=.*", "NETWORK=10.0.256", "NETWORK must be the first three numbers"),
        (r"^ORIGIN=.*", "ORIGIN=shop.example", "ORIGIN must be"),
        (r"^(SECRET=.*)", r"\1\n\1", "SECRET is set twice"),
        (r"^SERVER=.*", "SERVER=memcached", "SERVER must be valkey or redis"),
        (r"^TAG=.*", "TAG=a/b", "TAG must be the tag of an image, such as latest"),
    ],
)
def test_a_broken_env_is_told_in_one_sentence(env: Path, old: str, new: str, words: str) -> None:
    _replace(env, old, new)
    with pytest.raises(kit_env.Obstacle, match=words) as caught:
        kit_env.read_env(env)
    assert "\n" not in str(caught.value)


def test_a_password_that_another_role_has_is_refused(env: Path) -> None:
    _replace(env, r"^(AGENT_PASSWORD|SENTINEL_PASSWORD)=.*", rf"\1={SAME}")
    with pytest.raises(
        kit_env.Obstacle,
        match="SENTINEL_PASSWORD is that of AGENT_PASSWORD, and each has one of its",
    ):
        kit_env.read_env(env)


@pytest.mark.parametrize(
    "origin",
    ["https://shop.example", "http://shop.example:8080", "http://127.0.0.1:8080", "https://[::1]"],
)
def test_the_origin_of_a_site_is_good(env: Path, origin: str) -> None:
    _replace(env, r"^ORIGIN=.*", f"ORIGIN={origin}")
    assert kit_env.read_env(env)["ORIGIN"] == origin
    assert Settings.model_validate(
        {"security": {"tenants": [{"name": "kit", "key_sha256": 64 * "a", "origins": [origin]}]}}
    )


@pytest.mark.parametrize("how", ["link", "directory"])
def test_an_env_that_is_no_file_is_told_so(tmp_path: Path, how: str) -> None:
    path = tmp_path / ".env"
    if how == "link":
        path.symlink_to(tmp_path / "nothing")
    else:
        path.mkdir()
    with pytest.raises(kit_env.Obstacle, match="is no file: take it away"):
        kit_env.read_env(path)


def test_what_is_told_of_a_broken_env_holds_no_password(env: Path) -> None:
    _replace(env, r"^SECRET=(.*)", r"SECRET='\1'")
    secret = env.read_text().split("SECRET='")[1].split("'")[0]
    with pytest.raises(kit_env.Obstacle) as caught:
        kit_env.read_env(env)
    assert secret not in str(caught.value)


def test_an_env_that_others_can_read_is_refused(env: Path) -> None:
    env.chmod(0o644)
    with pytest.raises(kit_env.Obstacle, match="chmod 600"):
        kit_env.read_env(env)


def test_secrets_are_files_in_a_directory_of_their_owner(env: Path, tmp_path: Path) -> None:
    values = kit_env.read_env(env)
    kit_env.write_secrets(tmp_path / "s", values)
    assert _mode(tmp_path / "s") == 0o700
    assert (tmp_path / "s/service-password").read_text() == values["SERVICE_PASSWORD"] + "\n"
    assert not (tmp_path / "s/api-key").exists()
    assert values["DATA_PASSWORD"] not in (tmp_path / "s/standalone.acl").read_text()


def test_secrets_that_have_not_changed_are_left_alone(env: Path, tmp_path: Path) -> None:
    kit_env.write_secrets(tmp_path / "s", kit_env.read_env(env))
    before = {each.name: each.stat().st_mtime_ns for each in (tmp_path / "s").iterdir()}
    assert kit_env.changed_secret(tmp_path / "s", kit_env.read_env(env)) is None
    _replace(env, r"^SECRET=.*", f"SECRET={SAME}")
    assert kit_env.changed_secret(tmp_path / "s", kit_env.read_env(env)) == "secret"
    kit_env.write_secrets(tmp_path / "s", kit_env.read_env(env))
    after = {each.name: each.stat().st_mtime_ns for each in (tmp_path / "s").iterdir()}
    assert [name for name in after if after[name] != before[name]] == ["secret"]
