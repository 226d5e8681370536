"""A server that is slower than it is: with the disk, or when it loads its data."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from guarita.drill.targets.base import Shape
from guarita.errors import TopologyError
from guarita.servers import find_server

# Of the threads that write out for the server what it goes on without (`bio.c`): with `everysec`,
# what it answers meanwhile is in its memory alone. What it waits for by itself, to start or to take
# in a copy, is as fast as ever: it would be missed, and replaced, before it is back.
_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static void wait_a_while(void) {
    struct timespec time = {SECONDS, NANOSECONDS};
    if (syscall(SYS_gettid) != getpid()) nanosleep(&time, 0);
}
int fdatasync(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
    wait_a_while();
    return real(fd);
}
int fsync(int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    wait_a_while();
    return real(fd);
}
"""


def lacking(shape: Shape) -> str | None:
    """Why a server cannot be made as slow as that here, in words."""
    if shape.fsync_s and shutil.which("cc") is None:
        return "a C compiler (cc) is needed to slow the disk down"
    return None


def slow_server(directory: Path, shape: Shape) -> str | None:
    """A program that runs the server so; None where it need not be slow. Raises `TopologyError`."""
    if not (shape.fsync_s or shape.load_key_us):
        return None
    directory.mkdir(parents=True, exist_ok=True)
    path, server = directory / "server", find_server(None).path
    load = f" {load_arguments(shape.load_key_us)}" if shape.load_key_us else ""
    preload = f"LD_PRELOAD={_library(directory, shape.fsync_s)} " if shape.fsync_s else ""
    path.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *--sentinel*|--version) exec {server} "$@";; esac\n'
        f'{preload}exec {server} "$@"{load}\n'
    )
    path.chmod(0o700)
    return str(path)


def load_arguments(key_us: int) -> str:
    """Of a server that loads so slowly, and says so meanwhile: it would answer every 2 MiB."""
    return f"--key-load-delay {key_us} --loading-process-events-interval-bytes 1024"


def _library(directory: Path, fsync_s: float) -> Path:
    """A library that, loaded before others, makes each fsync in the background so much slower."""
    source, library = directory / "slow.c", directory / "slow.so"
    nanoseconds = round(fsync_s % 1 * 1_000_000_000)
    text = _SOURCE.replace("NANOSECONDS", str(nanoseconds)).replace("SECONDS", str(int(fsync_s)))
    source.write_text(text)
    ended = subprocess.run(  # noqa: S603
        ["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        raise TopologyError(f"the slow disk could not be made: {ended.stderr.strip()}")
    return library
