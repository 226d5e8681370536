"""A network of its own for an installation and its services, in which any link can be cut.

One network namespace holds every node, each on its own address; each service has a namespace of
its own, joined to it by a pair of virtual interfaces. nftables drops what a cut must not let pass.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from guarita.topology.local import LocalSentinel, Node

ADDRESSES = {
    **{f"node-{n}": f"10.77.0.{n}" for n in (1, 2, 3)},
    **{f"sentinel-{n}": f"10.77.0.{10 + n}" for n in (1, 2, 3)},
}
# A frozen replica stays in its primary's list until then: every write waits for it.
REPL_TIMEOUT_S = 4
TOOLS = ("unshare", "ip", "nft")
APART = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")

_CLONE_NEWNET = 0x40000000
_TABLE = """
table inet cuts {
    chain input {
        type filter hook input priority 0
    }
    chain output {
        type filter hook output priority 0
    }
}
"""


class IslandSentinel(LocalSentinel):
    """Nodes on addresses of their own, which they also call from."""

    def host(self, name: str) -> str:
        return ADDRESSES[name]

    def config_lines(self, node: Node) -> list[str]:
        lines = [*super().config_lines(node), f"bind-source-addr {node.host}"]
        return lines if node.kind == "sentinel" else [*lines, f"repl-timeout {REPL_TIMEOUT_S}"]


def apart(argv: list[str]) -> list[str]:
    """The command that runs `argv` in a network (and with processes) that end with it."""
    as_root = () if os.geteuid() == 0 else ("--map-root-user",)
    return [*APART, *as_root, *argv]


def lay_out() -> None:
    """Give this process's network namespace the nodes' addresses, and nothing to drop yet."""
    _run("ip", "link", "set", "lo", "up")
    for address in ADDRESSES.values():
        _run("ip", "address", "add", f"{address}/32", "dev", "lo")
    _run("nft", "-f", "-", text=_TABLE)


def service_address(index: int) -> str:
    return f"10.77.{index + 1}.2"


def leave() -> None:
    """Move this process into an empty network namespace; it must have one thread."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def join(index: int, pid: int) -> None:
    """Lay the link from the nodes to the namespace of a service's process."""
    here = f"service{index}"
    there = ("peer", "name", "nodes", "netns", str(pid))
    _run("ip", "link", "add", here, "type", "veth", *there)
    _run("ip", "address", "add", f"10.77.{index + 1}.1/24", "dev", here)
    _run("ip", "link", "set", here, "up")


def settle_in(index: int) -> None:
    """The service's end of that link."""
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "address", "add", f"{service_address(index)}/24", "dev", "nodes")
    _run("ip", "link", "set", "nodes", "up")
    _run("ip", "route", "add", "default", "via", f"10.77.{index + 1}.1")


@contextmanager
def cut(some: Iterable[str], others: Iterable[str]) -> Iterator[None]:
    """Nothing passes between the two groups of addresses, in either direction."""
    one, two = (f"{{ {', '.join(sorted(group))} }}" for group in (some, others))
    _run(
        "nft",
        "-f",
        "-",
        text="".join(
            f"add rule inet cuts {chain} ip saddr {source} ip daddr {target} drop\n"
            for chain in ("input", "output")
            for source, target in ((one, two), (two, one))
        ),
    )
    try:
        yield
    finally:
        _run("nft", "flush", "table", "inet", "cuts")


def _run(*argv: str, text: str = "") -> None:
    subprocess.run(argv, input=text, text=True, check=True, timeout=10)
