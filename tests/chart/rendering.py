"""The chart as `helm template` renders it, and the parsed objects."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[2] / "helm/guarita"
VERSION = ("--kube-version", "1.34.0")  # a helm that was built from source knows an old one
Object = dict[str, Any]


def why_no_helm() -> str | None:
    return (
        None
        if shutil.which("helm")
        else "helm is not installed: https://helm.sh/docs/intro/install/"
    )


def helm(
    *arguments: str, stdin: str = "", kubeconfig: Path | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig or os.devnull)}
    return subprocess.run(
        ["helm", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


def template(
    values: Mapping[str, Any] | None = None,
    *arguments: str,
    base: str | None = None,
    kubeconfig: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """`helm template` of release `auth` in namespace `sign-in`; `base` is one of ci/."""
    files = ["--values", str(CHART / f"ci/{base}-values.yaml")] if base else []
    return helm(
        *("template", "auth", str(CHART), "--namespace", "sign-in", *VERSION, *files),
        *("--values", "-", *arguments),
        stdin=yaml.safe_dump(dict(values or {})),
        kubeconfig=kubeconfig,
    )


@dataclass(frozen=True, slots=True)
class Rendered:
    """All objects of a rendering."""

    objects: tuple[Object, ...]

    def of(self, kind: str) -> dict[str, Object]:
        return {each["metadata"]["name"]: each for each in self.objects if each["kind"] == kind}

    def one(self, kind: str, name: str) -> Object:
        return self.of(kind)[name]

    def pod_specs(self) -> dict[str, Object]:
        """Of everything that runs pods, by kind and name."""
        found = {}
        for each in self.objects:
            if each["kind"] == "Pod":
                found[_name(each)] = each["spec"]
            elif each["kind"] in ("Deployment", "StatefulSet", "Job"):
                found[_name(each)] = each["spec"]["template"]["spec"]
        return found

    def config(self, name: str) -> Any:
        """guarita.yaml of a ConfigMap."""
        return yaml.safe_load(self.one("ConfigMap", name)["data"]["guarita.yaml"])


def _name(each: Object) -> str:
    return f"{each['kind']}/{each['metadata']['name']}"


def render(values: Mapping[str, Any] | None = None, *, base: str | None = None) -> Rendered:
    """Raises `AssertionError` with what helm said."""
    ended = template(values, base=base)
    assert ended.returncode == 0, ended.stderr
    return Rendered(tuple(each for each in yaml.safe_load_all(ended.stdout) if each))


def refusal(values: Mapping[str, Any], base: str | None = None) -> str:
    """What helm says of values that are refused."""
    ended = template(values, base=base)
    assert ended.returncode != 0, "it was rendered"
    return ended.stderr


def nested(path: str, value: object) -> dict[str, Any]:
    """`{"a": {"b": value}}` for `a.b`."""
    for step in reversed(path.split(".")):
        value = {step: value}
    assert isinstance(value, dict)
    return value
