"""The links between containers: cut with nothing but the image; lossy by root of the engine's own
machine."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from guarita.drill.targets.network import lost_in
from guarita.errors import TopologyError
from guarita.testing import Installation, engine

# Frames to an address go to a station that is not there: nothing passes, and nobody is told.
# As netdevice(7) and arp(7) have it; ATF_COM and ATF_PERM.
_ARP = """
import fcntl, socket, struct, sys
how, *addresses = sys.argv[1:]
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    for address in addresses:
        whose = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))
        station = struct.pack("=H6s8x", 1, bytes([2, 0, 0, 0, 0, 1]))
        request = whose + station + struct.pack("=i16x16s", 2 | 4, b"eth0")
        try:
            fcntl.ioctl(any_socket, {"cut": 0x8955, "mend": 0x8953}[how], request)
        except OSError:
            if how == "cut":
                raise
"""
_LOSE = """
table inet drill {{
    chain losses {{
        type filter hook input priority 0
        ip saddr {{ {addresses} }} numgen random mod 100 < {percent} counter drop
    }}
}}
"""
_TOOLS = ("nsenter", "nft", "tc")
_PARALLEL = 16


def without_loss() -> str | None:
    """Why no packets of containers can be lost here, in words."""
    if platform.system() != "Linux" or os.geteuid() != 0 or not engine.is_here():
        return "only root on the engine's own machine can lose packets of its containers"
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    return f"{', '.join(missing)} must be installed" if missing else None


class Links:
    """Those of one installation, by the names of its containers."""

    def __init__(self, installation: Installation) -> None:
        self._at = installation
        self._cuts: dict[str, set[str]] = {}
        """By name, to whom it sends in vain."""
        self._lossy: set[str] = set()

    def cut(self, some: Iterable[str], others: Iterable[str], *, one_way: bool = False) -> None:
        """Nothing passes any more from some to the others, nor back unless `one_way`."""
        new = _pairs(some, others, one_way=one_way)
        for name, to in new.items():
            self._cuts.setdefault(name, set()).update(to)
        self._cut_now(new)

    def lose(
        self, some: Iterable[str], others: Iterable[str], *, percent: int, delay_ms: int
    ) -> None:
        """So many of a hundred packets between the two groups do not arrive; the others come late
        where the kernel can do that."""
        late = list(some)
        for name, senders in _pairs(late, others).items():
            addresses = ", ".join(sorted(self._at.place.address(each) for each in senders))
            self._lossy.add(name)
            table = _LOSE.format(addresses=addresses, percent=percent)
            self._in_network(name, "nft", "-f", "-", text=table)
        for name in late if delay_ms else ():
            with suppress(TopologyError):
                delay = ("netem", "delay", f"{delay_ms}ms")
                self._in_network(name, "tc", "qdisc", "add", "dev", "eth0", "root", *delay)

    @property
    def lost_packets(self) -> int:
        """Since the last mend; of a container that has ended, none."""
        lost = 0
        for name in self._lossy:
            with suppress(TopologyError):
                lost += lost_in(self._in_network(name, "nft", "list", "table", "inet", "drill"))
        return lost

    def cut_again(self, name: str) -> None:
        """Of a container that was started: its network is a new one."""
        self._cut_now({name: self._cuts.get(name, set())})

    def mend(self) -> None:
        """Everything passes again, and at once; who is dead has no network."""
        cuts, self._cuts = self._cuts, {}
        _at_once(_unless_dead(lambda name, to: self._arp(name, "mend", to)), cuts)
        lossy, self._lossy = self._lossy, set()
        for name in lossy:
            with suppress(TopologyError):
                self._in_network(name, "nft", "delete", "table", "inet", "drill")
            with suppress(TopologyError):
                self._in_network(name, "tc", "qdisc", "del", "dev", "eth0", "root")

    def _cut_now(self, cuts: Mapping[str, set[str]]) -> None:
        _at_once(lambda name, to: self._arp(name, "cut", to), cuts)

    def _arp(self, name: str, how: str, to: Iterable[str]) -> None:
        addresses = [self._at.place.address(each) for each in to]
        image = self._at.layout.image
        engine.run_in_network(self._at.container(name), image, _ARP, how, *addresses)

    def _in_network(self, name: str, *words: str, text: str = "") -> str:
        """What it prints. Raises `TopologyError` where it fails."""
        pid = engine.docker("inspect", "--format", "{{.State.Pid}}", self._at.container(name))
        ended = subprocess.run(  # noqa: S603
            ["nsenter", f"--net=/proc/{pid}/ns/net", "--", *words],  # noqa: S607
            input=text,
            text=True,
            capture_output=True,
            check=False,
        )
        if ended.returncode != 0:
            raise TopologyError(f"{' '.join(words)} for {name}: {ended.stderr.strip()}")
        return ended.stdout


def _pairs(
    some: Iterable[str], others: Iterable[str], *, one_way: bool = False
) -> dict[str, set[str]]:
    """By name, with whom its link is meant."""
    one, two = set(some), set(others)
    found = {name: set(two) for name in one}
    for name in () if one_way else two:
        found.setdefault(name, set()).update(one)
    return found


Do = Callable[[str, set[str]], None]


def _at_once(do: Do, cuts: Mapping[str, set[str]]) -> None:
    wanted = {name: to for name, to in cuts.items() if to}
    with ThreadPoolExecutor(_PARALLEL) as pool:
        list(pool.map(do, wanted.keys(), wanted.values()))


def _unless_dead(do: Do) -> Do:
    def tried(name: str, to: set[str]) -> None:
        with suppress(TopologyError):
            do(name, to)

    return tried
