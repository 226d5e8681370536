"""A server that refuses its file: what it told, and when the file may be put aside."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from guarita.node.damage import FILES, MOST_ASIDE, put_aside, told_by, why_not_aside
from guarita.node.peers import Role, State

from .facts import ME, A, B, heard, peer, says, words

LEADS = {A: peer(A, role=Role.PRIMARY), B: peer(B)}
BEFORE = "1:M 25 Nov 2026 22:03:26.808 "


@pytest.mark.parametrize(
    "line",
    [
        "# Bad file format reading the append only file appendonly.aof.2.incr.aof: make a backup",
        "# Unknown command 'SAT' reading the append only file appendonly.aof.2.incr.aof",
        "# Unexpected end of file reading the append only file appendonly.aof.1.incr.aof. You can",
        "# Internal error in RDB reading offset 0, function at rdb.c:3225 -> RDB CRC error",
        "# Error reading the RDB base file appendonly.aof.2.base.rdb, AOF loading aborted",
        "# Unable to obtain the AOF file a.2.base.rdb length. stat: No such file or directory",
    ],
)
def test_damage_is_known_by_what_the_server_told(line):
    assert told_by([f"{BEFORE}* Server initialized", BEFORE + line, "[offset 0] Checking RDB file"])


def test_damage_of_the_manifest_is_told_without_a_date():
    lines = ["*** FATAL AOF MANIFEST FILE ERROR ***", f"{BEFORE}# Found an empty AOF manifest"]
    assert told_by(lines) == "FATAL AOF MANIFEST FILE ERROR"


@pytest.mark.parametrize(
    "line",
    [
        "# Fatal error: can't open the AOF file a.1.incr.aof for reading: Permission denied",
        "# Unrecoverable error reading the append only file a.1.incr.aof: Input/output error",
        "# Unable to obtain the AOF file a.2.base.rdb length. stat: Permission denied",
        "# Out of memory allocating 16777216 bytes!",
        "*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***",
    ],
)
def test_what_the_system_or_the_configuration_refuses_is_no_damage(line):
    assert told_by([BEFORE + line, line]) is None


def test_files_are_put_aside_where_the_named_node_leads_with_its_data():
    assert why_not_aside(ME, words(A, A, ME), LEADS) is None


@pytest.mark.parametrize(
    ("said", "peers", "reason"),
    [
        (words(), LEADS, "0 of 3 Sentinels answer"),
        (words(A, ME), LEADS, "none is agreed on"),
        (words(ME, ME, ME), LEADS, "name this node"),
        (words(A, A, replace(says(A), failover=True)), LEADS, "failover is under way"),
        (words(A, A, replace(says(A), chosen=B)), LEADS, "failover is under way"),
        (words(A, A, A), {A: None, B: peer(B)}, "does not answer"),
        (words(A, A, A), {A: peer(A), B: peer(B)}, "does not lead"),
        (words(A, A, A), {A: peer(A, role=Role.PRIMARY, state=State.BOOTING)}, "does not lead"),
        (words(A, A, A), {A: peer(A, None, Role.PRIMARY)}, "does not lead"),
    ],
)
def test_they_stay_where_nobody_else_certainly_has_the_data(said, peers, reason):
    assert reason in (why_not_aside(ME, said, peers) or "")


def test_every_combination_puts_files_aside_only_where_the_named_node_leads_and_has_loaded():
    sure = (peer(A, role=Role.PRIMARY), peer(A, role=Role.PRIMARY, state=State.LEAVING))
    unsure = (
        None,
        peer(A),
        peer(A, None),
        peer(A, None, Role.PRIMARY),
        peer(A, role=Role.PRIMARY, state=State.BOOTING),
    )
    for named, failover, chosen in product(
        product((None, ME, A, B), repeat=3), (True, False), (None, ME, A)
    ):
        said = heard(named, failover=failover, chosen=chosen)
        is_named = named.count(A) >= 2 and not failover and chosen is None
        for other, third in product((*sure, *unsure), (None, peer(B))):
            reason = why_not_aside(ME, said, {A: other, B: third})
            assert (reason is None) == (is_named and other in sure)


def damaged(directory: Path) -> Path:
    (directory / FILES).mkdir()
    path = directory / FILES / "appendonly.aof.1.incr.aof"
    path.write_bytes(b"damaged")
    return path


def test_what_is_put_aside_is_kept_whole_and_only_so_often(tmp_path):
    for _ in range(MOST_ASIDE):
        damaged(tmp_path)
        aside = put_aside(tmp_path)
        assert aside
        assert [each.read_bytes() for each in aside.iterdir()] == [b"damaged"]
        assert not (tmp_path / FILES).exists()
    left = damaged(tmp_path)
    assert put_aside(tmp_path) is None
    assert left.read_bytes() == b"damaged"
    assert len(list(tmp_path.glob("damaged-*"))) == MOST_ASIDE


def test_what_cannot_be_put_aside_is_said_and_stays(tmp_path):
    assert put_aside(tmp_path) is None
