"""Where there is no helm, nothing can be rendered."""

from __future__ import annotations

import pytest

from .rendering import why_no_helm


@pytest.fixture(autouse=True)
def _helm() -> None:
    if reason := why_no_helm():
        pytest.skip(reason)
