"""No ticket is admitted twice or lost through any single fault; and the harness does look.

Each test is a run of the command (`python -m tests.exactly_once`), which does the same for longer.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from . import cuts
from .history import Kind

ROOT = Path(__file__).parents[2]
BALANCED = [
    "kill",
    "pause-until-promotion",
    "switch",
    "cut-sentinels",
    "split",
    "cut-two-sentinels",
    "pause-replica",
]
STRICT = ["kill"]

Rounds = dict[str, Any]
Run = Callable[..., list[Rounds]]


@pytest.fixture(scope="module")
def run() -> Run:
    """Runs the command once for each set of arguments; a line of JSON is a round."""
    if missing := [tool for tool in cuts.TOOLS if shutil.which(tool) is None]:
        pytest.skip(f"{', '.join(missing)} must be installed (util-linux, iproute2, nftables)")
    if not any(shutil.which(each) for each in ("valkey-server", "redis-server")):
        pytest.skip("neither valkey-server nor redis-server is installed")
    trial = subprocess.run(cuts.apart(["true"]), capture_output=True, text=True, check=False)
    if trial.returncode != 0:
        pytest.skip(f"no network of its own can be made here: {trial.stderr.strip()}")
    return _run


@functools.cache
def _run(*arguments: str) -> list[Rounds]:
    command = [sys.executable, "-m", "tests.exactly_once", "--json", "--rate", "100", *arguments]
    # A run that finds something keeps its logs; the negative controls always do.
    with tempfile.TemporaryDirectory() as directory:
        environ = {**os.environ, "TMPDIR": directory}
        ended = subprocess.run(
            command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False
        )
    assert ended.returncode in (0, 1), ended.stderr
    rounds: list[Rounds] = [json.loads(line) for line in ended.stdout.splitlines()]
    assert ended.returncode == int(any(each["anomalies"] for each in rounds)), ended.stderr
    return rounds


def rounds_of(run: Run, faults: list[str], durability: str) -> list[Rounds]:
    return run(
        *("--faults", ",".join(faults), "--durability", durability, "--rejoin"),
        *("--tickets", str(200 * len(faults))),
    )


def check_round(found: Rounds, figure: Callable[[str], None], durability: str) -> None:
    assert found["anomalies"] == []
    assert found["tickets"] >= 200
    assert found["redeems"]["acknowledged"] > 0
    figure(
        f"{found['fault']}, {durability}: {found['tickets']} tickets, three rivals each, "
        f"none twice, none lost, longest wait {found['silence_s']:.1f} s"
    )


@pytest.mark.parametrize("fault", [*BALANCED, "in the end"])
def test_through_one_fault_every_ticket_is_admitted_once(run, figure, fault):
    rounds = rounds_of(run, BALANCED, "balanced")
    check_round(rounds[[*BALANCED, "in the end"].index(fault)], figure, "balanced")


@pytest.mark.parametrize("fault", [*STRICT, "in the end"])
def test_strict_holds_as_well(run, figure, fault):
    rounds = rounds_of(run, STRICT, "strict")
    check_round(rounds[[*STRICT, "in the end"].index(fault)], figure, "strict")


def kinds(rounds: list[Rounds]) -> set[str]:
    return {kind for each in rounds for _, kind, _ in each["anomalies"]}


def test_without_acknowledgement_a_switch_loses_tickets_and_that_is_seen(run):
    # A switch loses what is written within up to a second: enough to be seen at this rate.
    faults = ["--faults", "switch,switch", "--tickets", "1600", "--rate", "400", "--rejoin"]
    rounds = run("--durability", "fast", *faults)
    assert Kind.LOST in kinds(rounds)


def test_with_the_primarys_own_list_a_cut_loses_tickets_and_that_is_seen(run):
    rounds = run("--trust-the-primary", "--faults", "split-both", "--tickets", "200", "--rejoin")
    assert kinds(rounds) & {Kind.LOST, Kind.REOPENED, Kind.DOUBLE}
