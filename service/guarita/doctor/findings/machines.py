"""Versions and clocks of the machines."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median_low

from guarita.config import Topology
from guarita.doctor.finding import Finding
from guarita.doctor.kinds import Kind
from guarita.doctor.seen import Seen, Server
from guarita.servers import OLDEST

_OFF_S = 1.0
_FAR_OFF_S = 5.0


def version_old(seen: Seen) -> Iterator[Finding]:
    for server in seen.servers:
        if server.version and server.version[1] < OLDEST[server.version[0]]:
            yield Kind.VERSION_OLD.at(server.address, f"It is {_words(server)}.")


def versions_differ(seen: Seen) -> Iterator[Finding]:
    for servers in ([each.server for each in seen.sentinels], [n.server for n in seen.answering]):
        told = [server for server in servers if server.version]
        if len({server.version for server in told}) > 1:
            said = ", ".join(f"{server.address} {_words(server)}" for server in told)
            yield Kind.VERSIONS_DIFFER.at("", f"There are several versions: {said}.")


def _words(server: Server) -> str:
    name, numbers = server.version or ("", ())
    return f"{name} {'.'.join(map(str, numbers))}"


def clocks(seen: Seen) -> Iterator[Finding]:
    """Each clock, and the one here, against the middle one of the servers.

    What half of a round trip could explain is taken for right.
    """
    told = [
        (str(server.address), server.ahead_s, server.unsure_s)
        for server in seen.servers
        if server.ahead_s is not None
    ]
    if not told or seen.topology is Topology.MEMORY:
        return
    middle = median_low(ahead_s for _, ahead_s, _ in told)
    for place, ahead_s, unsure_s in [*told, ("here", 0.0, 0.0)]:
        off_s = ahead_s - middle
        certain_s = abs(off_s) - unsure_s
        kind = Kind.CLOCK_FAR_OFF if certain_s > _FAR_OFF_S else Kind.CLOCK_OFF
        if certain_s > _OFF_S:
            side = "ahead of" if off_s > 0 else "behind"
            yield kind.at(place, f"The clock is {abs(off_s):.1f} s {side} that of the others.")


ALL = (version_old, versions_differ, clocks)
