from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

from guarita.rotation import SharedRotatingFileHandler

WRITER = """
import logging, sys
from pathlib import Path
from guarita.rotation import SharedRotatingFileHandler

handler = SharedRotatingFileHandler(Path(sys.argv[1]), max_bytes=4096, kept_files=500)
for number in range(500):
    text = f"{sys.argv[2]} {number:04} " + "x" * 100
    handler.emit(logging.LogRecord("n", 20, "", 0, text, None, None))
"""


def test_processes_that_write_and_rotate_at_once_lose_no_line(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), name], stderr=subprocess.PIPE, text=True
        )
        for name in "abc"
    ]
    assert [writer.communicate(timeout=60)[1] for writer in writers] == [""] * 3
    written = [line[:6] for file in tmp_path.glob("app.log*") for line in _lines(file)]
    assert sorted(written) == sorted(
        f"{name} {number:04}" for name in "abc" for number in range(500)
    )
    assert len([*tmp_path.glob("app.log.*")]) > 10


def test_only_so_many_old_files_are_kept(tmp_path: Path) -> None:
    handler = SharedRotatingFileHandler(tmp_path / "app.log", max_bytes=100, kept_files=2)
    for number in range(20):
        text = f"line {number:03} " + "x" * 60
        handler.emit(logging.LogRecord("n", logging.INFO, "", 0, text, None, None))
    handler.close()
    files = sorted(file.name for file in tmp_path.glob("app.log*") if file.suffix != ".lock")
    assert files == ["app.log.1", "app.log.2"]
    assert _lines(tmp_path / "app.log.1")[-1].startswith("line 019")


def test_a_file_moved_from_outside_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    handler = SharedRotatingFileHandler(path)
    for text in ("before", "after"):
        handler.emit(logging.LogRecord("n", logging.INFO, "", 0, text, None, None))
        if text == "before":
            path.rename(tmp_path / "moved")
    handler.close()
    assert _lines(path) == ["after"]


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines()
