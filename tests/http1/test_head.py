"""Heads of requests: what is a request, what it says to the application, what is refused."""

from __future__ import annotations

import pytest

from guarita.http1.head import MAX_FIELD_BYTES, MAX_FIELDS, MAX_HEAD_BYTES, MAX_LINE_BYTES

from http1.conftest import Loop, read_answers

GET = b"GET /environ HTTP/1.1\r\nHost: a\r\n"
CLOSE = b"Connection: close\r\n\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: a\r\n"


def test_the_environment_is_that_of_pep_3333(loop: Loop) -> None:
    environ = loop.get(
        "/environ?a=%20b&c=d?e",
        "X-A: 1",
        "x-a:2 ",
        "X-Latin: \xe9",
        "Content-Type: text/x",
        "X-Forwarded-For: 192.0.2.1",
        "X-Forwarded-Proto: https",
    ).json
    assert environ.pop("REMOTE_PORT").isdigit()
    assert environ == {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/environ",
        "QUERY_STRING": "a=%20b&c=d?e",
        "CONTENT_TYPE": "text/x",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(loop.address[1]),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "a",
        "HTTP_X_A": "1,2",
        "HTTP_X_LATIN": "\xe9",
        "HTTP_X_FORWARDED_FOR": "192.0.2.1",
        "HTTP_X_FORWARDED_PROTO": "https",
        "HTTP_CONNECTION": "close",
        "wsgi.url_scheme": "http",
    }


def test_a_path_is_decoded_and_a_query_is_not(loop: Loop) -> None:
    environ = loop.get("/caf%C3%A9/%20a?%C3%A9").json
    assert environ["PATH_INFO"] == "/caf\xc3\xa9/ a"
    assert environ["QUERY_STRING"] == "%C3%A9"


def test_names_with_an_underscore_are_dropped(loop: Loop) -> None:
    named = ("X_Real: planted", "X-Real: own", "Content_Length: 5", "SCRIPT_NAME: /planted")
    environ = loop.get("/environ", *named).json
    assert environ["HTTP_X_REAL"] == "own"
    assert environ["SCRIPT_NAME"] == ""
    assert "CONTENT_LENGTH" not in environ
    assert "planted" not in environ.values()


def test_the_host_of_an_absolute_target_replaces_the_header(loop: Loop) -> None:
    environ = loop.get("HTTP://other:80/environ?q").json
    assert (environ["HTTP_HOST"], environ["PATH_INFO"]) == ("other:80", "/environ")
    assert environ["QUERY_STRING"] == "q"


def test_options_may_be_about_the_server(loop: Loop) -> None:
    assert loop.get("*", method="OPTIONS").json["PATH_INFO"] == "*"


def test_a_wish_for_another_protocol_is_ignored(loop: Loop) -> None:
    wish = b"Connection: Upgrade, close\r\nUpgrade: h2c\r\n"
    body = b"Content-Length: 2\r\n\r\n{}"
    chunks = b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    for rest in (body, chunks):
        assert loop.ask(POST + wish + rest).body == b"{}"


def test_a_request_without_a_host_is_one_of_http_1_0(loop: Loop) -> None:
    environ = loop.ask(b"GET /environ HTTP/1.0\r\n\r\n").json
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.0"
    assert loop.ask(b"GET /environ HTTP/1.1\r\n\r\n").status == 400


def test_one_empty_line_may_come_before_a_request(loop: Loop) -> None:
    assert loop.ask(b"\r\n" + GET + CLOSE).status == 200
    assert loop.ask(b"\r", b"\n", GET, CLOSE).status == 200


