from __future__ import annotations

import pytest

from api.service import TENANTS, Service, open_service


@pytest.fixture
def service() -> Service:
    """An open installation, as on a developer's machine."""
    return open_service(demo={"enabled": True})


@pytest.fixture
def tenants() -> Service:
    """An installation with the tenants acme and zeta."""
    return open_service(security={"tenants": TENANTS}, demo={"enabled": True})
