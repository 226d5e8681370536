"""`guarita health` against answers of every kind."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from guarita import certs
from guarita.cli import cli
from guarita.config import NodeSettings
from guarita.node.endpoint import Answer, Endpoint, tls_of
from guarita.topology.local.ports import free_ports


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


# Of a data node or Sentinel


def agent_config(directory: Path, port: int, **more: object) -> Path:
    """A file in which `server.bind` is set too, as where one file is everybody's."""
    path = directory / "node.yaml"
    node = {"announce": "valkey-1:6379", "http": f"0.0.0.0:{port}", **more}
    tls = {"tls": {"enabled": "tls" in more, **({"ca_file": "ca.crt"} if "tls" in more else {})}}
    settings = {
        "server": {"bind": "unix:/nobody/is/here"},
        "store": {"topology": "sentinel", "sentinel": tls | {"nodes": ["a:1"]}, "data": tls},
        "node": node,
    }
    path.write_text(yaml.safe_dump(settings))
    return path


def test_a_data_node_or_sentinel_asks_its_agent(tmp_path: Path) -> None:
    with answering({"/livez": 200, "/readyz": 503}) as port:
        config = str(agent_config(tmp_path, port))
        assert health("--config", config).stdout == "healthy\n"
        deep = health("--config", config, "--deep")
    assert (deep.exit_code, deep.stderr) == (1, "unhealthy: /readyz answered 503\n")


def test_an_agent_that_is_gone_is_unhealthy(tmp_path: Path) -> None:
    [port] = free_ports(1)
    result = health("--config", str(agent_config(tmp_path, port)))
    assert result.exit_code == 1
    assert "the agent does not answer" in result.stderr


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [("valkey-1", 0, ""), ("valkey-2", 1, "certificate is not valid for 'valkey-1'")],
)
def test_an_agent_that_speaks_tls_is_asked_so_by_the_name_that_others_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, status: int, words: str
) -> None:
    certs.init(tmp_path, (certs.Leaf("node", (name,)),))
    monkeypatch.chdir(tmp_path)
    tls = {"cert_file": "node.crt", "key_file": "node.key", "ca_file": "ca.crt"}
    [port] = free_ports(1)
    endpoint = Endpoint(
        f"127.0.0.1:{port}",
        {"/livez": lambda: Answer.text(200, "alive")},
        tls_of(NodeSettings.model_validate({"tls": tls})),
    )
    endpoint.start()
    try:
        result = health("--config", str(agent_config(tmp_path, port, tls=tls)))
    finally:
        endpoint.close()
    assert result.exit_code == status, result.output
    assert words in result.stderr
