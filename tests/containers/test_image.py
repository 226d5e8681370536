"""The image as another user, without capabilities, on a read-only root: what the kits do not run.

Nodes, Sentinels, the service, nginx and doctor run so in test_tls.py, `cluster form` in
test_cluster.py.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from guarita.processes import wait_until

import kit as kits

pytestmark = pytest.mark.container

LIMITS = (
    *("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--user=12345:12345"),
    *("--tmpfs=/tmp:mode=1777", "--network=none"),
)
UP_S = 60.0


@pytest.fixture(scope="module")
def image(engine: None) -> str:
    """Made of this source, where the kits' tests have not done so a moment ago."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAG", "test")
        kits.build_image()
    return "guarita:test"


def docker(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *command], capture_output=True, text=True, check=False)


@pytest.fixture
def memory_service(image: str) -> Iterator[str]:
    settings = {
        "GUARITA_STORE__TOPOLOGY": "memory",
        "GUARITA_SERVER__WORKERS": "1",
        "GUARITA_SERVER__BIND": "127.0.0.1:8000",
    }
    variables = [f"--env={name}={value}" for name, value in settings.items()]
    container = docker("run", "--detach", *LIMITS, *variables, image).stdout.strip()
    yield container
    docker("rm", "--force", container)


def test_the_service_serves_and_ends_well(memory_service: str) -> None:
    def is_healthy() -> bool:
        return docker("exec", memory_service, "guarita", "health", "--deep").returncode == 0

    assert wait_until(is_healthy, timeout_s=UP_S), docker("logs", memory_service).stderr
    docker("stop", memory_service)
    assert docker("inspect", "--format={{.State.ExitCode}}", memory_service).stdout == "0\n"


def test_certificates_are_made(image: str) -> None:
    told = docker("run", "--rm", *LIMITS, image, "certs", "init", "/tmp/certs", "a")
    made = {f"/tmp/certs/{name}" for name in ("ca.key", "ca.crt", "a.key", "a.crt")}
    assert set(told.stdout.splitlines()) == made, told.stderr


def test_a_drill_is_played(image: str) -> None:
    """A whole installation in one container, its primary killed."""
    options = ["--rate=50", "--duration=4", "--out=/tmp/drills"]
    told = docker("run", "--rm", *LIMITS, image, "drill", "run", "D2", *options)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "valid" in told.stdout


def test_what_is_wrong_is_told_in_one_sentence(image: str) -> None:
    told = docker("run", "--rm", *LIMITS, image, "node")
    assert told.returncode == 2
    assert "store.topology: standalone: guarita node needs sentinel here" in told.stderr
