"""The Secret of an installation: what it lacks is made, what it has is never replaced.

So it can be asked for again and again: by each `helm upgrade`, by two at once, and after a call
whose answer was lost.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping
from http import HTTPStatus

from guarita.errors import TopologyError
from guarita.kubernetes.api import Answer, Api

SECRETS = "secrets"
TRIES = 5

Make = Callable[[Mapping[str, str]], Mapping[str, str]]
"""From the data that is there to what is to be added to it."""


def ensure(
    api: Api,
    name: str,
    make: Make,
    labels: Mapping[str, str],
    annotations: Mapping[str, str] | None = None,
) -> list[str]:
    """Add what `make` says is missing; the names of what was added.

    `labels` and `annotations` are of a Secret that is made. Raises `TopologyError` where the API
    server refuses or is silent.
    """
    for _ in range(TRIES):
        found = api.get(SECRETS, name)
        if found.status == HTTPStatus.NOT_FOUND:
            added = make({})
            metadata = {
                "name": name,
                "labels": dict(labels),
                "annotations": dict(annotations or {}),
            }
            body = {"metadata": metadata, "type": "Opaque", "data": encoded(added)}
            done = api.create(SECRETS, body)
        else:
            must(found, f"Secret {name} cannot be read")
            added = make(decoded(found.body.get("data") or {}))
            if not added:
                return []
            body = found.body
            body["data"] = (body.get("data") or {}) | encoded(added)
            done = api.replace(SECRETS, name, body)
        if done.status != HTTPStatus.CONFLICT:  # else somebody was faster: look again
            must(done, f"Secret {name} cannot be written")
            return sorted(added)
    raise TopologyError(f"Secret {name} is being changed by somebody else all the time")


def random_values(names: tuple[str, ...]) -> Make:
    """A random value for each of these names that is missing: 43 letters, digits, - and _."""

    def make(data: Mapping[str, str]) -> Mapping[str, str]:
        return {name: secrets.token_urlsafe(32) for name in names if not data.get(name)}

    return make


def must(answer: Answer, what: str) -> None:
    """Raises `TopologyError` where the API server did not do it."""
    if answer.status >= HTTPStatus.BAD_REQUEST:
        raise TopologyError(f"{what}: {answer.status} {answer.message}")


def encoded(data: Mapping[str, str]) -> dict[str, str]:
    """As a Secret holds it."""
    return {name: base64.b64encode(text.encode()).decode() for name, text in data.items()}


def decoded(data: Mapping[str, str]) -> dict[str, str]:
    """As text."""
    return {name: base64.b64decode(text).decode() for name, text in data.items()}
