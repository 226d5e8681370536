"""`python -m guarita.web.demo`: what it says to wrong options."""

from __future__ import annotations

import socket

import pytest
from click.testing import CliRunner

from guarita.web.demo.__main__ import main


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--bind", "8080"], "8080: must be ADDRESS:PORT"),
        (["--bind", "127.0.0.1:http"], "127.0.0.1:http: must be ADDRESS:PORT"),
        (["--bind", "127.0.0.1:70000"], "70000 is not a port"),
        (["--bind", "0.0.0.0:8080"], "needs --origin"),
        (["--service-url", "localhost:8000"], "must be like https://auth.example"),
        (["--service-url", "http://localhost:8000/path"], "must be like https://auth.example"),
        (["--origin", "null"], "must be like https://auth.example"),
        (["--api-key-file", "/nowhere"], "does not exist"),
    ],
)
def test_a_wrong_option_is_named_and_ends_with_2(options: list[str], words: str) -> None:
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 2
    assert words in result.output


def test_a_taken_port_is_told_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        result = CliRunner().invoke(main, ["--bind", bind])
    assert result.exit_code == 3
    assert result.output == (
        f"cannot listen on {bind}: Address already in use; choose another --bind\n"
    )
