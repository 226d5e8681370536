"""Where the processes of one `guarita serve` count: a directory that goes with them."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "guarita-metrics-"


@contextmanager
def metrics_dir() -> Iterator[Path]:
    """One that is removed by the process that made it, or, where that was killed, by the next one
    that starts here.

    While anybody who has inherited it lives, it is locked.
    """
    _remove_dead()
    made = Path(tempfile.mkdtemp(prefix=f"new-{PREFIX}"))
    lock = os.open(made, os.O_RDONLY)
    with suppress(OSError):  # a file system without locks: nobody removes anything then
        fcntl.flock(lock, fcntl.LOCK_EX)
    path = made.with_name(made.name.removeprefix("new-"))
    made.rename(path)  # locked before anybody can take it for a dead one's
    parent = os.getpid()
    try:
        yield path
    finally:
        if os.getpid() == parent:  # workers leave through here too
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)


def _remove_dead() -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # another user's, alive, or gone meanwhile
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)
