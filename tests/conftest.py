"""A test that could not run says why, and with CI=true that is a failure."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from xdist.remote import Producer
from xdist.scheduler import Scheduling

import schedule

gc.disable()  # until all tests are collected: it would go through them again and again


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--callers",
        type=int,
        default=2750,
        help="how many wait at once in tests/failover/test_crowd.py (`make crowd`: 11000)",
    )
    parser.addoption(
        "--room",
        type=float,
        default=0.0,
        help="seconds added to what containers may take, where the machine does other things too",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Have workers collect all tests in another order each.

    pytest rewrites the asserts of a test module once and keeps it, which takes as long as all
    else in collecting; in one order all workers would come to each module at the same time.
    """
    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    if worker is None or config.args != config.getini("testpaths"):
        return
    tests = Path(__file__).parent
    places = [str(each) for each in tests.iterdir() if each.is_dir() or each.match("test_*.py")]
    begin = int(worker["workerid"].removeprefix("gw")) * len(places) // worker["workercount"]
    places.sort()
    config.args = [*places[begin:], *places[:begin]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    schedule.sort(items)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_xdist_setupnodes() -> None:
    gc.enable()  # whoever has workers collects nothing


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    return schedule.Schedule(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"could not run, and with CI=true every test must: {reason}"
    return report


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Keeps a measured figure, in words, for the end of the test run."""
    return lambda text: request.node.user_properties.append(("figure", text))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    figures = [
        value for report in reports for name, value in report.user_properties if name == "figure"
    ]
    if figures:
        terminalreporter.section("figures")
        for each in figures:
            terminalreporter.write_line(str(each))
