"""`make up`, `down`, `ps`, `logs`, `image`: the compose files here, and what they need.

Knows no package but Python's own (3.9 or newer): it runs where Docker is and nothing else.
Passwords are in `.env`, made once; the containers get them as files from `.secrets` (`kit_env.py`).
"""

from __future__ import annotations

import argparse
import errno
import http.client
import ipaddress
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from kit_env import (
    Obstacle,
    changed_secret,
    check_environment,
    make_env,
    read_env,
    subnet,
    write_secrets,
)

HERE = Path(__file__).resolve().parent
PORTS = {"standalone": "HTTP_PORT", "sentinel": "HTTPS_PORT", "cluster": "HTTP_PORT"}
KITS = tuple(PORTS)
OVERLAYS = {"sentinel": ("tls", "dev")}
ALL_OVERLAYS = tuple(name for names in OVERLAYS.values() for name in names)
# NAME or NAME=HOST,..., as `guarita certs init` has it.
PROXY_CERTIFICATE = "proxy=localhost,127.0.0.1"
NODE_CERTIFICATES = tuple(f"{kind}-{n}" for kind in ("valkey", "sentinel") for n in (1, 2, 3))
# By the name of the image: the stage of service/Dockerfile.
IMAGES = {"guarita": "guarita", "guarita-proxy": "proxy"}
READY_S = 90.0
_FILES = '{{.Label "com.docker.compose.project.config_files"}}'
_NETWORK = (
    '{{.Name}};{{index .Labels "com.docker.compose.project"}};'
    "{{range .IPAM.Config}}{{.Subnet}} {{end}}"
)


# Docker


def check_engine() -> None:
    """Raises `Obstacle` where there is no engine or no compose."""
    engine = _ask("info", "--format", "{{.ServerVersion}}")
    if engine.returncode or not engine.stdout.strip():
        reason = (engine.stderr.strip().splitlines() or ["no answer"])[-1]
        raise Obstacle(f"the Docker engine does not answer: start it, then try again ({reason})")
    if _ask("compose", "version").returncode:
        raise Obstacle("docker compose is missing: https://docs.docker.com/compose/install/")


def check_builder() -> None:
    """Raises `Obstacle` where nothing builds images."""
    if _ask("buildx", "version").returncode:
        raise Obstacle("docker buildx is missing: https://github.com/docker/buildx#installing")


class Network(NamedTuple):
    """One of this engine, and the compose project that made it; empty where none did."""

    name: str
    project: str
    subnets: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

    def has_some_of(self, addresses: ipaddress.IPv4Network) -> bool:
        return any(addresses.overlaps(each) for each in self.subnets)


def networks() -> list[Network]:
    """All that this engine has."""
    ids = _ask("network", "ls", "--quiet").stdout.split()
    found = []
    for line in _ask("network", "inspect", f"--format={_NETWORK}", *ids).stdout.splitlines():
        name, project, subnets = line.split(";")
        every = tuple(ipaddress.ip_network(each, strict=False) for each in subnets.split())
        found.append(Network(name, project, every))
    return found


def check_network(network: str, project: str, env: Path) -> None:
    """Raises `Obstacle` where a network of somebody else has some of these addresses."""
    wanted = subnet(network)
    for other in networks():
        if other.project != project and other.has_some_of(wanted):
            kit = other.project.removeprefix("guarita-")
            end = f"`make down KIT={kit}`" if kit in KITS else "end what has that one"
            raise Obstacle(
                f"{wanted} overlaps with the network {other.name} of this engine: {end}, or set "
                f"NETWORK in {env} to another one"
            )


def publishes(project: str, port: int) -> bool:
    """Whether a container of this project is who listens there."""
    of = f"--filter=label=com.docker.compose.project={project}"
    return bool(_ask("ps", "--quiet", of, f"--filter=publish={port}").stdout.strip())


