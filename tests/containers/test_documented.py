"""The example of docs/testing-your-application.md runs as its reader runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.container

DOCUMENT = Path(__file__).parents[2] / "docs/testing-your-application.md"
_FILE = re.compile(r"```python\n# (\w+\.py)\n(.*?)```", re.DOTALL)


def test_the_example_passes_on_real_containers(guarita_image: str, tmp_path: Path) -> None:
    files = dict(_FILE.findall(DOCUMENT.read_text("utf-8")))
    assert set(files) == {"shop.py", "conftest.py", "test_shop.py"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    ended = subprocess.run(
        [sys.executable, "-m", "pytest"],  # the plugin is found by itself, as with its reader
        cwd=tmp_path,
        env={**os.environ, "GUARITA_IMAGE": guarita_image},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
