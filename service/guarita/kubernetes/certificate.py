"""The certificate of data nodes and Sentinels, in a Secret, by an authority that is in another one.

The authority is made once. The certificate is made anew when it is for other hosts, when that is
asked for, and by the first call after half of its time.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from guarita.kubernetes.api import Api
from guarita.kubernetes.secret import SECRETS, Make, decoded, encoded, ensure, must

HOSTS = "guarita/hosts"
RENEWAL = "guarita/renewal"
MADE_AT = "guarita/made-at"
HALF_TIME_S = 180 * 86_400


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be there."""

    name: str
    authority: str
    hosts: tuple[str, ...]
    renewal: str
    labels: dict[str, str]


def ensure_certificate(api: Api, wanted: Wanted, now_s: float) -> bool:
    """Whether a certificate was made. Raises `TopologyError` where the API server refuses."""
    ensure(api, wanted.authority, _new_authority(), wanted.labels)
    found = api.get(SECRETS, wanted.name)
    annotations = {
        HOSTS: ",".join(wanted.hosts),
        RENEWAL: wanted.renewal,
        MADE_AT: str(int(now_s)),
    }
    if found.status != HTTPStatus.NOT_FOUND:
        must(found, f"Secret {wanted.name} cannot be read")
        if _is_good(found.body["metadata"].get("annotations") or {}, annotations, now_s):
            return False
    authority = api.get(SECRETS, wanted.authority)
    must(authority, f"Secret {wanted.authority} cannot be read")
    data = encoded(_leaf(decoded(authority.body["data"]), wanted.hosts))
    metadata = {"name": wanted.name, "labels": wanted.labels, "annotations": annotations}
    if found.status == HTTPStatus.NOT_FOUND:
        done = api.create(SECRETS, {"metadata": metadata, "type": "Opaque", "data": data})
    else:
        found.body["metadata"]["annotations"] = annotations
        done = api.replace(SECRETS, wanted.name, {**found.body, "data": data})
    if done.status == HTTPStatus.CONFLICT:  # somebody was faster: that one is as good
        return False
    must(done, f"Secret {wanted.name} cannot be written")
    return True


def _is_good(old: dict[str, str], new: dict[str, str], now_s: float) -> bool:
    is_young = now_s - float(old.get(MADE_AT, 0)) < HALF_TIME_S
    return is_young and all(old.get(each) == new[each] for each in (HOSTS, RENEWAL))


def _new_authority() -> Make:
    def make(data: object) -> dict[str, str]:
        if data:
            return {}
        with tempfile.TemporaryDirectory() as place:
            return _made(Path(place), ("ca.crt", "ca.key"), ("unused",))

    return make


def _leaf(authority: dict[str, str], hosts: tuple[str, ...]) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as place:
        for name in ("ca.crt", "ca.key"):
            (Path(place) / name).write_text(authority[name])
        return _made(Path(place), ("ca.crt", "tls.crt", "tls.key"), hosts)


def _made(place: Path, names: tuple[str, ...], hosts: tuple[str, ...]) -> dict[str, str]:
    # Late: only this needs the extra `certs`.
    from guarita import certs

    certs.init(place, (certs.Leaf("tls", hosts),))
    return {name: (place / name).read_text() for name in names}
