"""What people see: the page in the iframe, its script and style, in every language we speak.

Only files and texts: no Falcon, no settings, no environment.
"""

from __future__ import annotations

import json
import re
from functools import cache
from html import escape
from importlib import resources
from importlib.resources.abc import Traversable
from string import Template
from typing import NamedTuple

LANGUAGES = ("en", "pt-BR")

_BY_PRIMARY_SUBTAG = {language.partition("-")[0]: language for language in LANGUAGES}
_CONTENT_TYPES = {
    "guarita.css": "text/css; charset=utf-8",
    "guarita.js": "text/javascript; charset=utf-8",
}
_WEIGHT = re.compile(r"[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*")


class Asset(NamedTuple):
    """A static file as it is sent."""

    content: bytes
    content_type: str


def choose_language(accept_language: str | None) -> str:
    """The one of `LANGUAGES` that an Accept-Language value prefers; the first when it names none.

    RFC 9110 section 12.5.4: higher weights win, weight 0 refuses, `*` stands for the languages
    not named. Equal weights: the one named first. Any `pt` is answered in `pt-BR`.
    """
    weights: dict[str, float] = {}
    others = 0.0
    for item in (accept_language or "").split(","):
        name, semicolon, _ = item.partition(";")
        weight = _WEIGHT.fullmatch(item[len(name) :]) if semicolon else None
        if semicolon and weight is None:
            continue
        value = float(weight[1]) if weight else 1.0
        language = _BY_PRIMARY_SUBTAG.get(name.strip(" \t").lower().partition("-")[0])
        if language:
            weights[language] = max(value, weights.get(language, 0.0))
        elif name.strip(" \t") == "*":
            others = value
    for language in LANGUAGES:
        weights.setdefault(language, others)
    best = max(weights, key=weights.__getitem__)
    return best if weights[best] > 0 else LANGUAGES[0]


@cache
def page(language: str) -> bytes:
    """The iframe page as UTF-8 HTML in one of `LANGUAGES`. Raises KeyError on another."""
    return render(resources.files(__name__), "iframe.html", language)


@cache
def asset(name: str) -> Asset | None:
    """The script or the style by its file name; None for every other name."""
    content_type = _CONTENT_TYPES.get(name)
    if content_type is None:
        return None
    return Asset((resources.files(__name__) / name).read_bytes(), content_type)


def render(folder: Traversable, name: str, language: str, **values: str) -> bytes:
    """Fill the template `name` with the folder's texts of one language, escaped for HTML."""
    texts = json.loads((folder / "texts.json").read_text("utf-8"))[language] | values
    template = Template((folder / name).read_text("utf-8"))
    filled = template.substitute({key: escape(text) for key, text in texts.items()}, lang=language)
    return filled.encode()
