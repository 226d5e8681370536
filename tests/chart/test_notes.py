"""NOTES.txt is right whatever is installed: what it names is there, and what it says is so."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from .rendering import CHART, VERSION, Rendered, helm

pytestmark = pytest.mark.chart

# `helm template` leaves NOTES.txt out: here it is the text of an object.
WRAPPED = """
apiVersion: v1
kind: ConfigMap
metadata: {name: notes}
data: {text: {{ tpl (.Files.Get "NOTES.txt") . | toJson }}}
"""
EXPOSED: dict[str, dict[str, Any]] = {
    "inside": {},
    "ingress": {"ingress": {"enabled": True}},
    "ingress-tls": {
        "ingress": {"enabled": True, "tls": [{"secretName": "a", "hosts": ["auth.example"]}]}
    },
    "route": {"httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}]}},
    "public": {"service": {"publicUrl": "https://public.example"}},
}
STORES: dict[str, dict[str, Any]] = {
    "sentinel": {},
    "sentinel-unlabelled": {"nodes": {"labelPods": False}},
    "sentinel-tls": {"tls": {"source": "job"}},
    "standalone": {"topology": "standalone"},
    "standalone-tls": {
        "topology": "standalone",
        "tls": {"source": "secret", "existingSecret": "m"},
    },
    "cluster": {"topology": "cluster"},
    "external": {
        "topology": "external",
        "external": {"nodes": ["r.example:6380"]},
        "networkPolicy": {"serviceEgress": [{"ports": [{"port": 6380}]}]},
    },
}
Notes = Callable[[dict[str, Any]], tuple[str, Rendered]]


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Notes:
    chart = tmp_path_factory.mktemp("notes") / "guarita"
    shutil.copytree(CHART, chart)
    shutil.move(chart / "templates/NOTES.txt", chart / "NOTES.txt")
    (chart / "templates/notes.yaml").write_text(WRAPPED)
    return lambda values: _notes(chart, values)


def _notes(chart: Path, values: dict[str, Any]) -> tuple[str, Rendered]:
    ended = helm(
        *("template", "auth", str(chart), "--namespace", "sign-in", *VERSION, "--values", "-"),
        stdin=yaml.safe_dump(values),
    )
    assert ended.returncode == 0, ended.stderr
    rendered = Rendered(tuple(each for each in yaml.safe_load_all(ended.stdout) if each))
    return rendered.one("ConfigMap", "notes")["data"]["text"], rendered


@pytest.mark.parametrize(("store", "exposed"), list(itertools.product(STORES, EXPOSED)))
def test_what_the_notes_name_is_there(notes: Notes, store: str, exposed: str) -> None:
    text, rendered = notes(STORES[store] | EXPOSED[exposed])
    assert "<" not in text
    assert "\n\n\n" not in text
    named = re.findall(r"([a-z0-9-]+)\.sign-in\.svc\.cluster\.local:(\d+)", text)
    assert len(named) == {"cluster": 4, "external": 1}.get(store, 2)
    for name, port in named:
        ports = rendered.one("Service", name)["spec"]["ports"]
        assert int(port) in {each["port"] for each in ports}, name
    for name in re.findall(r"deployment/([a-z0-9-]+)", text):
        assert name in rendered.of("Deployment")
    assert ("TLS alone" in text) is store.endswith("-tls")
    assert ("volumes of the data nodes stay" in text) is (store != "external")
    assert ("r.example:6380" in text) is (store == "external")


@pytest.mark.parametrize(
    ("exposed", "address"),
    [
        ("inside", "http://127.0.0.1:8000"),
        ("ingress", "http://auth.example"),
        ("ingress-tls", "https://auth.example"),
        ("route", "http://127.0.0.1:8000"),
        ("public", "https://public.example"),
    ],
)
def test_a_ticket_is_made_where_the_service_is_reached(
    notes: Notes, exposed: str, address: str
) -> None:
    text, _ = notes(EXPOSED[exposed])
    assert f" {address}/auth/create-session" in text
    assert ("port-forward" in text) is ("127.0.0.1" in address)
    assert ("for\n  auth.example" in text) is (exposed == "route")
    assert "https" not in text or address.startswith("https")
