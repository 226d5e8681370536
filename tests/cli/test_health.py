"""`guarita health` against answers of every kind."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from guarita.cli import cli


@contextmanager
def answering(statuses: dict[str, int]) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses[self.path])
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def health(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["health", *arguments])


def test_a_service_that_answers_is_healthy() -> None:
    with answering({"/livez": 200}) as port:
        result = health("--url", f"http://127.0.0.1:{port}")
    assert (result.exit_code, result.stdout) == (0, "healthy\n")


def test_deep_asks_for_the_store_too() -> None:
    with answering({"/livez": 200, "/healthz/deep": 503}) as port:
        url = f"http://127.0.0.1:{port}"
        assert health("--url", url).exit_code == 0
        deep = health("--url", url, "--deep")
    assert deep.exit_code == 1
    assert "503" in deep.stderr


def test_without_a_url_it_asks_where_the_service_listens(tmp_path: Path) -> None:
    config = tmp_path / "guarita.yaml"
    with answering({"/livez": 200}) as port:
        config.write_text(f"server: {{bind: '127.0.0.1:{port}'}}\n")
        assert health("--config", str(config)).exit_code == 0


def test_nobody_there_is_unhealthy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = health("--url", f"http://127.0.0.1:{port}")
    assert result.exit_code == 1
    assert "does not answer" in result.stderr


@pytest.mark.parametrize("url", ["nonsense", "ftp://a", "http://", "http://a:x", "http://[::1"])
def test_what_is_no_url_is_a_usage_error(url: str) -> None:
    assert health("--url", url).exit_code == 2
