"""The service over HTTP on a real Sentinel installation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from guarita.errors import ServerMissing
from guarita.processes import wait_until
from guarita.topology.local import LocalSentinel
from guarita.topology.local.application import Application
from guarita.topology.local.ports import free_ports


@pytest.fixture
def application(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Application]:
    """Under gunicorn, or the server that `pytest.mark.parametrize` sends here."""
    sentinel = LocalSentinel(tmp_path)
    port, demo_port = free_ports(2)
    server = getattr(request, "param", "gunicorn")
    application = Application(tmp_path, "sentinel", sentinel, port, demo_port, server)
    try:
        sentinel.up()
        application.launch()
        assert wait_until(lambda: application.obstacle() is None, timeout_s=30)
        yield application
    except ServerMissing as exc:
        pytest.skip(str(exc))
    finally:
        application.stop()
        sentinel.kill_all()
