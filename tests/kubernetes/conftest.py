"""An API server that answers pods."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .api_server import ApiServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    with ApiServer(tmp_path).running() as server:
        yield server
