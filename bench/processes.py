"""Processor time, as the kernel counts it (proc_pid_stat(5))."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_SESSION, _USER, _SYSTEM = 3, 11, 12  # fields behind the name


def cpu_s(pid: int, *, whole_session: bool = False) -> float:
    """Seconds of processor time, user and system, of a process, or of all in its session."""
    folders = Path("/proc").glob("[0-9]*") if whole_session else [Path("/proc", str(pid))]
    ticks = 0
    for folder in folders:
        fields = _fields(folder)
        if fields and (not whole_session or int(fields[_SESSION]) == pid):
            ticks += int(fields[_USER]) + int(fields[_SYSTEM])
    return ticks / _TICKS_PER_S


def _fields(folder: Path) -> list[str]:
    try:
        text = (folder / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()
