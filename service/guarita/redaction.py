"""Hides what looks like a secret, and every secret set, in what is about to be logged."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from structlog.typing import EventDict, WrappedLogger

HIDDEN = "[hidden]"
MIN_HIDDEN_CHARACTERS = 6  # a shorter secret would be found in ordinary words

MOST_REMEMBERED = 512

_WORD = r"[A-Za-z0-9_-]"
_SECRETS = (
    (
        re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE),
        HIDDEN,
    ),
    (re.compile(rf"(?<!{_WORD}){_WORD}{{64}}(?!{_WORD})"), HIDDEN),
    (re.compile(r"\b(bearer|basic)\s+[^\s,;\"']+", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (re.compile(r"(://[^/\s:@]*:)[^/\s@]+@"), rf"\1{HIDDEN}@"),
    (
        re.compile(
            r"(session_id|session_token|attempt|password|secret|__Host-guarita)"
            r"([\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;}]+",
            re.IGNORECASE,
        ),
        rf"\1\2{HIDDEN}",
    ),
)
# None of them is in so short a text without white space, "=" and ":": most values need no search.
_HARMLESS = re.compile(r"[^\s=:]{0,35}")
# Of closed sets, made up here, or checked on their way in. Proxies like UUIDs as request ids.
_OURS = frozenset(
    {"level", "logger", "method", "outcome", "request_id", "status", "ticket", "timestamp"}
)
_PLAIN = frozenset({bool, float, int, type(None)})


class Redactor:
    """The last line of defence: hides whatever looks like a secret, and every secret set."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted({s for s in secrets if len(s) >= MIN_HIDDEN_CHARACTERS}, key=len)
        self._known = [*reversed(known)]  # the longest first: one may be a part of another
        self._harmless: set[str] = set()  # what was looked at before: routes, addresses

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """A structlog processor; exceptions must be text by then."""
        for key, value in event.items():
            kind = type(value)
            if kind is str:
                if key not in _OURS and value not in self._harmless:
                    event[key] = self._seen(value)
            elif kind not in _PLAIN:
                event[key] = self._hide(value)
        return event

    def _seen(self, text: str) -> str:
        shown = self.hide(text)
        if shown == text:
            if len(self._harmless) >= MOST_REMEMBERED:
                self._harmless.clear()
            self._harmless.add(text)
        return shown

    def hide(self, text: str) -> str:
        """The text without secrets."""
        for secret in self._known:
            if secret in text:
                text = text.replace(secret, HIDDEN)
        if _HARMLESS.fullmatch(text):
            return text
        for pattern, replacement in _SECRETS:
            text = pattern.sub(replacement, text)
        return text

    def _hide(self, value: Any) -> Any:
        match value:
            case None | bool() | int() | float():
                return value
            case dict():
                return {self.hide(str(key)): self._hide(inner) for key, inner in value.items()}
            case list() | tuple():
                return [self._hide(inner) for inner in value]
        return self.hide(str(value))
