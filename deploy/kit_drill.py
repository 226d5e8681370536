"""`make drill-kit`: drills on the kit of Sentinels that runs, through its proxy (`drills.yaml`).

`play` runs them all. Each of the others is what a drill has done to a container; `heal` undoes them
and returns when all is well. Knows no package but Python's own, as `kit.py`.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

from kit_env import Obstacle, read_env

from kit import HERE, check_engine, compose, connection

KIT = "sentinel"
NODES = {f"valkey-{n}": f"1{n}" for n in (1, 2, 3)}  # and how their addresses end
SERVICES = ("service-1", "service-2")
ASKED = 12  # times, so that every worker is
WELL_S = 90.0


def play(options: list[str]) -> int:
    """Returns the status of `guarita drill run`."""
    check_engine()
    env = read_env(HERE / ".env")
    name = f"localhost:{env['HTTPS_PORT']}"
    guarita = HERE.parent / ".venv/bin/guarita"
    of = [f"--file={HERE / 'drills.yaml'}", f"--url=https://{name}", f"--yes-break-it={name}"]
    return subprocess.run(
        [str(guarita), "drill", "run", *of, "--api-key-file=/dev/stdin", *options],
        cwd=HERE.parent,  # where the commands of the drills are
        env={**os.environ, "SSL_CERT_FILE": str(HERE / ".secrets/tls/ca.crt")},
        input=env["API_KEY"],
        text=True,
        check=False,
    ).returncode


# What is done to a container


def kill() -> None:
    docker("kill", container(primary()))


def pause() -> None:
    docker("pause", container(primary()))


def stop() -> None:
    docker("stop", "-t=30", container(primary()))


def disconnect() -> None:
    of = container(primary())
    [network] = look(of)["NetworkSettings"]["Networks"]
    docker("network", "disconnect", network, of)


def restart_services() -> None:
    for name in SERVICES:
        docker("restart", "-t=20", container(name))
        await_true(partial(is_healthy, name), f"{name} is not healthy")


def heal() -> None:
    env = read_env(HERE / ".env")
    [network] = look(container("sentinel-1"))["NetworkSettings"]["Networks"]
    for name, end in NODES.items():
        of = container(name)
        found = look(of)
        if found["State"]["Paused"]:
            docker("unpause", of)
        if network not in found["NetworkSettings"]["Networks"]:
            docker("network", "connect", f"--ip={env['NETWORK']}.{end}", network, of)
        if not found["State"]["Running"]:
            docker("start", of)
    await_true(is_well, "the kit does without a replica")


FAULTS: dict[str, Callable[[], None]] = {
    "kill": kill,
    "pause": pause,
    "stop": stop,
    "disconnect": disconnect,
    "restart-services": restart_services,
    "heal": heal,
}


# How the kit is


def primary() -> str:
    """Its name. Raises `Obstacle` where the service knows of none."""
    told = health()
    name = str(told["writes"][0]["primary"]).partition(":")[0] if told else ""
    if name not in NODES:
        raise Obstacle("the service names no primary: look at `make ps` and `make logs`")
    return name


def is_well() -> bool:
    """Whether all workers of the service write, and none does so without a replica."""
    for _ in range(ASKED):
        told = health()
        if not told or not all(map(_counts_on_all, told["writes"])):
            return False
    return True


def _counts_on_all(writes: dict[str, Any]) -> bool:
    return len(writes["required"]) == len(NODES) - 1 and not writes["left_out"]


def is_healthy(name: str) -> bool:
    return run("exec", container(name), "guarita", "health").returncode == 0


def health() -> dict[str, Any] | None:
    """What `/healthz/deep` tells a host; None where the store takes no write."""
    env = read_env(HERE / ".env")
    headers = {"Authorization": f"Bearer {env['API_KEY']}"}
    try:
        with closing(connection(KIT, int(env["HTTPS_PORT"]))) as service:
            service.request("GET", "/healthz/deep", headers=headers)
            answer = service.getresponse()
            told: dict[str, Any] = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    return told if answer.status == http.client.OK else None


def await_true(is_so: Callable[[], bool], words: str) -> None:
    """Raises `Obstacle` where it is not within `WELL_S`."""
    end_s = time.monotonic() + WELL_S
    while not is_so():
        if time.monotonic() > end_s:
            raise Obstacle(f"{words} after {WELL_S:g} s: look at `make ps` and `make logs`")
        time.sleep(0.2)


def container(name: str) -> str:
    """Its id. Raises `Obstacle` where there is none."""
    asked = [*compose(KIT), "ps", "--all", "--quiet", name]
    told = subprocess.run(asked, capture_output=True, text=True, check=False)
    if told.returncode or not told.stdout.strip():
        reason = f" ({told.stderr.strip()})" if told.stderr.strip() else ""
        raise Obstacle(f"there is no container {name}: `make up` first{reason}")
    return told.stdout.strip()


def look(of: str) -> dict[str, Any]:
    [found] = json.loads(docker("inspect", of))
    return dict(found)


def docker(*words: str) -> str:
    """Raises `Obstacle` where it fails."""
    ended = run(*words)
    if ended.returncode:
        raise Obstacle(f"docker {words[0]} ended with {ended.returncode}: {ended.stderr.strip()}")
    return ended.stdout


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=False)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="kit_drill.py", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("action", choices=("play", *FAULTS))
    parser.add_argument("more", nargs="*", help="for guarita drill run, behind --")
    wish = parser.parse_args(arguments)
    try:
        if wish.action == "play":
            return play(wish.more)
        FAULTS[wish.action]()
    except Obstacle as exc:
        print(exc, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
