"""TCP ports of 127.0.0.1: which are free, and who holds one that is not."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import socket
from contextlib import suppress
from functools import cache
from itertools import cycle
from pathlib import Path

from guarita.processes import has_socket

HOST = "127.0.0.1"
BUS_OFFSET = 10_000  # a Cluster node's second port is its port plus this
_LISTEN = "0A"  # state column of /proc/net/tcp
# Below the ephemeral ports of Linux (32768) and macOS (49152), with the bus ports as well, which
# nobody draws by themselves. What is above it up to there is for who chooses his ports.
_RANGE = range(10_240, 20_240)
_BLOCK = 200  # ports of which one process draws


def is_free(port: int, host: str = HOST) -> bool:
    """Whether a server could listen on this port of the host now, as far as can be told here:
    an address of another network namespace is for whoever is in that."""
    with socket.socket() as trial:
        # As servers do: what a dead connection left behind is no obstacle.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
            trial.listen(1)
        except OSError as exc:
            return exc.errno == errno.EADDRNOTAVAIL
    return True


def answers(port: int, host: str = HOST) -> bool:
    """Whether somebody listens on this port of the host now."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def free_ports(count: int, *, with_bus: bool = False) -> list[int]:
    """Ports that are free now, and that no other process of this user draws before their use.

    Each process has some of its own, by a lock that ends with it, and draws them in turn.
    """
    drawn, found = _own_ports(os.getpid()), list[int]()
    for _ in range(_BLOCK):
        port = next(drawn)
        if is_free(port) and (not with_bus or is_free(port + BUS_OFFSET)):
            found.append(port)
            if len(found) == count:
                return found
    raise OSError(f"fewer than {count} free ports on {HOST}")


@cache
def _own_ports(_pid: int) -> cycle[int]:
    """For ever in turn. A fork has others than its parent."""
    blocks = [_RANGE[at : at + _BLOCK] for at in range(0, len(_RANGE), _BLOCK)]
    random.shuffle(blocks)
    return cycle(next((each for each in blocks if _is_ours(each)), blocks[0]))


def _is_ours(block: range) -> bool:
    """Whether nobody else has it; it is this process's until that ends."""
    # Not in TMPDIR: who has one of his own shares the ports all the same.
    locks = Path("/tmp", f"guarita-ports-{os.getuid()}")  # noqa: S108 - locked, never written to
    try:
        locks.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(locks / str(block.start), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return False
    return True


def holder(port: int) -> str:
    """Who listens on the port, in words; "another program" where this cannot be told."""
    inode = _listening_inode(port)
    if inode is None:
        return "another program"
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # gone meanwhile, or another user's
            if has_socket(process, inode):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return "another program"


def _listening_inode(port: int) -> str | None:
    for table in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/net", table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                return fields[9]
    return None
