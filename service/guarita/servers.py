"""Which data node server is installed on this machine."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass

from guarita.errors import ServerMissing

# Valkey first: less memory per key and a free licence.
_NAMES = ("valkey-server", "redis-server")
OLDEST = {"Valkey": (7, 2), "Redis": (7, 0)}
# Where package managers put servers that the PATH of an ordinary user may lack.
_MORE_PLACES = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin", "/usr/local/bin")


@dataclass(frozen=True, slots=True)
class Server:
    """An installed server program; one binary is data node and Sentinel."""

    path: str
    name: str  # "Valkey" or "Redis"
    version: str


def find_server(chosen: str | None = None) -> Server:
    """The chosen server program (a name or path), or the best one installed.

    Raises `ServerMissing` when there is none, or none that is new enough.
    """
    rejected = []
    for name in (chosen,) if chosen else _NAMES:
        path = shutil.which(name) or shutil.which(name, path=":".join(_MORE_PLACES))
        if path is None:
            continue
        server = _inspect(path)
        if server and _numbers(server.version) >= OLDEST[server.name]:
            return server
        rejected.append(
            f"{path} is {server.name} {server.version}" if server else _unreadable(path)
        )
    raise ServerMissing(_explain(chosen, rejected))


def _unreadable(path: str) -> str:
    return f"{path} does not say that it is Redis or Valkey"


def _explain(chosen: str | None, rejected: list[str]) -> str:
    found = (
        f"{chosen} was not found" if chosen else "neither valkey-server nor redis-server is here"
    )
    reason = " and ".join(rejected) or found
    return (
        f"No server for a local installation: {reason}; Redis 7.0, Valkey 7.2 or newer is needed: "
        "install one with `deploy/scripts/setup_redis.sh`, or use `make run STORE=memory`."
    )


def _inspect(path: str) -> Server | None:
    try:
        answer = subprocess.run(  # noqa: S603
            [path, "--version"], capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"(Redis|Valkey) server v=(\d+(?:\.\d+)+)", answer.stdout)
    return Server(path, match[1], match[2]) if match else None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
