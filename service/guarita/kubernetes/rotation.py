"""New passwords for servers that run, without a moment in which somebody's is wrong.

1. Beside each password the Secret gets the next one. Agents see that in the files that they mount,
   and have their servers take both.
2. When every server takes it, and not before, it becomes the password, and the old one the previous
   one, which is still taken: files in other pods follow within a minute or two.
3. The previous one is taken away by the first call that comes long enough after that.

Ended anywhere and called again, it goes on where it was.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from guarita.errors import TopologyError
from guarita.kubernetes.api import Api
from guarita.kubernetes.secret import SECRETS, TRIES, decoded, encoded, must

ROTATION = "guarita/rotation"
ROTATED_AT = "guarita/rotated-at"
KEPT_S = 600  # far longer than a file in a pod takes to follow its Secret

Data = dict[str, str]
Change = Callable[[Data, dict[str, str]], bool]
"""Changes data and annotations in place; whether anything was changed."""


def rotate(
    api: Api,
    name: str,
    keys: Sequence[str],
    rotation: str,
    wait_taken: Callable[[Mapping[str, str]], None],
    now_s: float,
) -> bool:
    """Change the passwords `keys` unless it was done for this `rotation`; whether it was done now.

    `wait_taken` returns when every server takes these, and raises `TopologyError` otherwise: then
    the old ones go on.
    """
    data, annotations = _change(api, name, lambda d, a: _add_next(d, a, keys, rotation))
    if annotations.get(ROTATION) == rotation:
        return False
    taken = {key: data[f"{key}-next"] for key in keys}
    wait_taken(taken)
    _change(api, name, lambda d, a: _take_over(d, a, taken, rotation, now_s))
    return True


def retire(api: Api, name: str, keys: Sequence[str], now_s: float) -> bool:
    """Take previous passwords away that nobody can be using any more; whether there were any."""
    done = False

    def change(data: Data, annotations: dict[str, str]) -> bool:
        nonlocal done
        if now_s - float(annotations.get(ROTATED_AT, now_s)) < KEPT_S:
            return False
        gone = [data.pop(f"{key}-previous", None) for key in keys]
        done = any(gone)
        return done

    _change(api, name, change)
    return done


def _add_next(data: Data, annotations: dict[str, str], keys: Sequence[str], rotation: str) -> bool:
    if annotations.get(ROTATION) == rotation:
        return False
    missing = [key for key in keys if f"{key}-next" not in data]
    data.update({f"{key}-next": secrets.token_urlsafe(32) for key in missing})
    return bool(missing)


def _take_over(
    data: Data, annotations: dict[str, str], taken: Mapping[str, str], rotation: str, now_s: float
) -> bool:
    """Only those that every server was seen to take."""
    if annotations.get(ROTATION) == rotation:
        return False
    if any(data.get(f"{key}-next") != password for key, password in taken.items()):
        raise TopologyError("the passwords were changed by somebody else meanwhile: upgrade again")
    for key in taken:
        data[f"{key}-previous"] = data[key]
        data[key] = data.pop(f"{key}-next")
    annotations.update({ROTATION: rotation, ROTATED_AT: str(int(now_s))})
    return True


def _change(api: Api, name: str, change: Change) -> tuple[Data, dict[str, str]]:
    """The Secret as it is after it. Raises `TopologyError`."""
    for _ in range(TRIES):
        found = api.get(SECRETS, name)
        must(found, f"Secret {name} cannot be read")
        body: Any = found.body
        data = decoded(body.get("data") or {})
        annotations = dict(body["metadata"].get("annotations") or {})
        if not change(data, annotations):
            return data, annotations
        body["data"] = encoded(data)
        body["metadata"]["annotations"] = annotations
        done = api.replace(SECRETS, name, body)
        if done.status != HTTPStatus.CONFLICT:  # else somebody was faster: look again
            must(done, f"Secret {name} cannot be written")
            return data, annotations
    raise TopologyError(f"Secret {name} is being changed by somebody else all the time")


def wait_until_taken(who_refuses: Callable[[], list[str]], timeout_s: float) -> None:
    """Raises `TopologyError` with who still refuses after `timeout_s`."""
    end_s = time.monotonic() + timeout_s
    while refusing := who_refuses():
        if time.monotonic() >= end_s:
            raise TopologyError(
                f"after {timeout_s:g} s the next passwords are not taken by {', '.join(refusing)}: "
                "the old ones go on; put that right and upgrade again"
            )
        time.sleep(1)
