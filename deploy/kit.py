"""`make up`, `down`, `ps`, `logs`, `image`: the compose files here, and what they need.

Knows no package but Python's own (3.9 or newer): it runs where Docker is and nothing else.
Passwords are in `.env`, made once; the containers get them as files from `.secrets`.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import os
import re
import secrets
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PORTS = {"standalone": "HTTP_PORT", "sentinel": "HTTPS_PORT", "cluster": "HTTP_PORT"}
KITS = tuple(PORTS)
OVERLAYS = {"sentinel": ("tls", "dev")}
ALL_OVERLAYS = tuple(name for names in OVERLAYS.values() for name in names)
# NAME or NAME=HOST,..., as `guarita certs init` has it.
PROXY_CERTIFICATE = "proxy=localhost,127.0.0.1"
NODE_CERTIFICATES = tuple(f"{kind}-{n}" for kind in ("valkey", "sentinel") for n in (1, 2, 3))
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
}
_LINE = re.compile(r"([A-Z][A-Z0-9_]*)=([^\s'\"$\\#]*)")
_PASSWORD = re.compile(r"[A-Za-z0-9_-]{32,}")
_NETWORK = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}")
READY_S = 90.0


class Obstacle(Exception):
    """What keeps a kit from starting: one sentence that says what to do."""


# deploy/.env


def make_env(path: Path) -> bool:
    """Write random passwords, for the owner alone, where there is no such file; whether it did."""
    values = {name: secrets.token_urlsafe(32) for name in PASSWORDS}
    values["API_KEY_SHA256"] = _sha256(values["API_KEY"])
    values.update(CHOICES)
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
    _check(path, values)
    return values


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
    for name in sorted(set(PORTS.values())):
        text = values.get(name, "")
        if not text.isdigit() or not 0 < int(text) < 65536:
            raise Obstacle(f"{path}: {name} must be a port, such as {CHOICES[name]}")
    network = values.get("NETWORK", "")
    if not _NETWORK.fullmatch(network) or max(map(int, network.split("."))) > 255:
        raise Obstacle(
            f"{path}: NETWORK must be the first three numbers of a private network, "
            f"such as {CHOICES['NETWORK']}"
        )
    if not re.fullmatch(r"https?://[^/]+", values.get("ORIGIN", "")):
        raise Obstacle(
            f"{path}: ORIGIN must be that of the site which shows the frame, such as "
            f"{CHOICES['ORIGIN']}"
        )


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


def make_certificates(directory: Path, image: str, certificates: tuple[str, ...]) -> None:
    """Those that are missing, made by the image itself, for the user who calls."""
    directory.mkdir(mode=0o700, exist_ok=True)
    names = [each.partition("=")[0] for each in certificates]
    if not all((directory / f"{name}.crt").exists() for name in names):
        me = f"{os.getuid()}:{os.getgid()}"
        mount = f"type=bind,source={directory},target=/certs"
        run = ["docker", "run", "--rm", "--network=none", "--read-only", f"--user={me}"]
        _run(
            [*run, f"--mount={mount}", image, "certs", "init", "/certs", *certificates], quiet=True
        )
    for name in names:
        (directory / f"{name}.key").chmod(0o444)  # as in write_secrets


# Docker


def check_engine() -> None:
    """Raises `Obstacle` where there is no engine or no compose."""
    try:
        engine = subprocess.run(
            ["docker", "info", "--format", "{{.ServerVersion}}"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        compose = subprocess.run(
            ["docker", "compose", "version"], capture_output=True, timeout=30, check=False
        )
    except FileNotFoundError:
        raise Obstacle("docker is not installed: https://docs.docker.com/engine/install/") from None
    except subprocess.TimeoutExpired:
        raise Obstacle("Docker does not answer within 30 s: restart it, then try again") from None
    if engine.returncode or not engine.stdout.strip():
        reason = (engine.stderr.strip().splitlines() or ["no answer"])[-1]
        raise Obstacle(f"the Docker engine does not answer: start it, then try again ({reason})")
    if compose.returncode:
        raise Obstacle("docker compose is missing: https://docs.docker.com/compose/install/")


def check_port(port: int, name: str, env: Path) -> None:
    """Raises `Obstacle` where something listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as exc:
            raise Obstacle(
                f"127.0.0.1:{port} cannot be listened at ({exc.strerror}): set {name} in {env} to "
                "another port, or stop what listens there"
            ) from exc


def compose(kit: str, overlays: tuple[str, ...] = ()) -> list[str]:
    files = [f"--file={HERE / f'compose.{name}.yaml'}" for name in (kit, *overlays)]
    return ["docker", "compose", *files]


