"""`deploy/.env` and `deploy/.secrets`: made once, read and checked. See `kit.py`."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

PASSWORDS = (
    "API_KEY",
    "SECRET",
    "DATA_PASSWORD",
    "SERVICE_PASSWORD",
    "AGENT_PASSWORD",
    "SENTINEL_USER_PASSWORD",
    "REPLICA_PASSWORD",
    "SENTINEL_PASSWORD",
)
CHOICES = {
    "ORIGIN": "http://127.0.0.1:8080",
    "HTTP_PORT": "8000",
    "HTTPS_PORT": "8443",
    "NETWORK": "172.30.57",
    "SERVER": "valkey",
    "TAG": "latest",
}
_LINE = re.compile(r"([A-Z][A-Z0-9_]*)=([^\s'\"$\\#]*)")
_PORTS = ("HTTP_PORT", "HTTPS_PORT")
_SERVERS = ("valkey", "redis")
_PASSWORD = re.compile(r"[A-Za-z0-9_-]{32,}")


class Obstacle(Exception):
    """What keeps a kit from starting: one sentence that says what to do."""


# deploy/.env


def make_env(path: Path) -> bool:
    """Write random passwords, for the owner alone, where there is no such file; whether it did.

    What was chosen in the environment is kept in it. Raises `Obstacle` where that is wrong.
    """
    values = {name: secrets.token_urlsafe(32) for name in PASSWORDS}
    values["API_KEY_SHA256"] = _sha256(values["API_KEY"])
    values.update({name: os.environ.get(name) or usual for name, usual in CHOICES.items()})
    _check(path, values)
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("# Made by `make up`, and never written again. Keep it: it is not in Git.\n")
        file.writelines(f"{name}={value}\n" for name, value in values.items())
    try:
        os.link(draft, path)  # unlike a rename, it never replaces
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def read_env(path: Path) -> dict[str, str]:
    """Every value of the file. Raises `Obstacle` at the first thing that is wrong with it."""
    try:
        if path.stat().st_mode & 0o077:
            raise Obstacle(f"{path} can be read by others: chmod 600 {path}")
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        raise Obstacle(f"there is no {path}: `make up` makes it") from None
    except (OSError, UnicodeDecodeError) as exc:
        raise Obstacle(f"{path} cannot be read: {exc}") from exc
    values: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if not found:
            raise Obstacle(f"{path}:{number}: write NAME=value, without spaces and quotes")
        if found[1] in values:
            raise Obstacle(f"{path}:{number}: {found[1]} is set twice: remove one of the lines")
        values[found[1]] = found[2]
    for name in ("SERVER", "TAG"):  # may be left out, as compose has it
        values[name] = values.get(name) or CHOICES[name]
    _check(path, values)
    return values


def check_environment(path: Path, env: Mapping[str, str]) -> None:
    """Raises `Obstacle` where a variable says otherwise than the file: compose would follow the
    variable now, and the file whenever it is called without."""
    for name in CHOICES:
        if (given := os.environ.get(name, env[name])) != env[name]:
            raise Obstacle(
                f"{name}={given} in the environment is not what {path} says ({env[name]}): write "
                "it there, where `docker compose` finds it later, or unset it here"
            )


def _check(path: Path, values: dict[str, str]) -> None:
    for name in PASSWORDS:
        if not _PASSWORD.fullmatch(values.get(name, "")):
            raise Obstacle(
                f"{path}: {name} must be 32 or more letters, digits, - or _: set it to the output "
                "of: openssl rand -hex 32"
            )
    digest = _sha256(values["API_KEY"])
    if values.get("API_KEY_SHA256") != digest:
        raise Obstacle(f"{path}: API_KEY_SHA256 is not that of API_KEY: set it to {digest}")
    for name in _PORTS:
        text = values.get(name, "")
        if not text.isdigit() or not 0 < int(text) < 65536:
            raise Obstacle(f"{path}: {name} must be a port, such as {CHOICES[name]}")
    try:
        subnet(values.get("NETWORK", ""))
    except ValueError:
        raise Obstacle(
            f"{path}: NETWORK must be the first three numbers of a private network, "
            f"such as {CHOICES['NETWORK']}"
        ) from None
    if not re.fullmatch(r"https?://[^/]+", values.get("ORIGIN", "")):
        raise Obstacle(
            f"{path}: ORIGIN must be that of the site which shows the frame, such as "
            f"{CHOICES['ORIGIN']}"
        )
    if values["SERVER"] not in _SERVERS:
        raise Obstacle(f"{path}: SERVER must be {' or '.join(_SERVERS)}")
    if not re.fullmatch(r"\w[\w.-]{0,127}", values["TAG"], re.ASCII):
        raise Obstacle(f"{path}: TAG must be the tag of an image, such as {CHOICES['TAG']}")


def subnet(network: str) -> ipaddress.IPv4Network:
    """What its first three numbers stand for. Raises `ValueError`."""
    return ipaddress.IPv4Network(f"{network}.0/24")


# deploy/.secrets


def write_secrets(directory: Path, env: dict[str, str]) -> None:
    """The files that containers get. What has not changed is left alone.

    Containers run as another user, so each file may be read by all; the directory is its owner's
    alone, so that nobody else on this machine gets at them.
    """
    directory.mkdir(mode=0o700, exist_ok=True)
    directory.chmod(0o700)
    files = {name.lower().replace("_", "-"): env[name] for name in PASSWORDS if name != "API_KEY"}
    everybody = f"user default on #{_sha256(env['DATA_PASSWORD'])} ~* &* +@all"
    files["standalone.acl"] = everybody
    files["cluster.conf"] = f"{everybody}\nmasterauth {env['DATA_PASSWORD']}"
    for name, text in files.items():
        path = directory / name
        if not path.exists() or path.read_text("utf-8") != f"{text}\n":
            path.write_text(f"{text}\n", "utf-8")
        path.chmod(0o444 if os.geteuid() == 0 else 0o644)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
