"""Bodies of requests: how the application reads them, and where they end."""

from __future__ import annotations

import re

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from http1.conftest import Loop, read_answers

HEAD = b"POST %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


def _sized(path: bytes, body: bytes) -> bytes:
    return HEAD % path + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _chunked(path: bytes, chunks: bytes) -> bytes:
    return HEAD % path + CHUNKED + chunks


@pytest.mark.parametrize(
    "request_",
    [
        _sized(b"/lines", b"abc\nd\n\nef"),
        _chunked(b"/lines", b'1\r\na\r\n8;x="y"\r\nbc\nd\n\nef\r\n00\r\nX-Trailer: a\r\n\r\n'),
    ],
    ids=["length", "chunks"],
)
def test_a_body_is_read_as_a_file(loop: Loop, request_: bytes) -> None:
    for pieces in ([request_], [request_[at : at + 1] for at in range(len(request_))]):
        assert loop.ask(*pieces).json == ["ab", "c\n", "d\n", "\n", "ef", "", ""]


def test_a_large_body_comes_through(loop: Loop) -> None:
    body = bytes(range(256)) * 4096
    assert loop.ask(_sized(b"/echo", body)).body == body
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:99], body[99:]))
    assert loop.ask(_chunked(b"/echo", chunks + b"0\r\n\r\n")).body == body


def test_a_body_may_come_in_chunks_of_a_byte(loop: Loop) -> None:
    assert loop.ask(_chunked(b"/echo", b"1\r\na\r\n" * 16_384 + b"0\r\n\r\n")).body == b"a" * 16_384


BROKEN = {
    "no size": b"\r\n\r\n",
    "no number": b"x\r\n\r\n",
    "sign": b"+2\r\n{}\r\n0\r\n\r\n",
    "prefix": b"0x2\r\n{}\r\n0\r\n\r\n",
    "space": b"2 \r\n{}\r\n0\r\n\r\n",
    "space before": b" 2\r\n{}\r\n0\r\n\r\n",
    "underscore": b"0_2\r\n{}\r\n0\r\n\r\n",
    "too large": b"fffffffff\r\n",
    "bare LF behind the size": b"2\n{}\r\n0\r\n\r\n",
    "bare CR behind the size": b"2\r{}\r\n0\r\n\r\n",
    "LF in an extension": b"2;a\nb\r\n{}\r\n0\r\n\r\n",
    "CR in an extension": b"2;a\rb\r\n{}\r\n0\r\n\r\n",
    "long extension": b"2;" + b"a" * 300 + b"\r\n{}\r\n0\r\n\r\n",
    "longer than it says": b"2\r\n{}}\r\n0\r\n\r\n",
    "shorter than it says": b"4\r\n{}\r\n0\r\n\r\n",
    "bare LF behind the data": b"2\r\n{}\n0\r\n\r\n",
    "nothing behind the data": b"2\r\n{}0\r\n\r\n",
    "bare LF at the end": b"2\r\n{}\r\n0\r\n\n",
    "trailer without a colon": b"0\r\ntrailer\r\n\r\n",
    "trailer without a name": b"0\r\n: a\r\n\r\n",
    "folded trailer": b"0\r\nX: a\r\n b\r\n\r\n",
    "hardly a byte a chunk": (b"1;" + b"a" * 200 + b"\r\n{\r\n") * 2000 + b"0\r\n\r\n",
    "trailers without end": b"0\r\n" + b"X: a\r\n" * 2000 + b"\r\n",
}


@pytest.mark.parametrize("chunks", BROKEN.values(), ids=BROKEN)
def test_a_body_that_is_none_is_refused(loop: Loop, chunks: bytes) -> None:
    behind = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    answer = loop.ask(_chunked(b"/echo", chunks) + behind)
    assert (answer.status, answer.headers["connection"]) == (400, "close")


def test_an_application_may_answer_for_a_broken_body_itself(loop: Loop) -> None:
    request = _chunked(b"/catch", b"x\r\n").replace(b"Connection: close\r\n", b"")
    answer = loop.ask(request)
    assert answer.json == ["MalformedBodyError"] * 2
    assert answer.headers["connection"] == "close"