def check_overlays(kit: str, wanted: list[str]) -> tuple[str, ...]:
    """In the order in which they are laid over. Raises `Obstacle` where one does not fit."""
    fitting = OVERLAYS.get(kit, ())
    for name in wanted:
        if name not in fitting:
            kits = " and ".join(each for each, names in OVERLAYS.items() if name in names)
            hint = f"it goes with KIT={kits}" if kits else f"there are {', '.join(ALL_OVERLAYS)}"
            raise Obstacle(f"OVERLAYS={name} does not go with KIT={kit}: {hint}")
    return tuple(name for name in fitting if name in wanted)


def build_image() -> None:
    """`guarita` and `guarita-proxy`. PIP_CERT, where it is set, is for pip in the build too."""
    root = HERE.parent
    revision = subprocess.run(
        ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    version = re.search(r'^version = "(.+)"$', (root / "pyproject.toml").read_text("utf-8"), re.M)
    command = [
        "docker",
        "buildx",
        "build",
        "--quiet",
        "--load",
        "--file",
        str(root / "service/Dockerfile"),
        "--build-arg",
        f"REVISION={revision or 'unknown'}",
        "--build-arg",
        f"VERSION={version[1] if version else '0'}",
    ]
    for name in ("BASE", "SERVER"):
        if os.environ.get(name):
            command += ["--build-arg", f"{name}={os.environ[name]}"]
    if os.environ.get("PIP_CERT"):
        command += ["--secret", f"id=ca,src={os.environ['PIP_CERT']}"]
    tag = os.environ.get("TAG") or "latest"
    for target, name in (("guarita", "guarita"), ("proxy", "guarita-proxy")):
        _run([*command, "--target", target, "--tag", f"{name}:{tag}", str(root)], quiet=True)


def _run(command: list[str], *, quiet: bool = False) -> None:
    """Raises `Obstacle` where it fails; its own words stand above."""
    code = subprocess.run(
        command, stdout=subprocess.DEVNULL if quiet else None, check=False
    ).returncode
    if code:
        raise Obstacle(f"{' '.join(command[:3])} ended with {code}: see above")


# The commands


def up(kit: str, overlays: tuple[str, ...]) -> None:
    """Start a kit, and wait until it takes writes."""
    check_engine()
    path = HERE / ".env"
    if not path.exists() and make_env(path):
        print(f"made {path} with random passwords")
    env = read_env(path)
    port = int(env[PORTS[kit]])
    project = subprocess.run(
        [*compose(kit), "ps", "--quiet"], capture_output=True, text=True, check=False
    )
    if not project.stdout.strip():
        check_port(port, PORTS[kit], path)
    build_image()
    write_secrets(HERE / ".secrets", env)
    if kit == "sentinel":
        certificates = (PROXY_CERTIFICATE, *(NODE_CERTIFICATES if "tls" in overlays else ()))
        image = f"guarita:{os.environ.get('TAG') or 'latest'}"
        make_certificates(HERE / ".secrets/tls", image, certificates)
    started_s = time.monotonic()
    _run([*compose(kit, overlays), "up", "--detach", "--remove-orphans"])
    await_ready(kit, port)
    scheme = "https" if PORTS[kit] == "HTTPS_PORT" else "http"
    print(f"ready after {time.monotonic() - started_s:.0f} s: {scheme}://localhost:{port}")


def await_ready(kit: str, port: int) -> None:
    """Until the store takes a write. Raises `Obstacle` after `READY_S`."""
    end_s = time.monotonic() + READY_S
    heard = "no answer"
    while time.monotonic() < end_s:
        connection = _connection(kit, port)
        try:
            connection.request("GET", "/healthz/deep")
            answer = connection.getresponse()
            if answer.status == 200:
                return
            heard = f"{answer.status} {answer.read(300).decode(errors='replace')}"
        except (OSError, http.client.HTTPException) as exc:
            heard = str(exc)
        finally:
            connection.close()
        time.sleep(0.2)
    raise Obstacle(f"not ready after {READY_S:g} s: look at `make logs KIT={kit}` ({heard})")


def _connection(kit: str, port: int) -> http.client.HTTPConnection:
    if PORTS[kit] != "HTTPS_PORT":
        return http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    context = ssl.create_default_context(cafile=str(HERE / ".secrets/tls/ca.crt"))
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="kit.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("action", choices=("image", "up", "down", "ps", "logs"))
    parser.add_argument("kit", choices=KITS, nargs="?", default="sentinel")
    parser.add_argument("more", nargs="*", help="for docker compose, behind --")
    parser.add_argument("--overlays", default="", help="tls, dev or both, for up")
    wish = parser.parse_args(arguments)
    try:
        overlays = check_overlays(wish.kit, wish.overlays.split())
        if wish.action == "up":
            up(wish.kit, overlays)
            return 0
        check_engine()
        if wish.action == "image":
            build_image()
            return 0
        read_env(HERE / ".env")
        # With every overlay that there may be: what one of them has added is theirs too.
        _run([*compose(wish.kit, OVERLAYS.get(wish.kit, ())), wish.action, *wish.more])
    except Obstacle as exc:
        print(exc, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