REFUSED = {
    "bare LF": b"GET / HTTP/1.1\nHost: a\n\n",
    "bare LF behind a value": GET + b"X: a\n" + CLOSE,
    "bare CR in a value": GET + b"X: a\rb\r\n" + CLOSE,
    "bare LF at the end": GET + b"X: a\r\n\n",
    "NUL": GET + b"X: a\0\r\n" + CLOSE,
    "DEL": GET + b"X: \x7f\r\n" + CLOSE,
    "folded line": GET + b"X: a\r\n b\r\n" + CLOSE,
    "folded first line": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "space before the colon": GET + b"X : a\r\n" + CLOSE,
    "no colon": GET + b"X\r\n" + CLOSE,
    "no name": GET + b": a\r\n" + CLOSE,
    "name is no token": GET + b"X(a): a\r\n" + CLOSE,
    "name is not ASCII": GET + b"X\xe9: a\r\n" + CLOSE,
    "two hosts": GET + b"host: b\r\n" + CLOSE,
    "the same host twice": GET + b"Host: a\r\n" + CLOSE,
    "host is none": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "host with a user": b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "hosts in one": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "absolute target with a user": b"GET http://u@h/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "absolute target without a host": b"GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n",
    "length and coding": POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "the same length twice": POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "list of lengths": POST + b"Content-Length: 1, 1\r\n\r\na",
    "length of thousands of digits": POST + b"Content-Length: " + b"0" * 4400 + b"2\r\n\r\n{}",
    "signed length": POST + b"Content-Length: +1\r\n\r\na",
    "negative length": POST + b"Content-Length: -1\r\n\r\na",
    "length with a sign of digits": POST + b"Content-Length: 1_0\r\n\r\n0123456789",
    "hexadecimal length": POST + b"Content-Length: 0x1\r\n\r\na",
    "empty length": POST + b"Content-Length:\r\n\r\na",
    "endless length": POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\na",
    "other coding": POST + b"Transfer-Encoding: gzip\r\n\r\n",
    "several codings": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding twice": POST + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n",
    "chunked is not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "almost chunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "vertical tab before chunked": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "coding of HTTP/1.0": b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/0.9 by name": b"GET / HTTP/0.9\r\nHost: a\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/2 as 1": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "RTSP": b"GET / RTSP/1.0\r\nHost: a\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "small method": b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
    "unknown method": b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
    "tunnel": b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "space at the end": b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
    "space in the target": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "tab": b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "fragment": b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n",
    "target is not ASCII": b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n",
    "relative target": b"GET a HTTP/1.1\r\nHost: a\r\n\r\n",
    "query alone": b"GET ?a HTTP/1.1\r\nHost: a\r\n\r\n",
    "asterisk": b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "many empty lines": b"\r\n\r\n" + GET + CLOSE,
    "space first": b" " + GET + CLOSE,
    "long line": b"GET /" + b"a" * MAX_LINE_BYTES + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "endless line": b"GET /" + b"a" * 2 * MAX_LINE_BYTES,
}


@pytest.mark.parametrize("request_", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("pieces", [1, 3, None], ids=["whole", "in three", "by the byte"])
def test_what_is_no_request_is_refused_once(
    loop: Loop, request_: bytes, pieces: int | None
) -> None:
    step = -(-len(request_) // (pieces or min(len(request_), 200)))
    cut = [request_[at : at + step] for at in range(0, len(request_), step)]
    answer = loop.ask(*cut)
    assert (answer.status, answer.headers["connection"]) == (400, "close")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (b"X: a\r\n" * (MAX_FIELDS - 2), 200),
        (b"X: a\r\n" * (MAX_FIELDS - 1), 431),
        (b"X: " + b"a" * (MAX_FIELD_BYTES - 1) + b"\r\n", 200),
        (b"X: " + b"a" * MAX_FIELD_BYTES + b"\r\n", 431),
        (b"X" * MAX_FIELD_BYTES + b": a\r\n", 431),
        ((b"X: " + b"a" * 8000 + b"\r\n") * 8, 200),
        ((b"X: " + b"a" * 8000 + b"\r\n") * 9, 431),
    ],
    ids=["100", "101", "8190 bytes", "8191 bytes", "long name", "64 kB", "72 kB"],
)
def test_heads_have_a_limit(loop: Loop, fields: bytes, status: int) -> None:
    assert loop.ask(GET + fields + CLOSE).status == status
    assert loop.ask(GET, fields, CLOSE).status == status


def test_a_line_of_the_longest_is_answered(loop: Loop) -> None:
    rest = MAX_LINE_BYTES - len(b"GET /environ? HTTP/1.1")
    assert (
        loop.ask(b"GET /environ?%b HTTP/1.1\r\nHost: a\r\n" % (b"a" * rest) + CLOSE).status == 200
    )


def test_an_endless_head_is_refused_before_its_end(loop: Loop) -> None:
    assert loop.ask(GET + b"X: " + b"a" * MAX_HEAD_BYTES).status == 431


def test_who_hangs_up_within_a_head_is_no_trouble(here: Loop) -> None:
    with here.connect() as connection:
        connection.sendall(GET)
    assert here.get("/").status == 200
    assert here.reports == []


@pytest.mark.parametrize("expectation", ["200-ok", "100-continue, 100-continue"])
def test_an_expectation_that_is_not_known_is_417(loop: Loop, expectation: str) -> None:
    assert loop.get("/", f"Expect: {expectation}").status == 417


def test_a_refused_request_ends_what_was_sent_behind_it(loop: Loop) -> None:
    smuggled = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 0\r\n\r\n"
    answers = read_answers(loop.raw(GET + b"\r\n" + smuggled + GET + CLOSE))
    assert [answer.status for answer in answers] == [200, 400]
