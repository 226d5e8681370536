"""A log file that several processes write and any of them rotates."""

from __future__ import annotations

import fcntl
import logging
import os
from logging.handlers import WatchedFileHandler
from pathlib import Path

MAX_BYTES = 10 * 1024 * 1024
KEPT_FILES = 5


class SharedRotatingFileHandler(WatchedFileHandler):
    """Appends lines; at `max_bytes` the file becomes `.1`, and so on up to `.kept`.

    `RotatingFileHandler` loses lines when two processes rotate at once. Here one of them does it
    under a lock, and the others see that the file was moved and open the new one; what they wrote
    meanwhile is in `.1`. An outside logrotate does no harm.
    """

    def __init__(
        self, path: Path, *, max_bytes: int = MAX_BYTES, kept_files: int = KEPT_FILES
    ) -> None:
        super().__init__(path, encoding="utf-8", delay=True)
        self._max_bytes = max_bytes
        self._kept_files = kept_files

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        try:
            if self.stream is not None and os.fstat(self.stream.fileno()).st_size > self._max_bytes:
                self._rotate()
        except OSError:
            self.handleError(record)

    def _rotate(self) -> None:
        # The lock belongs to the open file, and workers inherit open files: each opens its own.
        with open(f"{self.baseFilename}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            path = Path(self.baseFilename)
            if not path.exists() or path.stat().st_size <= self._max_bytes:
                return  # another process was faster
            for number in range(self._kept_files - 1, 0, -1):
                older = Path(f"{path}.{number}")
                if older.exists():
                    older.rename(f"{path}.{number + 1}")
            path.rename(f"{path}.1")
