"""Every ci/*-values.yaml is what the API server takes, unknown fields included."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml

from .running import BASES, CHART, Release, helm

pytestmark = pytest.mark.kubernetes

# Of operators that are not installed on every cluster.
_OPTIONAL = ("HTTPRoute", "ServiceMonitor", "Certificate")


@pytest.fixture(scope="module")
def release(new_release: Callable[[str], Release]) -> Release:
    return new_release("everything")


@pytest.mark.parametrize("base", BASES)
def test_the_api_server_takes_every_object_and_warns_of_none(release: Release, base: str) -> None:
    namespace = release.namespace
    rendered = helm(
        *("template", "auth", str(CHART), "--namespace", namespace.name),
        *("--values", str(CHART / f"ci/{base}-values.yaml"), "--kube-version", "1.34.0"),
    )
    objects = [
        each for each in yaml.safe_load_all(rendered) if each and each["kind"] not in _OPTIONAL
    ]
    applied = namespace.call(
        *("apply", "--dry-run=server", "--validate=strict", "--filename", "-"),
        stdin=yaml.safe_dump_all(objects),
    )
    assert applied.returncode == 0, applied.stderr
    assert "Warning" not in applied.stderr
