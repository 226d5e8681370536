"""A network of namespaces for one drill: every node and service has its own, all links can be cut.

The drill itself runs in a network (and with processes) that end with it, see `apart`. Each node is
joined to it by a pair of virtual interfaces, it passes packets on between them, and nftables drops
what a cut must not let pass. Nothing of this machine's own network is touched.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from guarita.errors import TopologyError
from guarita.processes import wait_until

TOOLS = ("unshare", "nsenter", "ip", "nft")
_APART = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc")
GATE = "10.77.255.254"  # this process, as all of them reach it
_OWN = Path("/proc/self/ns/net")
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
# An earlier network of this process may have left it.
_TABLE = """
table inet drill
delete table inet drill
table inet drill {
    chain cuts {
        type filter hook forward priority 0
    }
}
"""


def lacking() -> str | None:
    """Why this machine cannot give a drill a network of its own, in words."""
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"{', '.join(missing)} must be installed (util-linux, iproute2, nftables)"
    trial = subprocess.run(  # noqa: S603
        apart(["nft", "list", "ruleset"]), capture_output=True, text=True, check=False
    )
    if trial.returncode != 0:
        return f"no network of its own can be made here: {trial.stderr.strip()}"
    return None


def is_apart() -> bool:
    """Whether this process was started by `apart`: it is the first one of all that it sees, and in
    its network nothing is up yet, not even the loopback."""
    if os.getpid() != 1:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        return probe.connect_ex(("127.0.0.1", 9)) == errno.ENETUNREACH


def apart(argv: Sequence[str]) -> list[str]:
    """The command that runs `argv` in a network (and with processes) that end with it."""
    as_root = () if os.geteuid() == 0 else ("--map-root-user",)
    return [*_APART, *as_root, *argv]


class Network:
    """Addresses by name, each in a namespace of its own, joined to this process's."""

    def __init__(self, addresses: dict[str, str]) -> None:
        """Call it in a network that is this process's own. Raises `TopologyError`."""
        self.addresses = addresses
        self._holders: dict[str, subprocess.Popen[bytes]] = {}
        self._late: list[list[str]] = []  # what makes packets come in time again
        run("ip", "link", "set", "lo", "up")
        run("ip", "address", "replace", f"{GATE}/32", "dev", "lo")
        _FORWARD.write_text("1")
        run("nft", "-f", "-", text=_TABLE)
        for name in addresses:
            self._join(name)

    def namespace(self, name: str) -> str:
        """The file of its namespace."""
        return f"/proc/{self._holders[name].pid}/ns/net"

    def enter(self, name: str) -> list[str]:
        """What a command line begins with to run there."""
        return ["nsenter", f"--net={self.namespace(name)}", "--"]

    def swap(self, one: str, other: str) -> None:
        """Each has the address of the other from now on."""
        addresses = self.addresses
        for name in (one, other):
            run(*self.enter(name), "ip", "address", "del", f"{addresses[name]}/32", "dev", "drill")
        addresses[one], addresses[other] = addresses[other], addresses[one]
        for name in (one, other):
            self._address(name)

    def cut(self, some: Iterable[str], others: Iterable[str], *, one_way: bool = False) -> None:
        """Nothing passes any more from some to the others, nor back unless `one_way`."""
        one, two = (self._set_of(group) for group in (some, others))
        ways = ((one, two),) if one_way else ((one, two), (two, one))
        self._add(f"ip saddr {source} ip daddr {to} drop" for source, to in ways)

    def lose(self, some: Iterable[str], others: Iterable[str], percent: int) -> None:
        """So many of a hundred packets between the two groups do not arrive."""
        one, two = (self._set_of(group) for group in (some, others))
        self._add(
            f"ip saddr {source} ip daddr {to} numgen random mod 100 < {percent} counter drop"
            for source, to in ((one, two), (two, one))
        )

    @property
    def lost_packets(self) -> int:
        """Since the last mend."""
        return lost_in(run("nft", "list", "table", "inet", "drill"))

    def delay(self, names: Iterable[str], delay_ms: int) -> str | None:
        """What these send and get comes so much later; why not, where the kernel has no netem."""
        late = ("root", "netem", "delay", f"{delay_ms // 2}ms")
        for name in names:
            for inside, link in (([], _link(name)), (self.enter(name), "drill")):
                try:
                    run(*inside, "tc", "qdisc", "add", "dev", link, *late)
                except (TopologyError, OSError) as exc:
                    return str(exc)
                self._late.append([*inside, "tc", "qdisc", "del", "dev", link, "root"])
        return None

    def mend(self) -> None:
        """Everything passes again, and at once: also what was only half done."""
        run("nft", "flush", "table", "inet", "drill")
        while self._late:
            run(*self._late.pop())

    def close(self) -> None:
        """End it; repeatable."""
        while self._holders:
            name, holder = self._holders.popitem()
            with suppress(TopologyError):  # a link goes by itself with either of its ends
                run("ip", "link", "delete", _link(name))
            holder.kill()
            holder.wait()

    def _set_of(self, names: Iterable[str]) -> str:
        return f"{{ {', '.join(sorted(self.addresses[name] for name in names))} }}"

    def _add(self, rules: Iterable[str]) -> None:
        run("nft", "-f", "-", text="".join(f"add rule inet drill cuts {r}\n" for r in rules))

    def _join(self, name: str) -> None:
        """A process that does nothing holds the namespace."""
        holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])  # noqa: S607
        self._holders[name] = holder
        there = Path(f"/proc/{holder.pid}/ns/net")
        if not wait_until(lambda: there.readlink() != _OWN.readlink(), timeout_s=5):
            raise TopologyError("a network namespace was not made within 5 s")
        here = _link(name)
        peer = ("peer", "name", "drill", "netns", str(holder.pid))
        run("ip", "link", "add", here, "type", "veth", *peer)
        run("ip", "link", "set", here, "up")
        for link in ("lo", "drill"):
            run(*self.enter(name), "ip", "link", "set", link, "up")
        self._address(name)

    def _address(self, name: str) -> None:
        """Give it its address. Its routes went with the one that it had."""
        address = self.addresses[name]
        run("ip", "route", "replace", f"{address}/32", "dev", _link(name), "src", GATE)
        for words in (
            ("address", "add", f"{address}/32", "dev", "drill"),
            ("route", "add", f"{GATE}/32", "dev", "drill"),
            ("route", "add", "default", "via", GATE),
        ):
            run(*self.enter(name), "ip", *words)


def _link(name: str) -> str:
    """This end of the link to it."""
    return f"to-{name}"[:15]


def lost_in(table: str) -> int:
    """How many packets the counters in what nft(8) lists have seen."""
    return sum(map(int, re.findall(r"counter packets (\d+)", table)))


def run(*argv: str, text: str = "") -> str:
    """What it prints. Raises `TopologyError` where it fails."""
    ended = subprocess.run(  # noqa: S603
        argv, input=text, text=True, capture_output=True, check=False, timeout=60
    )
    if ended.returncode != 0:
        raise TopologyError(f"{' '.join(argv)}: {ended.stderr.strip()}")
    return ended.stdout
