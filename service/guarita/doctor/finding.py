"""What a finding is: how serious, where, what was seen and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Notes alone leave an installation healthy."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One trouble at one place; `node` is empty where it belongs to the whole installation."""

    severity: Severity
    code: str
    node: str
    text: str
    advice: str


@dataclass(frozen=True, slots=True)
class Words:
    """What is said of a kind of trouble, whatever was seen."""

    severity: Severity
    what: str
    why: str
    advice: str
