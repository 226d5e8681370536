"""The iframe page, its files and its languages."""

from __future__ import annotations

import json
import re
from importlib import resources

import pytest

from guarita import web


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("de, fr;q=0.8", "en"),
        ("pt-BR", "pt-BR"),
        ("pt", "pt-BR"),
        ("PT-pt", "pt-BR"),
        ("pt-BR,pt;q=0.9,en-US;q=0.8,en;q=0.7", "pt-BR"),
        ("en-US,en;q=0.9,pt;q=0.8", "en"),
        ("pt;q=0.3, en-GB ; Q=0.9", "en"),
        ("fr, pt;q=0.001", "pt-BR"),
        ("en;q=0, *", "pt-BR"),
        ("en;q=0.2, *;q=0.9", "pt-BR"),
        ("*", "en"),
        ("en;q=0", "en"),
        ("pt;q=2, en;q=0.1", "en"),
        ("pt;q=0.5;level=1, en;q=0.1", "en"),
        ("ptolemy", "en"),
        (",;,=;q=,\x00" * 1000, "en"),
    ],
)
def test_the_language_is_the_one_that_the_visitor_prefers(
    header: str | None, language: str
) -> None:
    assert web.choose_language(header) == language


@pytest.mark.parametrize("language", web.LANGUAGES)
def test_the_page_is_written_in_its_language(language: str) -> None:
    page = web.page(language).decode()
    assert f'<html lang="{language}"' in page
    assert ("Entrando…" in page) is (language == "pt-BR")
    assert "$" not in page


@pytest.mark.parametrize("folder", ["guarita.web", "guarita.web.demo"])
def test_every_text_exists_in_every_language(folder: str) -> None:
    texts = json.loads((resources.files(folder) / "texts.json").read_text("utf-8"))
    assert list(texts) == list(web.LANGUAGES)
    assert len({frozenset(each) for each in texts.values()}) == 1
    assert all(text.strip() for each in texts.values() for text in each.values())


def test_the_page_loads_nothing_but_its_own_two_files_and_has_no_inline_code() -> None:
    page = web.page("en").decode()
    addresses = re.findall(r'(?:src|href|action)="([^"]*)"', page)
    assert addresses == ["/client/guarita.js", "/client/guarita.css"]
    assert re.findall(r"<script[^>]*>([^<]*)<", page) == [""]
    assert "<style" not in page
    assert not re.search(r"\s(on\w+|style)=", page)


def test_the_script_comes_before_whatever_else_the_page_loads() -> None:
    page = web.page("en")
    assert page.index(b"<script") < page.index(b"<link")


def test_the_script_keeps_no_secret_in_web_storage_and_names_no_wildcard_target() -> None:
    script = web.asset("guarita.js")
    assert script is not None
    assert not re.search(rb"localStorage|sessionStorage|indexedDB|document\.cookie", script.content)
    assert not re.search(rb"""postMessage\([^)]*["'`]\*""", script.content)


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("guarita.js", "text/javascript; charset=utf-8"),
        ("guarita.css", "text/css; charset=utf-8"),
    ],
)
def test_an_asset_comes_with_its_content_type(name: str, content_type: str) -> None:
    asset = web.asset(name)
    assert asset is not None
    assert asset.content_type == content_type
    assert asset.content


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "iframe.html", "texts.json", "../errors.py", "guarita.js/", "GUARITA.JS"],
)
def test_no_other_file_can_be_asked_for(name: str) -> None:
    assert web.asset(name) is None


def test_values_are_escaped_for_html() -> None:
    folder = resources.files("guarita.web.demo")
    page = web.render(folder, "host.html", "en", service_origin='"><script>').decode()
    assert 'data-service-origin="&quot;&gt;&lt;script&gt;"' in page