@given(
    st.lists(
        st.sampled_from(
            [b"0\r\n", b"\r\n", b"2\r\n", b"{}", b"{}\r\n", b"1", b"a", b";", b"\n", b"\r", b"X: y"]
        ),
        max_size=8,
    ).map(b"".join)
)
@settings(max_examples=200, deadline=None)
def test_chunks_mean_what_llhttp_says(chunks: bytes) -> None:
    """Two readers that take the same bytes for different requests are how one is smuggled."""
    from guarita.http1.body import open_body
    from guarita.http1.wire import GoneError, Limits, Wire

    class Given:
        """A caller who sent this and hung up."""

        def __init__(self) -> None:
            self._left = [chunks]

        def recv(self, _size: int) -> bytes:
            return self._left.pop() if self._left else b""

    body = open_body(Wire(Given(), Limits()), None, expects_continue=False)  # type: ignore[arg-type]
    read = b""
    ours = "whole"
    try:
        while piece := body.take(100):
            read += piece
    except GoneError:
        ours = "unfinished"
    except OSError:
        ours = "broken"
    theirs, data = _llhttp(chunks)
    if theirs == "whole":
        assert (ours, read) == ("whole", data)
    elif ours == "whole":  # what llhttp refuses then is the next request
        assert theirs == "refused"
        assert data == read
        assert _llhttp(chunks[: _end(chunks)]) == ("whole", data)


def _llhttp(chunks: bytes) -> tuple[str, bytes]:
    class Seen:
        data = b""
        is_complete = False

        def on_body(self, data: bytes) -> None:
            self.data += data if not self.is_complete else b""

        def on_message_complete(self) -> None:
            self.is_complete = True

    seen = Seen()
    parser = httptools.HttpRequestParser(seen)
    parser.feed_data(b"POST / HTTP/1.1\r\nHost: a\r\n" + CHUNKED)
    try:
        parser.feed_data(chunks)
    except httptools.HttpParserError:
        return "refused", seen.data
    return ("whole" if seen.is_complete else "unfinished"), seen.data


def _end(chunks: bytes) -> int:
    """Where the first empty line behind a last chunk ends."""
    at = 0
    while match := re.compile(rb"([0-9a-fA-F]+)[^\n]*\n").match(chunks, at):
        at = match.end() + int(match[1], 16) + 2
        if int(match[1], 16) == 0:
            at = match.end()
            break
    while chunks[at : at + 2] != b"\r\n":
        at = chunks.index(b"\r\n", at) + 2
    return at + 2


@pytest.mark.parametrize("path", [b"/", b"/pieces", b"/none"])
def test_a_body_that_nobody_reads_does_not_become_a_request(loop: Loop, path: bytes) -> None:
    inner = b"GET /raise HTTP/1.1\r\nHost: a\r\n\r\n"
    for body in (
        b"Content-Length: %d\r\n\r\n%b" % (len(inner), inner),
        CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(inner), inner),
    ):
        first = b"POST %b HTTP/1.1\r\nHost: a\r\n" % path + body
        answers = read_answers(loop.raw(first + _sized(b"/echo", b"next")))
        assert [answer.status for answer in answers] == [204 if path == b"/none" else 200, 200]
        assert answers[1].body == b"next"


def test_what_nobody_reads_of_a_body_has_a_limit(loop: Loop) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n"
    answer = loop.ask(head)
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert loop.ask(head + bytes(1_000_000)).status == 200


def test_who_waits_to_be_asked_is_asked_when_the_body_is_read(loop: Loop) -> None:
    head = HEAD % b"/echo" + b"Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n"
    with loop.connect() as connection:
        connection.sendall(head)
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        (answer,) = read_answers(connection.makefile("rb").read())
    assert answer.body == b"{}"


def test_who_waits_to_be_asked_is_not_when_nobody_reads(loop: Loop) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    with loop.connect() as connection:
        connection.sendall(head)
        received = connection.makefile("rb").read()
    (answer,) = read_answers(received)
    assert b"100 Continue" not in received
    assert (answer.status, answer.headers["connection"]) == (200, "close")


def test_nobody_is_asked_for_a_body_that_is_there_or_by_http_1_0(loop: Loop) -> None:
    there = HEAD % b"/echo" + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}"
    old = b"POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}"
    for request in (there, old):
        received = loop.raw(request)
        assert b"100 Continue" not in received
        assert read_answers(received)[0].body == b"{}"


def test_who_hangs_up_within_a_body_is_no_trouble(here: Loop) -> None:
    with here.connect() as connection:
        connection.sendall(_sized(b"/echo", b"{}")[:-1])
    assert here.get("/").status == 200
    assert here.reports == []
