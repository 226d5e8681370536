"""The part of docs/doctor.md that is written from the kinds of trouble."""

from __future__ import annotations

from collections.abc import Iterator

from guarita.doctor.kinds import Kind

BEGINS = "<!-- kinds: written by `guarita doctor --write-page docs/doctor.md` -->\n"
ENDS = "<!-- end of kinds -->\n"

_SUBJECTS = {
    Kind.NO_MAJORITY: "The primary and its replicas",
    Kind.SENTINEL_SILENT: "The Sentinels",
    Kind.NODE_SILENT: "Reaching servers",
    Kind.AOF_FAILING: "Data on disk and in memory",
    Kind.DOWN_AFTER_SHORT: "Settings",
    Kind.VERSION_OLD: "Machines",
    Kind.CLUSTER_DOWN: "Cluster",
    Kind.NOTHING_TO_ASK: "The store in memory",
}


def with_kinds(page: str) -> str:
    """The page with the current kinds between its marks. Raises `ValueError` without them."""
    before, begins, rest = page.partition(BEGINS)
    _, ends, after = rest.partition(ENDS)
    if not begins or not ends:
        raise ValueError(f"the page lacks {BEGINS.strip()} or its end")
    return f"{before}{begins}\n{''.join(_kinds())}{ends}{after}"


def _kinds() -> Iterator[str]:
    for kind in Kind:
        if kind in _SUBJECTS:
            yield f"## {_SUBJECTS[kind]}\n\n"
        words = kind.words
        yield f"### {kind.code}\n\n{words.severity.capitalize()}. {words.what} {words.why}\n\n"
        yield f"Do: {kind.advice({})}\n\n"
