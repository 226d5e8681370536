"""The image as another user, without capabilities, on a read-only root: what the kits do not run.

Nodes, Sentinels, the service, nginx and doctor run so in test_overlays.py, `cluster form` in
test_cluster.py.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guarita.processes import wait_until

pytestmark = pytest.mark.container

LIMITS = (
    *("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--user=12345:12345"),
    *("--tmpfs=/tmp:mode=1777", "--network=none"),
)
UP_S = 60.0
LONG_S = 300.0
ABOVE_BASE = 180_000_000  # bytes


def docker(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", *command], capture_output=True, text=True, timeout=LONG_S, check=False
    )


def events(directory: Path) -> str:
    """What became of the nodes of a drill, and all that was logged where that was kept."""
    histories = directory.rglob("history.jsonl")
    lines = [line for each in histories for line in each.read_text().splitlines()]
    kept = [line for line in lines if '"type":"event"' in line]
    for log in sorted(directory.rglob("*.log")):
        told = log.read_text(errors="replace").splitlines()
        kept += [f"{log.parent.name}: {line}" for line in told]
    return "\n".join(kept)


def test_what_it_adds_to_its_base_is_small(
    guarita_image: str, figure: Callable[[str], None]
) -> None:
    label = '{{index .Config.Labels "org.opencontainers.image.base.name"}}'
    base = docker("image", "inspect", f"--format={label}", guarita_image).stdout.strip()
    told = docker("image", "inspect", "--format={{.Size}}", guarita_image, base)
    assert told.returncode == 0, told.stderr
    whole, below = map(int, told.stdout.split())
    assert whole - below <= ABOVE_BASE
    figure(f"the image: {(whole - below) / 1e6:.0f} MB above {base}, which has {below / 1e6:.0f}")


def test_its_server_is_valkey_8_1(guarita_image: str) -> None:
    told = docker("run", "--rm", *LIMITS, "--entrypoint=valkey-server", guarita_image, "--version")
    assert " v=8.1." in told.stdout, told


@pytest.fixture
def memory_service(guarita_image: str) -> Iterator[str]:
    settings = {
        "GUARITA_STORE__TOPOLOGY": "memory",
        "GUARITA_SERVER__WORKERS": "1",
        "GUARITA_SERVER__BIND": "127.0.0.1:8000",
    }
    variables = [f"--env={name}={value}" for name, value in settings.items()]
    container = docker("run", "--detach", *LIMITS, *variables, guarita_image).stdout.strip()
    yield container
    docker("rm", "--force", container)


def test_the_service_serves_and_ends_well(memory_service: str) -> None:
    def is_healthy() -> bool:
        return docker("exec", memory_service, "guarita", "health", "--deep").returncode == 0

    assert wait_until(is_healthy, timeout_s=UP_S), docker("logs", memory_service).stderr
    docker("stop", memory_service)
    assert docker("inspect", "--format={{.State.ExitCode}}", memory_service).stdout == "0\n"


def test_certificates_are_made(guarita_image: str) -> None:
    told = docker("run", "--rm", *LIMITS, guarita_image, "certs", "init", "/tmp/certs", "a")
    made = {f"/tmp/certs/{name}" for name in ("ca.key", "ca.crt", "a.key", "a.crt")}
    assert set(told.stdout.splitlines()) == made, told.stderr


@pytest.mark.timed
def test_a_drill_is_played(guarita_image: str, tmp_path: Path) -> None:
    """A whole installation in one container, its primary killed."""
    tmp_path.chmod(0o777)  # for the user of the container
    where = f"--volume={tmp_path}:/drills"
    options = ["--rate=50", "--duration=4", "--room=10", "--out=/drills"]
    told = docker("run", "--rm", *LIMITS, where, guarita_image, "drill", "run", "D2", *options)
    assert told.returncode == 0, told.stdout + told.stderr + events(tmp_path)
    assert "valid" in told.stdout


def test_what_is_wrong_is_told_in_one_sentence(guarita_image: str) -> None:
    told = docker("run", "--rm", *LIMITS, guarita_image, "node")
    assert told.returncode == 2
    assert "store.topology: standalone: guarita node needs sentinel here" in told.stderr
