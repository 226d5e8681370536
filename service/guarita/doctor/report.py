"""What doctor tells: as JSON whose shape is kept, and as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from guarita.config import Address, Topology
from guarita.doctor.finding import Finding, Severity
from guarita.doctor.seen import Node, Seen, Sentinel

_COLOURS = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "bold"}


@dataclass(frozen=True, slots=True)
class Report:
    """What was seen and what is wrong with it."""

    seen: Seen
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing is worse than a note."""
        return all(each.severity is Severity.NOTE for each in self.findings)

    def as_json(self) -> dict[str, Any]:
        return {
            "healthy": self.healthy,
            "findings": [asdict(each) for each in self.findings],
            "seen": _plain(self.seen),
        }

    def as_text(self) -> RenderableType:
        parts: list[RenderableType] = [Text(self._summary()), Text()]
        for finding, places in _grouped(self.findings):
            head = Text.assemble(
                (finding.severity.upper(), _COLOURS[finding.severity]), f" {finding.code}"
            )
            if places:
                head.append(f"  {', '.join(places)}")
            body = Text(f"{finding.text}\nDo: {finding.advice}\n")
            parts += [head, Padding(body, (0, 0, 0, 2), expand=False)]
        if self.seen.sentinels or self.seen.nodes:
            parts.append(_table(self.seen))
        return Group(*parts)

    def _summary(self) -> str:
        seen = self.seen
        who = f"{seen.topology}"
        if seen.primary_name:
            who += f" {seen.primary_name}"
        counts = (
            _count(sum(each.severity is level for each in self.findings), level.value)
            for level in Severity
        )
        judged = ", ".join(filter(None, counts)) or "nothing is wrong"
        if seen.topology is Topology.MEMORY:
            return f"{who}: {judged}"
        asked = [_count(len(seen.sentinels), "Sentinel"), _count(len(seen.nodes), "data node")]
        return f"{who}: {judged} (asked {', '.join(filter(None, asked))} in {seen.took_s:.1f} s)"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' if number != 1 else ''}" if number else ""


def _grouped(findings: Iterable[Finding]) -> Iterator[tuple[Finding, list[str]]]:
    """The same trouble at several places is told once, with the advice of the first."""
    groups: dict[tuple[str, str], tuple[Finding, list[str]]] = {}
    for each in findings:
        _, places = groups.setdefault((each.code, each.text), (each, []))
        if each.node:
            places.append(each.node)
    yield from groups.values()


def _table(seen: Seen) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("address", "what it is", "follows", "offset", "version"):
        table.add_column(heading, overflow="fold")
    for sentinel in seen.sentinels:
        table.add_row(*_sentinel_row(sentinel))
    for node in seen.nodes:
        table.add_row(*_node_row(node))
    return table


def _sentinel_row(sentinel: Sentinel) -> tuple[str, ...]:
    view = sentinel.view
    what = "Sentinel" if sentinel.server.failure is None else "Sentinel, silent"
    names = f"names {view.primary}" if view and view.primary else ""
    return (str(sentinel.address), what, names, "", _version(sentinel.server.version))


def _node_row(node: Node) -> tuple[str, ...]:
    address = str(node.address)
    if not node.answers:
        return (address, "data node, silent", "", "", "")
    version = _version(node.server.version)
    if not node.is_replica:
        role = "primary" if node.is_primary else "data node"
        return (address, role, "", str(node.offset), version)
    link = "up" if node.link_is_up else "down"
    return (address, f"replica, link {link}", str(node.follows), str(node.offset), version)


def _version(version: tuple[str, tuple[int, ...]] | None) -> str:
    return f"{version[0]} {'.'.join(map(str, version[1]))}" if version else ""


def _plain(value: Any) -> Any:
    """Values as JSON has them: an address as `host:port`, a set in order."""
    if isinstance(value, Address):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, frozenset):
        return sorted(_plain(each) for each in value)
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value
