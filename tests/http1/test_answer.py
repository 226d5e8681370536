"""Answers: what the application may say, what is added, and what never goes out."""

from __future__ import annotations

import pytest

from http1 import echo
from http1.conftest import Loop, read_answers


def test_a_small_answer_is_one_piece(loop: Loop) -> None:
    with loop.connect() as connection:
        for method in ("GET", "HEAD", "GET"):
            connection.sendall(f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            (answer,) = read_answers(connection.recv(65_536), method)
            assert (answer.status, answer.is_whole) == (200, True)
            assert answer.headers["content-length"] == "2"
            assert answer.body == (b"" if method == "HEAD" else b"ok")


def test_a_date_is_added_and_one_of_the_application_is_kept(loop: Loop) -> None:
    assert loop.get("/").headers["date"].endswith(" GMT")
    answer = loop.get("/dated")
    assert (answer.headers["date"], answer.headers["server"]) == ("today", "own")


def test_no_version_is_told(loop: Loop) -> None:
    assert loop.get("/").headers["server"] == "gunicorn"


def test_pieces_without_a_length_are_chunks_or_end_with_the_connection(loop: Loop) -> None:
    answer = loop.get("/pieces")
    assert (answer.body, answer.headers["transfer-encoding"]) == (b"one, two", "chunked")
    old = loop.ask(b"GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert (old.body, old.headers["connection"]) == (b"one, two", "close")
    assert "transfer-encoding" not in old.headers


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/sized", 200, b"one, two"),
        ("/empty", 200, b""),
        ("/write", 200, b"written, returned"),
        ("/late-start", 200, b"late"),
        ("/replaced", 503, b"replaced"),
        ("/hop-by-hop", 200, b"ok"),
        ("/latin", 200, b"ok"),
    ],
)
def test_what_wsgi_allows_is_answered(loop: Loop, path: str, status: int, body: bytes) -> None:
    answer = loop.get(path)
    assert (answer.status, answer.body, answer.is_whole) == (status, body, True)
    assert "x-first" not in answer.headers
    assert {"content-length", "transfer-encoding"} & set(answer.headers)
    assert "upgrade" not in answer.headers


@pytest.mark.parametrize(
    ("path", "status"), [("/none", 204), ("/talkative%20none", 204), ("/not-modified", 304)]
)
def test_some_answers_have_no_body(loop: Loop, path: str, status: int) -> None:
    first = f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    last = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answers = read_answers(loop.raw(first + last))
    assert [answer.status for answer in answers] == [status, 200]
    assert "content-length" not in answers[0].headers
    assert "transfer-encoding" not in answers[0].headers


def test_head_is_answered_as_get_without_the_body(loop: Loop) -> None:
    for path in ("/", "/pieces", "/sized", "/write", "/short"):
        asked = loop.get(path).headers
        told = loop.get(path, method="HEAD").headers
        for headers in (asked, told):
            headers.pop("date")
            headers.pop("transfer-encoding", None)
        assert told == asked


def test_an_answer_is_closed_however_it_ends(here: Loop) -> None:
    echo.closed.clear()
    for path in ("/pieces", "/sized", "/short", "/long"):
        here.get(path)
    assert echo.closed == ["/pieces", "/sized", "/short", "/long"]


BROKEN = [
    "/split-value",
    "/split-lf",
    "/split-name",
    "/odd-name",
    "/split-status",
    "/not-latin",
    "/not-text",
    "/wrong-length",
    "/two-lengths",
    "/early-status",
    "/twice",
    "/raise",
    "/no-start",
]


@pytest.mark.parametrize("path", BROKEN)
def test_a_failure_of_the_application_is_500_and_shows_nothing(loop: Loop, path: str) -> None:
    answer = loop.get(path)
    assert (answer.status, answer.headers["connection"]) == (500, "close")
    assert not [name for name in answer.headers if "x-b" in name]
    for word in (b"planted", b"RuntimeError", b"failed at once", b"Traceback"):
        assert word not in answer.body


def test_a_failure_is_reported_with_its_reason(here: Loop) -> None:
    for path in BROKEN:
        here.get(path)
    assert len(here.reports) == len(BROKEN)
    assert "RuntimeError: failed at once" in here.reports


@pytest.mark.parametrize(
    ("path", "body"),
    [("/short", b"one, two"), ("/failing", b"begun"), ("/replaced-too-late", b"begun")],
)
def test_an_answer_that_breaks_off_does_not_look_whole(loop: Loop, path: str, body: bytes) -> None:
    received = loop.raw(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode() * 2)
    (answer,) = read_answers(received)
    assert (answer.status, answer.body, answer.is_whole) == (200, body, False)


def test_never_more_bytes_than_announced(loop: Loop) -> None:
    received = loop.raw(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
    (answer,) = read_answers(received)
    assert (answer.body, answer.is_whole) == (b"one, tw", True)


def test_a_large_answer_arrives(loop: Loop) -> None:
    assert len(loop.get("/large").body) == echo.LARGE
