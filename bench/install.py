"""Installs the peers from their lock files into a directory that git ignores."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

PEERS = Path(__file__).with_name("peers")


class NotInstalled(Exception):
    """A peer cannot be installed here; the text says why."""


def install(name: str, target: Path) -> None:
    """Bring one of `bench/peers` into `target`; quick when nothing changed.

    Raises `NotInstalled`.
    """
    target.mkdir(parents=True, exist_ok=True)
    target = target.absolute()
    source, folder = PEERS / name, target / name
    shutil.copytree(source, folder, dirs_exist_ok=True)
    if name in ("fastapi", "flask"):
        _once(target / "venv", PEERS / "requirements.lock", _make_venv, sys.version.encode())
    elif name == "express":
        _once(folder, folder / "package-lock.json", _install_node_modules)
    elif name == "go":
        _run(["go", "build", "-trimpath", "-o", "peer", "."], folder)


def _once(folder: Path, lock: Path, make: Callable[[Path, Path], None], maker: bytes = b"") -> None:
    """Make `folder` unless it was made from this very lock file, by this very `maker`."""
    mark, wanted = folder / "installed.lock", lock.read_bytes() + maker
    if mark.exists() and mark.read_bytes() == wanted:
        return
    folder.mkdir(parents=True, exist_ok=True)
    make(folder, lock)
    mark.write_bytes(wanted)


def _make_venv(folder: Path, lock: Path) -> None:
    _run([sys.executable, "-m", "venv", "--clear", str(folder)], PEERS)
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet"]
    _run([*pip, "--require-hashes", "-r", str(lock)], PEERS)


def _install_node_modules(folder: Path, _lock: Path) -> None:
    _run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], folder)


def _run(argv: list[str], folder: Path) -> None:
    try:
        answer = subprocess.run(  # noqa: S603
            argv, cwd=folder, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as exc:
        raise NotInstalled(f"{argv[0]} is not installed") from exc
    if answer.returncode != 0:
        raise NotInstalled(f"`{' '.join(argv)}` failed: {answer.stderr.strip()[-500:]}")
