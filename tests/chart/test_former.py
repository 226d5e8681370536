"""Every former set of values still renders, onto what cannot be changed of what it has installed.

tests/chart/former/VERSION/ has ci/*-values.yaml as that version of the chart had them, and
fixed.json, what it rendered of fields that Kubernetes refuses to change.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from .rendering import Object, Rendered, render

pytestmark = pytest.mark.chart

FORMER = sorted((Path(__file__).parent / "former").glob("*/*-values.yaml"))
# https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/: all else is refused.
CHANGES_IN_SETS = {
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
}


def fixed(rendered: Rendered) -> dict[str, Any]:
    """By kind and name, what an upgrade must leave as it is."""
    found = {
        f"{each['kind']}/{each['metadata']['name']}": _fixed(each) for each in rendered.objects
    }
    return {name: fields for name, fields in found.items() if fields}


def _fixed(each: Object) -> Any:
    match each["kind"]:
        case "StatefulSet":
            kept = each["spec"].items()
            return {key: value for key, value in kept if key not in CHANGES_IN_SETS}
        case "Deployment":
            return each["spec"]["selector"]
        case "Service":
            return {"clusterIP": each["spec"].get("clusterIP")}
        case "RoleBinding":
            return each["roleRef"]
    return None


@pytest.mark.parametrize("path", FORMER, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_was_installed_by_a_former_chart_can_be_upgraded(path: Path) -> None:
    before = json.loads((path.parent / "fixed.json").read_text())[path.name]
    after = fixed(render(yaml.safe_load(path.read_text())))
    assert {name: after.get(name) for name in before} == before
