"""The real service and the demo host, each as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from guarita.topology.local.ports import free_ports

START_TIMEOUT_S = 60


def get_json(port: int, path: str) -> Any:
    """The JSON that a local server answers. Raises OSError or HTTPException when it does not."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


@contextmanager
def running_service(directory: Path, store: dict[str, Any]) -> Iterator[int]:
    """`guarita serve` on the given store; yields its port."""
    [port] = free_ports(1)
    config = directory / "guarita.yaml"
    settings = {
        "server": {"bind": f"127.0.0.1:{port}", "workers": 1},
        "store": store,
        "demo": {"enabled": True},
    }
    config.write_text(json.dumps(settings))  # JSON is YAML too
    command = [str(Path(sys.executable).with_name("guarita")), "serve", "--config", str(config)]
    with running(command, port, directory / "service.log"):
        yield port


@contextmanager
def running_host(directory: Path, service_url: str) -> Iterator[str]:
    """The demo host for the service at this address; yields its own origin."""
    [port] = free_ports(1)
    command = [sys.executable, "-m", "guarita.web.demo"]
    command += ["--bind", f"127.0.0.1:{port}", "--service-url", service_url]
    with running(command, port, directory / "host.log"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[None]:
    """A server process that answers on its port; stopped at the end."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("GUARITA_", "REDIS_"))}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=clean, cwd=log.parent
        )
    try:
        _wait_until_answering(process, port, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_answering(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    give_up = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < give_up and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/livez")
            connection.getresponse().read()
        except (OSError, HTTPException):
            time.sleep(0.05)
        else:
            return
        finally:
            connection.close()
    raise AssertionError(f"no answer on port {port}:\n{log.read_text(errors='replace')}")
