"""The Docker engine of this machine: what it can do, what is ours on it, and its end."""

from __future__ import annotations

import os
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from guarita import processes
from guarita.errors import TopologyError
from guarita.processes import Condition, Identity

OWNER = "guarita.testing.owner"
PROJECT = "com.docker.compose.project"
_ASK_S = 30.0
_DO_S = 120.0
_GONE_WITHIN_S = 30.0


class Unavailable(TopologyError):
    """No engine, no compose or no image: nothing can be started here; the text says what to do."""


def docker(*words: str, timeout_s: float = _DO_S) -> str:
    """What a docker command prints. Raises `TopologyError` where it fails."""
    try:
        ended = subprocess.run(  # noqa: S603
            ["docker", *words],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError:
        raise Unavailable(
            "docker is not installed: https://docs.docker.com/engine/install/"
        ) from None
    except subprocess.TimeoutExpired:
        raise TopologyError(f"docker {words[0]} took longer than {timeout_s:g} s") from None
    if ended.returncode:
        said = ended.stderr.strip() or ended.stdout.strip()  # `exec` says on either why it cannot
        reason = (said.splitlines() or ["no reason given"])[-1]
        raise TopologyError(f"docker {' '.join(words[:2])} failed: {reason}")
    return ended.stdout.strip("\n")


def check(*images: str) -> None:
    """Raises `Unavailable` with one sentence where there is no engine, compose or image."""
    _ask(
        "the Docker engine does not answer: start it, then try again",
        "version",
        "--format",
        "{{.Server.Version}}",
    )
    _ask(
        "docker compose is missing: https://docs.docker.com/compose/install/", "compose", "version"
    )
    for image in images:
        check_image(image)


def version() -> str:
    """Of the engine."""
    return docker("version", "--format", "{{.Server.Version}}", timeout_s=_ASK_S)


def is_here() -> bool:
    """Whether it is this very machine's, so that files and processes are the same."""
    return os.environ.get("DOCKER_HOST", "unix://").startswith("unix://")


def check_image(image: str) -> None:
    """Raises `Unavailable` where it is not here and cannot be pulled."""
    try:
        docker("image", "inspect", "--format", "{{.Id}}", image, timeout_s=_ASK_S)
    except Unavailable:
        raise
    except TopologyError:
        _ask(
            f"the image {image} is not on this machine and cannot be pulled: make it "
            "(`make image` makes guarita:latest) or name another one",
            "pull",
            "--quiet",
            image,
        )


def _ask(obstacle: str, *words: str) -> None:
    try:
        docker(*words, timeout_s=_DO_S if words[0] == "pull" else _ASK_S)
    except Unavailable:
        raise
    except TopologyError as exc:
        raise Unavailable(f"{obstacle} ({exc})") from exc


def free_network() -> str:
    """The first three numbers of a network that nobody has: the engine itself finds it."""
    name = f"guarita-look-{os.getpid()}-{time.monotonic_ns()}"
    labels = (f"--label={PROJECT}={name}", f"--label={OWNER}={owner()}")  # for `sweep`
    docker("network", "create", *labels, name)
    try:
        subnet = docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", name)
    finally:
        docker("network", "rm", name)
    return subnet.rpartition(".")[0]


# What is ours, and its end


class _Find(Protocol):
    def __call__(self, project: str) -> list[str]: ...


def containers(project: str) -> list[str]:
    return docker("ps", "--all", "--quiet", "--filter", f"label={PROJECT}={project}").split()


def networks(project: str) -> list[str]:
    return docker("network", "ls", "--quiet", "--filter", f"label={PROJECT}={project}").split()


def volumes(project: str) -> list[str]:
    return docker("volume", "ls", "--quiet", "--filter", f"label={PROJECT}={project}").split()


def remove(project: str) -> None:
    """Its containers with their data, then its networks. Repeatable; raises `TopologyError`."""
    _remove(project, containers, lambda ids: docker("rm", "--force", "--volumes", *ids))
    _remove(project, networks, lambda ids: docker("network", "rm", *ids))
    _remove(project, volumes, lambda ids: docker("volume", "rm", *ids))


def _remove(project: str, find: _Find, end: Callable[[list[str]], object]) -> None:
    """Until there is none: a start that was broken off may still make some."""
    give_up_s = time.monotonic() + _GONE_WITHIN_S
    while found := find(project):
        try:
            end(found)
        except TopologyError:
            if time.monotonic() > give_up_s:
                raise
            time.sleep(0.2)


def sweep() -> None:
    """Remove what tests of this machine left behind when they were killed."""
    form = f'{{{{.Label "{PROJECT}"}}}} {{{{.Label "{OWNER}"}}}}'
    found: set[str] = set()
    for find in (("ps", "--all"), ("network", "ls"), ("volume", "ls")):
        found.update(docker(*find, f"--filter=label={OWNER}", "--format", form).splitlines())
    for project, _, owner in (line.partition(" ") for line in found):
        if _is_dead(owner):
            remove(project)


def owner() -> str:
    """This process, for the label of what it starts."""
    me = processes.identify(os.getpid())
    return f"{os.uname().nodename} {me.pid} {me.started}"


def _is_dead(owner: str) -> bool:
    """Whether it was a process of this machine, and is gone."""
    machine, _, rest = owner.partition(" ")
    pid, _, started = rest.partition(" ")
    if machine != os.uname().nodename or not pid.isdigit():
        return False
    return processes.condition(Identity(int(pid), started)) is Condition.DEAD


# Containers


@dataclass(frozen=True, slots=True)
class Seen:
    """A container: how it is, and on which networks."""

    condition: Condition
    networks: frozenset[str]


_ABSENT = Seen(Condition.DEAD, frozenset())
_KNOWN = {"running": Condition.RUNNING, "paused": Condition.PAUSED}


def look(project: str) -> dict[str, Seen]:
    """Every container of a project, by its name; who is not there is dead."""
    rows = docker(
        "ps",
        "--all",
        "--filter",
        f"label={PROJECT}={project}",
        "--format",
        "{{.Names}}\t{{.State}}\t{{.Networks}}",
        timeout_s=_ASK_S,
    )
    found: defaultdict[str, Seen] = defaultdict(lambda: _ABSENT)
    for name, state, networks in (row.split("\t") for row in rows.splitlines()):
        condition = _KNOWN.get(state, Condition.DEAD)
        found[name] = Seen(condition, frozenset(filter(None, networks.split(","))))
    return found


def run_inside(container: str, code: str, *arguments: str) -> str:
    """Run Python in a running container. Raises `TopologyError`."""
    return docker("exec", container, "python3", "-c", code, *arguments)


def run_in_network(container: str, image: str, code: str, *arguments: str) -> str:
    """Run Python in the network of a running container, with the right to change that. Raises
    `TopologyError`."""
    # `exec` gives this right only with all others, and an engine may lack one of those.
    rights = ("--user=0", "--cap-drop=ALL", "--cap-add=NET_ADMIN", "--pull=never")
    of = f"--network=container:{container}"
    python = ("--entrypoint=python3", image, "-c", code)
    return docker("run", "--rm", of, *rights, *python, *arguments)
