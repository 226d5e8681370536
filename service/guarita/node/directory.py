"""The directory in which an agent and its server work: one agent in each."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import structlog

from guarita.errors import TopologyError
from guarita.node import metrics
from guarita.node.child import end_orphan

LOCK = "agent.lock"

_log = structlog.get_logger("guarita.node")


def enter(path: Path) -> Path:
    """Make it the working directory of this process alone, until that ends; its absolute path.

    There the path of the server's socket is short enough for the system. A server that another
    agent left behind when it was killed is ended. Raises `TopologyError` where another agent
    works, or nothing can be written.
    """
    directory = path.absolute()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        os.chdir(directory)
        lock = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise TopologyError(f"node.data_dir: {directory}: {exc.strerror}") from exc
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held until the process ends
    except OSError as exc:
        os.close(lock)
        raise TopologyError(
            f"node.data_dir: {directory}: another agent works there: stop that one, or choose "
            "another directory."
        ) from exc
    if end_orphan(directory):
        metrics.ACTIONS.labels("end_orphan").inc()
        _log.warning("end_orphan", reason="an agent that was killed had left its server here")
    return directory
