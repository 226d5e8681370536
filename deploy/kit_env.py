"""`deploy/.env` and `deploy/.secrets`: made once, read and checked. See `kit.py`."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import secrets
from collections.abc import Iterator, Mapping
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
    "BASE": "debian:trixie-slim",
    "SERVER": "valkey",
    "TAG": "latest",
}
_OPTIONAL = ("BASE", "SERVER", "TAG")  # compose and the image have these by themselves
_LINE = re.compile(r"([A-Z][A-Z0-9_]*)=([^\s'\"$\\#]*)")
_PORTS = ("HTTP_PORT", "HTTPS_PORT")
_SERVERS = ("valkey", "redis")
_PASSWORD = re.compile(r"[A-Za-z0-9_-]{32,}")
_CHARACTERS = 8  # that differ: what is random has more of them, as good as always
_PRIVATE = tuple(
    map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"))
)
# As browsers send it, https://www.rfc-editor.org/rfc/rfc6454#section-6.2, and the service wants it.
_ORIGIN = re.compile(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?")
_USUAL_PORTS = {"http": "80", "https": "443"}


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
        if not path.is_file() and (path.exists() or path.is_symlink()):
            raise Obstacle(f"{path} is no file: take it away, and `make up` makes one")
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
    for name in _OPTIONAL:
        values[name] = values.get(name) or CHOICES[name]
    _check(path, values)
    return values


def check_environment(path: Path, env: Mapping[str, str]) -> None:
    """Raises `Obstacle` where a variable says otherwise than the file: compose would follow the
    variable now, and the file whenever it is called without."""
    for name in (*CHOICES, "API_KEY_SHA256"):
        if (given := os.environ.get(name, env[name])) != env[name]:
            raise Obstacle(
                f"{name}={given} in the environment is not what {path} says ({env[name]}): write "
                "it there, where `docker compose` finds it later, or unset it here"
            )


def _check(path: Path, values: dict[str, str]) -> None:
    for wrong in (*_wrong_passwords(values), *_wrong_choices(values)):
        raise Obstacle(f"{path}: {wrong}")


def _wrong_passwords(values: Mapping[str, str]) -> Iterator[str]:
    make = "set it to the output of: openssl rand -hex 32"
    roles: dict[str, str] = {}
    for name in PASSWORDS:
        password = values.get(name, "")
        if not _PASSWORD.fullmatch(password):
            yield f"{name} must be 32 or more letters, digits, - or _: {make}"
        if len(set(password)) < _CHARACTERS:
            yield f"{name} is not random: {make}"
        if password in roles:
            yield f"{name} is that of {roles[password]}, and each has one of its own: {make}"
        roles[password] = name
    digest = _sha256(values.get("API_KEY", ""))
    if values.get("API_KEY_SHA256") != digest:
        yield f"API_KEY_SHA256 is not that of API_KEY: set it to {digest}"


def _wrong_choices(values: Mapping[str, str]) -> Iterator[str]:
    for name in _PORTS:
        text = values.get(name, "")
        if not re.fullmatch("[0-9]{1,5}", text) or not 0 < int(text) < 65536:
            yield f"{name} must be a port, such as {CHOICES[name]}"
    try:
        subnet(values.get("NETWORK", ""))
    except ValueError:
        yield (
            "NETWORK must be the first three numbers of a private network, "
            f"such as {CHOICES['NETWORK']}"
        )
    origin = _ORIGIN.fullmatch(values.get("ORIGIN", ""))
    if not origin or origin[3] == _USUAL_PORTS[origin[1]] or int(origin[3] or 1) > 65535:
        yield (
            "ORIGIN must be that of the site which shows the frame as browsers send it, in lower "
            f"case, without a path and without the usual port, such as {CHOICES['ORIGIN']}"
        )
    if not re.fullmatch(r"[a-z0-9][\w./:@-]*", values["BASE"], re.ASCII):
        yield f"BASE must be the name of an image, such as {CHOICES['BASE']}"
    if values["SERVER"] not in _SERVERS:
        yield f"SERVER must be {' or '.join(_SERVERS)}"
    if not re.fullmatch(r"\w[\w.-]{0,127}", values["TAG"], re.ASCII):
        yield f"TAG must be the tag of an image, such as {CHOICES['TAG']}"


def subnet(network: str) -> ipaddress.IPv4Network:
    """What its first three numbers stand for. Raises `ValueError` where that is not private."""
    found = ipaddress.IPv4Network(f"{network}.0/24")
    if not any(found.subnet_of(each) for each in _PRIVATE):
        raise ValueError(f"{found} is not private")
    return found


# deploy/.secrets


def write_secrets(directory: Path, env: dict[str, str]) -> None:
    """The files that containers get. What has not changed is left alone.

    Containers run as another user, so each file may be read by all; the directory is its owner's
    alone, so that nobody else on this machine gets at them.
    """
    directory.mkdir(mode=0o700, exist_ok=True)
    directory.chmod(0o700)
    for name, text in _secrets(env).items():
        path = directory / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
        path.chmod(0o444 if os.geteuid() == 0 else 0o644)


def changed_secret(directory: Path, env: dict[str, str]) -> str | None:
    """The first file there that is not what `write_secrets` would write."""
    for name, text in _secrets(env).items():
        path = directory / name
        if path.exists() and path.read_text("utf-8") != text:
            return name
    return None


def _secrets(env: dict[str, str]) -> dict[str, str]:
    """By the name of the file."""
    files = {name.lower().replace("_", "-"): env[name] for name in PASSWORDS if name != "API_KEY"}
    everybody = f"user default on #{_sha256(env['DATA_PASSWORD'])} ~* &* +@all"
    files["standalone.acl"] = everybody
    files["cluster.conf"] = f"{everybody}\nmasterauth {env['DATA_PASSWORD']}"
    return {name: f"{text}\n" for name, text in files.items()}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
