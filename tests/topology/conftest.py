"""Real servers: what a machine without one cannot run says so."""

from __future__ import annotations

import pytest

from guarita.errors import ServerMissing
from guarita.servers import Server, find_server


@pytest.fixture
def server() -> Server:
    try:
        return find_server()
    except ServerMissing as exc:
        pytest.skip(str(exc))
