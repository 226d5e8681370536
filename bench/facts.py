"""The machine and the versions that a run was made with."""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
import sys
import sysconfig
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.load import find_wrk

_PYTHON_PARTS = ("falcon", "gunicorn", "gevent", "granian", "redis", "hiredis")
_PEER_PARTS = ("fastapi", "uvicorn", "flask", "flask-session", "gunicorn", "gevent", "redis")
_NODE_PARTS = ("express", "express-session", "connect-redis", "redis")
ROOT = Path(__file__).parents[1]


def collect(store: str, installed: Path, command: str) -> dict[str, str]:
    """Names and texts, in the order of a reader's interest."""
    facts = {
        "command": f"`{command}`",
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "commit": _answer(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "busy": _load(),
        "store": store,
        "wrk": _answer([find_wrk(), "--version"]).partition("[")[0].removeprefix("wrk ").strip(),
        "Guarita": _parts([(name, _installed(name)) for name in _PYTHON_PARTS]),
        "Python peers": _parts(_locked(_PEER_PARTS)),
        "Node peer": _parts(_node_parts(installed / "express/node_modules")),
        "Go floor": _answer(["go", "version"]).removeprefix("go version go"),
    }
    facts["Python"] = f"{platform.python_version()}, {_build()}; Guarita and the Python peers"
    facts["Node peer"] = f"Node {_answer(['node', '--version'])}, {facts['Node peer']}"
    return facts


def _load() -> str:
    """What else the machine does shows in it: the benchmark alone keeps it at two or three."""
    return "load average " + ", ".join(f"{each:.1f}" for each in os.getloadavg())


def _build() -> str:
    """How the Python was built: distributions optimize, and Debian does not tell."""
    if "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or ""):
        return "built with --enable-optimizations"
    return (
        "the distribution's build" if sys.base_prefix == "/usr" else "built without optimizations"
    )


def _parts(found: list[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {number}" for name, number in found if number)


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _locked(names: tuple[str, ...]) -> list[tuple[str, str]]:
    text = (ROOT / "bench/peers/requirements.lock").read_text()
    pinned = dict(re.findall(r"^([a-z0-9-]+)==([^\s;\\]+)", text, re.MULTILINE))
    return [(name, pinned.get(name, "")) for name in names]


def _node_parts(folder: Path) -> list[tuple[str, str]]:
    found = []
    for name in _NODE_PARTS:
        file = folder / name / "package.json"
        match = re.search(r'"version": *"([^"]+)"', file.read_text()) if file.exists() else None
        found.append((name, match[1] if match else ""))
    return found


def _answer(argv: list[str]) -> str:
    try:
        answer = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError:
        return ""
    return (answer.stdout or answer.stderr).partition("\n")[0].strip()


def _processor() -> str:
    text = Path("/proc/cpuinfo").read_text()
    match = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return match[1] if match else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
