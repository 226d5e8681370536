"""Load by wrk: which requests, how many connections, and what came of it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("wrk") / "requests.lua"


class NoLoad(Exception):
    """wrk is missing, or did not do what it should have."""


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request; header values hold neither a tab nor "; ;"."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""

    def line(self) -> str:
        """As `wrk/requests.lua` reads it."""
        headers = "".join(f"{name}={value}; ;" for name, value in self.headers)
        return f"{self.method}\t{self.path}\t{headers}\t{self.body}\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server gave: the cookie, as a client sends it back, and the body."""

    cookie: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk counted; `refused` are answers of 400 and above, `broken` calls without answer."""

    requests: int
    duration_us: int
    refused: int
    broken: int
    p50_us: int
    p99_us: int

    @property
    def per_s(self) -> float:
        return self.requests * 1e6 / self.duration_us


def find_wrk() -> str:
    """The program's path. Raises `NoLoad`."""
    path = shutil.which("wrk")
    if path is None:
        raise NoLoad(
            "wrk makes the load and is not installed: apt install wrk, or brew install wrk"
        )
    return path


def send(url: str, requests: Iterable[Request], *, file: Path, connections: int, s: int) -> Load:
    """Send the requests in a circle over `connections` for `s` seconds. Raises `NoLoad`."""
    with file.open("w") as lines:
        lines.writelines(each.line() for each in requests)
    argv = [find_wrk(), "-t1", f"-c{connections}", f"-d{s}s", "--timeout", "10s"]
    argv += ["-s", str(SCRIPT), url, "--", str(file)]
    answer = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603
    try:
        return Load(**json.loads(answer.stdout.splitlines()[-1]))
    except (IndexError, ValueError, TypeError) as exc:
        raise NoLoad(f"wrk failed: {answer.stdout}{answer.stderr}") from exc
