"""The target `kubernetes`: what is played on it, and what it finds in a namespace."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from guarita.cli import cli
from guarita.drill.scenarios import SCENARIOS
from guarita.drill.targets.base import Shape
from guarita.drill.targets.kubernetes import KubernetesTarget, lacking
from guarita.errors import TopologyError

STORE = {
    "topology": "sentinel",
    "durability": "strict",
    "data_nodes": [f"a-node-{n}.ns.svc.cluster.local:6379" for n in range(3)],
    "sentinel": {
        "primary_name": "a-ns",
        "nodes": [f"a-sentinel-{n}.ns.svc.cluster.local:26379" for n in range(3)],
    },
}
NODE = {"down_after_ms": 2500}
SESSIONS = {"ticket_ttl_s": 900, "session_ttl_s": 600, "replay_window_s": 60}


def test_a_release_is_upgraded_where_there_is_helm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    reasons = {each: lacking(SCENARIOS[each]) for each in ("K1", "K2", "K3", "K4", "K5")}
    assert {each for each, reason in reasons.items() if reason is None} == {"K1"}
    assert "helm is not installed" in str(reasons["K2"])


def test_what_can_be_done_to_pods_is_played_and_nothing_else() -> None:
    played = {each.id for each in SCENARIOS.values() if lacking(each) is None}
    assert {"D1", "D2", "D4", "D28", "K1"} <= played
    for not_played in ("D2-lost", "D3", "D5a", "D17", "D26", "N1"):
        assert not_played not in played


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A kubectl that answers from what this holds, by the words behind `get`."""
    program = tmp_path / "kubectl"
    answers = tmp_path / "answers.json"
    program.write_text(
        "#!/usr/bin/env python3\n"
        "import json, sys\n"
        f"answers = json.load(open({str(answers)!r}))\n"
        "words = sys.argv[sys.argv.index('get') + 1:]\n"
        "for key, value in answers.items():\n"
        "    if key.split() == words[:len(key.split())]:\n"
        "        print(json.dumps(value)); sys.exit()\n"
        "print('the server does not know it', file=sys.stderr); sys.exit(1)\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    volumes = [{"name": "secrets", "projected": {"sources": [{"secret": {"name": "a-secrets"}}]}}]
    spec = {"containers": [{"image": "guarita:1"}], "volumes": volumes}
    deployment = {
        "metadata": {"name": "a"},
        "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": {"spec": spec}},
    }
    key = base64.b64encode(b"the key").decode()
    config = {"store": STORE, "sessions": SESSIONS}

    class Answers(dict[str, Any]):
        def write(self) -> None:
            answers.write_text(json.dumps(self))

    found = Answers(
        {
            "deployments": {"items": [deployment]},
            "configmap a-node": {"data": {"guarita.yaml": yaml.safe_dump({"node": NODE})}},
            "configmap a": {"data": {"guarita.yaml": yaml.safe_dump(config)}},
            "secret a-secrets": {"data": {"api-key-acme": key}},
            "service a": {"spec": {"ports": [{"port": 80}]}},
        }
    )
    found.write()
    return found


def test_it_finds_the_installation_by_what_is_in_the_namespace(kubectl: dict[str, Any]) -> None:
    target = KubernetesTarget("ns", Shape())
    assert target.nodes == ("a-node-0", "a-node-1", "a-node-2")
    assert target.sentinels == ("a-sentinel-0", "a-sentinel-1", "a-sentinel-2")
    assert target.address("a-node-1") == ("a-node-1.ns.svc.cluster.local", 6379)
    assert target.api_key == "the key"
    assert (target.terms.ticket_ttl_s, target.terms.replay_window_s) == (900, 60)
    assert target.slack_s == 1.5  # a failover takes as much longer as it waits to notice


def test_what_cannot_be_drilled_is_said_before_anything_is_done(kubectl: Any) -> None:
    with pytest.raises(TopologyError, match="has durability strict: add --durability strict"):
        KubernetesTarget("ns", Shape()).start()
    kubectl["deployments"] = {"items": []}
    kubectl.write()
    with pytest.raises(TopologyError, match="there are 0 installations in namespace ns, not one"):
        KubernetesTarget("ns", Shape())


def test_a_cluster_that_does_not_answer_is_one_sentence(kubectl: Any, tmp_path: Path) -> None:
    kubectl.clear()
    kubectl.write()
    ended = run_in_x("--yes-break-it", "x", "--out", tmp_path / "out")
    assert ended.exit_code == 3
    assert "the server does not know it" in ended.output


@pytest.mark.parametrize("words", [(), ("--yes-break-it", "y")])
def test_what_runs_in_a_namespace_is_left_alone_unless_it_is_named_twice(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    ended = run_in_x(*words, "--out", tmp_path / "out")
    assert ended.exit_code == 3
    assert "--yes-break-it x" in ended.output
    assert not (tmp_path / "out").exists()


def test_without_a_chart_nothing_is_upgraded_and_nothing_begun(tmp_path: Path) -> None:
    ended = run_in_x("K3", "--yes-break-it", "x", "--chart", tmp_path, "--out", tmp_path / "out")
    assert ended.exit_code == 3
    assert f"there is no chart at {tmp_path}: say where" in " ".join(ended.output.split())
    assert not (tmp_path / "out").exists()


def run_in_x(*words: str | Path) -> Any:
    target = ["--target", "kubernetes", "--namespace", "x"]
    return CliRunner().invoke(cli, ["drill", "run", "D1", *target, *map(str, words)])
