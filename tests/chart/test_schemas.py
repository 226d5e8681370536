"""Every object is what the API of Kubernetes takes, by its own schemas: unknown fields are refused.

The schemas come with the package `kubernetes-validate`; none are fetched. Kinds of operators
(HTTPRoute, ServiceMonitor, Certificate) have none there.
"""

from __future__ import annotations

import copy

import kubernetes_validate
import pytest

from .rendering import Object, render
from .test_objects import each_base

pytestmark = pytest.mark.chart

OF_OPERATORS = {"HTTPRoute", "ServiceMonitor", "Certificate"}
VERSIONS = ("1.30", "1.34")  # the oldest that the chart takes, and the one that it is tried on


def complaint(each: Object, version: str) -> str | None:
    try:
        kubernetes_validate.validate(each, version, strict=True)
    except kubernetes_validate.ValidationError as exc:
        return f"{each['kind']}/{each['metadata']['name']}: {exc.message}"
    return None


@each_base
def test_every_object_is_what_kubernetes_takes(base: str) -> None:
    rendered = render(base=base)
    known = [each for each in rendered.objects if each["kind"] not in OF_OPERATORS]
    found = [complaint(each, version) for each in known for version in VERSIONS]
    assert [each for each in found if each] == []


def test_a_drill_is_what_kubernetes_takes() -> None:
    objects = render({"drill": {"enabled": True}}).objects
    found = [complaint(each, "1.34") for each in objects if "drill" in each["metadata"]["name"]]
    assert len(found) == 6
    assert not any(found)


def test_a_field_that_kubernetes_does_not_know_is_found() -> None:
    wrong = copy.deepcopy(render().one("StatefulSet", "auth-guarita-node"))
    wrong["spec"]["minReadySecond"] = 5
    assert "minReadySecond" in str(complaint(wrong, "1.34"))
    wrong = copy.deepcopy(render().one("Deployment", "auth-guarita"))
    wrong["spec"]["replicas"] = "two"
    assert "'two' is not of type" in str(complaint(wrong, "1.34"))