def check_port(port: int, name: str, env: Path) -> None:
    """Raises `Obstacle` where something listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE:  # such as a low port, which the engine may publish
                return
            raise Obstacle(
                f"127.0.0.1:{port} cannot be listened at ({exc.strerror}): set {name} in {env} to "
                "another port, or stop what listens there"
            ) from exc


def check_env(kit: str, path: Path) -> None:
    """Raises `Obstacle` where the passwords are gone of a kit that is there: only some of its
    containers would get new ones."""
    project = _project(kit, {})
    of = f"--filter=label=com.docker.compose.project={project}"
    if _ask("ps", "--all", "--quiet", of).stdout.strip():
        raise Obstacle(
            f"the kit is there, and {path} with its passwords is not: bring that back, or "
            f"`make down KIT={kit}` first, which keeps its data"
        )


def check_running(kit: str, overlays: tuple[str, ...], project: str, changed: str | None) -> None:
    """Raises `Obstacle` where what runs is another kit, or the kit runs with TLS and is to be
    without, or the reverse, or with other secrets: what is replaced would not reach the rest."""
    of = f"--filter=label=com.docker.compose.project={project}"
    files = _ask("ps", of, f"--format={_FILES}").stdout
    if not files.strip():
        return
    if f"compose.{kit}.yaml" not in files:
        raise Obstacle(
            f"another kit runs as {project}: end it first, or unset COMPOSE_PROJECT_NAME, with "
            "which all kits are one project"
        )
    end = f"`make down KIT={kit}` first, which keeps its data"
    if ("compose.tls.yaml" in files) != ("tls" in overlays):
        how = "without" if "tls" in overlays else "with"
        raise Obstacle(f"the kit runs {how} TLS: {end}")
    if changed:
        raise Obstacle(f"the kit runs with another {changed} than .env has: {end}")


def compose(kit: str, overlays: tuple[str, ...] = ()) -> list[str]:
    """Without --env-file a .env of the directory that somebody calls in would come first."""
    files = [f"--file={HERE / f'compose.{name}.yaml'}" for name in (kit, *overlays)]
    return ["docker", "compose", f"--env-file={HERE / '.env'}", *files]


def check_overlays(kit: str, wanted: list[str]) -> tuple[str, ...]:
    """In the order in which they are laid over. Raises `Obstacle` where one does not fit."""
    fitting = OVERLAYS.get(kit, ())
    for name in wanted:
        if name not in fitting:
            kits = " and ".join(each for each, names in OVERLAYS.items() if name in names)
            hint = f"it goes with KIT={kits}" if kits else f"there are {', '.join(ALL_OVERLAYS)}"
            raise Obstacle(f"OVERLAYS={name} does not go with KIT={kit}: {hint}")
    return tuple(name for name in fitting if name in wanted)


def build_image(given: Mapping[str, str], names: Iterable[str] = IMAGES) -> None:
    """These images, with what is `given` of BASE, SERVER and TAG; PIP_CERT is for pip in it."""
    root = HERE.parent
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
        f"REVISION={_revision(root)}",
        "--build-arg",
        f"VERSION={version[1] if version else '0'}",
    ]
    for name in ("BASE", "SERVER"):
        if given.get(name):
            command += ["--build-arg", f"{name}={given[name]}"]
    if given.get("PIP_CERT"):
        command += ["--secret", f"id=ca,src={given['PIP_CERT']}"]
    tag = given.get("TAG") or "latest"
    for name in names:
        target = ["--target", IMAGES[name], "--tag", f"{name}:{tag}"]
        _run([*command, *target, str(root)], quiet=True)


def _revision(root: Path) -> str:
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:  # nobody needs Git for this
        told = ""
    return told.strip() or "unknown"


def make_certificates(directory: Path, image: str, certificates: tuple[str, ...]) -> None:
    """Those that are missing, made by the image itself, for the user who calls."""
    directory.mkdir(mode=0o700, exist_ok=True)
    names = [each.partition("=")[0] for each in certificates]
    files = [f"{name}.{kind}" for name in names for kind in ("crt", "key")]
    if not all((directory / each).exists() for each in files):
        me = f"{os.getuid()}:{os.getgid()}"
        mount = f"type=bind,source={directory},target=/certs"
        run = ["docker", "run", "--rm", "--network=none", "--read-only", f"--user={me}"]
        _run(
            [*run, f"--mount={mount}", image, "certs", "init", "/certs", *certificates], quiet=True
        )
    for name in names:
        (directory / f"{name}.key").chmod(0o444)  # as in write_secrets


def _ask(*words: str) -> subprocess.CompletedProcess[str]:
    """A docker command that changes nothing. Raises `Obstacle` where none is answered."""
    try:
        return subprocess.run(
            ["docker", *words], capture_output=True, text=True, timeout=30, check=False
        )
    except FileNotFoundError:
        raise Obstacle("docker is not installed: https://docs.docker.com/engine/install/") from None
    except subprocess.TimeoutExpired:
        raise Obstacle("Docker does not answer within 30 s: restart it, then try again") from None


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
    began_s = time.monotonic()
    check_engine()
    check_builder()
    path = HERE / ".env"
    if not path.exists():
        check_env(kit, path)
        if make_env(path):
            print(f"made {path} with random passwords")
    env = read_env(path)
    check_environment(path, env)
    port = int(env[PORTS[kit]])
    project = _project(kit, env)
    check_network(env["NETWORK"], project, path)
    check_running(kit, overlays, project, changed_secret(HERE / ".secrets", env))
    if not publishes(project, port):
        check_port(port, PORTS[kit], path)
    build_image({**env, **os.environ})
    write_secrets(HERE / ".secrets", env)
    for each in (HERE / "config").glob("*.conf"):
        if not each.stat().st_mode & 0o004:  # by the umask of the clone: the proxy is another user
            each.chmod(0o644)
    if kit == "sentinel":
        certificates = (PROXY_CERTIFICATE, *(NODE_CERTIFICATES if "tls" in overlays else ()))
        make_certificates(HERE / ".secrets/tls", f"guarita:{env['TAG']}", certificates)
    containers_s = time.monotonic()
    _run([*compose(kit, overlays), "up", "--detach", "--remove-orphans"])
    await_ready(kit, port)
    scheme = "https" if PORTS[kit] == "HTTPS_PORT" else "http"
    now_s = time.monotonic()
    print(
        f"ready after {now_s - containers_s:.0f} s, of {now_s - began_s:.0f} s in all: "
        f"{scheme}://localhost:{port}"
    )


def _project(kit: str, env: Mapping[str, str]) -> str:
    """What compose calls it."""
    name = "COMPOSE_PROJECT_NAME"
    return os.environ.get(name) or env.get(name) or f"guarita-{kit}"


def await_ready(kit: str, port: int) -> None:
    """Until the store takes a write. Raises `Obstacle` after `READY_S`.

    Whose the certificate is plays no part: it may be the user's own, and nothing secret is said.
    """
    end_s = time.monotonic() + READY_S
    heard = "no answer"
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    while time.monotonic() < end_s:
        asked = connection(kit, port, anybody)
        try:
            asked.request("GET", "/healthz/deep")
            answer = asked.getresponse()
            if answer.status == 200:
                return
            heard = f"{answer.status} {answer.read(300).decode(errors='replace')}"
        except (OSError, http.client.HTTPException) as exc:
            heard = str(exc)
        finally:
            asked.close()
        time.sleep(0.2)
    raise Obstacle(f"not ready after {READY_S:g} s: look at `make logs KIT={kit}` ({heard})")


def connection(
    kit: str, port: int, context: ssl.SSLContext | None = None
) -> http.client.HTTPConnection:
    """To the service of a kit, by its published port; without `context` it must be the kit's."""
    if PORTS[kit] != "HTTPS_PORT":
        return http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    if context is None:
        context = ssl.create_default_context(cafile=str(HERE / ".secrets/tls/ca.crt"))
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context)


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
        path = HERE / ".env"
        if wish.action == "image":
            check_builder()
            build_image({**(read_env(path) if path.exists() else {}), **os.environ})
            return 0
        if wish.action == "down" and not path.exists():  # compose would want its values
            project = f"--project-name={_project(wish.kit, {})}"
            _run(["docker", "compose", project, "down", *wish.more])
            return 0
        read_env(path)
        # With every overlay that there may be: what one of them has added is theirs too.
        _run([*compose(wish.kit, OVERLAYS.get(wish.kit, ())), wish.action, *wish.more])
    except Obstacle as exc:
        print(exc, file=sys.stderr)
        return 2
    except OSError as exc:
        what = f"{exc.filename or HERE}: {exc.strerror}"
        print(f"{what}: give yourself the right to read and write all of {HERE}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
