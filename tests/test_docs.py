"""The documents name only what is there: files, headings, make targets, commands, API paths."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import pytest
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from guarita.cli import cli

ROOT = Path(__file__).parents[1]
_COMMAND = re.compile(r"(?:\.venv/bin/)?(guarita|make)(?=\s|$)(.*)", re.DOTALL)
_API_PATH = re.compile(r"/(?:auth|client|healthz)/[a-z.-]+|/livez|/readyz|/metrics|/openapi\.json")


def _documents() -> list[Path]:
    folders = [each for each in ROOT.iterdir() if each.is_dir() and each.name[0] != "."]
    below = [path for folder in folders for path in folder.rglob("*.md")]
    return sorted([*ROOT.glob("*.md"), *below])


each_document = pytest.mark.parametrize(
    "document", _documents(), ids=lambda path: str(path.relative_to(ROOT))
)


@cache
def _tokens(document: Path) -> list[Token]:
    """Blocks and, after each, what stands in it."""
    blocks = MarkdownIt("commonmark").enable("table").parse(document.read_text("utf-8"))
    return [token for block in blocks for token in (block, *(block.children or ()))]


def _targets(document: Path) -> list[str]:
    attributes = {"link_open": "href", "image": "src"}
    return [
        str(token.attrs[attributes[token.type]])
        for token in _tokens(document)
        if token.type in attributes
    ]


@cache
def _anchors(document: Path) -> set[str]:
    """The names that GitHub gives to headings."""
    blocks = _tokens(document)
    titles = [
        blocks[number + 1].content.lower()
        for number, block in enumerate(blocks)
        if block.type == "heading_open"
    ]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def _code_lines(document: Path) -> Iterator[str]:
    """Code inside sentences, and what a reader is told to type."""
    for token in _tokens(document):
        if token.type == "code_inline":
            yield token.content
        elif token.type == "fence" and token.info == "console":
            yield from (line[2:] for line in token.content.splitlines() if line[:2] == "$ ")


def _commands(document: Path, program: str) -> list[list[str]]:
    """The words after each call of the program; options, their values and comments left out."""
    found = []
    for line in _code_lines(document):
        match = _COMMAND.fullmatch(line)
        if match and match[1] == program:
            text = re.sub(r"--config \S+|[>#|].*", "", match[2])
            found.append(text.split())
    return found


@each_document
def test_every_link_and_image_leads_somewhere(document: Path) -> None:
    for target in _targets(document):
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            continue
        path = (document.parent / unquote(parts.path)).resolve() if parts.path else document
        assert path.exists(), f"{target} leads nowhere"
        if parts.fragment and path.suffix == ".md":
            assert parts.fragment in _anchors(path), f"{target}: there is no such heading"


@each_document
def test_every_make_target_that_is_named_exists(document: Path) -> None:
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for words in _commands(document, "make"):
        for word in words[:1]:
            assert word in known, f"make {word} is not in the Makefile"


@each_document
def test_every_command_of_guarita_that_is_named_exists(document: Path) -> None:
    for words in _commands(document, "guarita"):
        command: click.Command | None = cli
        context = click.Context(cli)
        for word in words:
            if not isinstance(command, click.Group) or not word[0].isalpha():
                break
            command = command.get_command(context, word)
            assert command is not None, f"guarita {' '.join(words)}: there is no {word}"


@each_document
def test_every_address_of_the_api_that_is_named_is_in_its_contract(document: Path) -> None:
    contract = yaml.safe_load((ROOT / "service/guarita/api/openapi.yaml").read_text("utf-8"))
    named = {path for line in _code_lines(document) for path in _API_PATH.findall(line)}
    assert named <= set(contract["paths"])


def test_the_readme_is_read_by_these_tests() -> None:
    readme = ROOT / "README.md"
    assert ["run"] in _commands(readme, "make")
    assert ["local", "kill-primary"] in _commands(readme, "guarita")
    assert "docs/images/demo.png" in _targets(readme)
    assert any("/auth/redeem" in line for line in _code_lines(readme))
