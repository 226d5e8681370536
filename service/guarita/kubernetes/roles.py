"""The label of the pods of data nodes that says who is primary: what a Service selects by.

At most one pod bears `primary`: it is taken off the others first.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from guarita.errors import TopologyError
from guarita.kubernetes.api import JSON_PATCH, Api

LABEL = "guarita/role"
PRIMARY = "primary"
REPLICA = "replica"
_PATH = "/metadata/labels/" + LABEL.replace("/", "~1")


def label(api: Api, pod: str, role: str, others: Iterable[str]) -> None:
    """Give a pod its role. Raises `TopologyError` where that is not certain to be done."""
    if role == PRIMARY:
        for other in others:
            _take_off(api, other)
    answer = api.patch("pods", pod, {"metadata": {"labels": {LABEL: role}}})
    if answer.status != HTTPStatus.OK:
        raise TopologyError(f"pod {pod} cannot be labelled: {answer.status} {answer.message}")


def _take_off(api: Api, pod: str) -> None:
    """A pod that is gone, or has another role, is left as it is."""
    only_if = {"op": "test", "path": _PATH, "value": PRIMARY}
    change = {"op": "replace", "path": _PATH, "value": REPLICA}
    answer = api.patch("pods", pod, [only_if, change], JSON_PATCH)
    # A test that fails is 422; by some versions 400.
    expected = (
        HTTPStatus.OK,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.BAD_REQUEST,
    )
    if answer.status not in expected:
        raise TopologyError(f"pod {pod} cannot be labelled: {answer.status} {answer.message}")
