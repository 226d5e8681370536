"""What a node does whose server refuses its own file: the decision, and putting the file aside.

Nothing is thrown away: the damaged directory is renamed, whole. That is done only where another
node certainly has the data: a majority of the Sentinels names it, it leads, and it has loaded. A
node whose file is sound would follow that one and replace its own data all the same. Until then
the damaged file may be the only copy, and the node waits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import structlog

from guarita.node.boot import text
from guarita.node.peers import PeerState
from guarita.node.words import Words
from guarita.stores.durability import Address

FILES = "appendonlydir"
MOST_ASIDE = 3
"""A disk that has damaged more than these is not to be filled with copies."""

# What Redis 7.0 and Valkey 8.1 log before they end (aof.c, rdb.c). Not what the system refuses:
# nothing is damaged where a file may not be read.
_REFUSED = re.compile(
    r"(Bad file format|Unknown command '.*'|Unexpected end of file) reading the append only file.*"
    r"|Error reading the RDB (base|preamble of the AOF) file.*"
    r"|Internal error in RDB reading.*"
    r"|.*FATAL AOF MANIFEST FILE ERROR.*"
    r"|Unable to obtain the AOF file .* length\. stat: No such file or directory"
)

_log = structlog.get_logger("guarita.node")


def told_by(lines: Iterable[str]) -> str | None:
    """Which damage a server that has ended told in its last lines; None where it told none."""
    found = (_REFUSED.search(line) for line in lines)
    return next((each[0].strip("* ") for each in found if each), None)


def why_not_aside(
    me: Address, words: Words, peers: Mapping[Address, PeerState | None]
) -> str | None:
    """In words, why no other node certainly has the data; None if one has."""
    named = words.named
    if named is None:
        return f"{len(words.readings)} of {words.sentinels} Sentinels answer, and none is agreed on"
    if named == me:
        return "the Sentinels name this node"
    if words.failover or words.chosen:
        return "a failover is under way"
    peer = peers.get(named)
    if peer is None:
        return f"the agent of {text(named)}, which the Sentinels name, does not answer"
    if not peer.leads or peer.history is None:
        return f"{text(named)}, which the Sentinels name, does not lead yet"
    return None


def put_aside(directory: Path) -> Path | None:
    """Rename the damaged files, and say where they are; None where that is not to be done."""
    if len(list(directory.glob("damaged-*"))) >= MOST_ASIDE:
        _log.error("damaged files are not put aside", reason=f"{MOST_ASIDE} are there already")
        return None
    aside = directory / f"damaged-{datetime.now(UTC):%Y-%m-%dT%H-%M-%S.%fZ}"
    try:
        (directory / FILES).rename(aside)
    except OSError as exc:
        _log.error("damaged files cannot be put aside", reason=str(exc))
        return None
    return aside
