"""`guarita certs init`, judged by the TLS of Python."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from guarita.cli import cli


def _init(directory: Path, *names: str) -> Result:
    return CliRunner().invoke(cli, ["certs", "init", str(directory), *names])


def _shake_hands(directory: Path, name: str, host: str) -> None:
    """As a client that knows the authority alone. Raises `ssl.SSLError`."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(directory / f"{name}.crt", directory / f"{name}.key")
    client = ssl.create_default_context(cafile=str(directory / "ca.crt"))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    ours, theirs = socket.socketpair()
    with ours, theirs:

        def serve() -> None:
            try:
                server.wrap_socket(theirs, server_side=True).close()
            except (ssl.SSLError, OSError):
                theirs.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            client.wrap_socket(ours, server_hostname=host).close()
        finally:
            ours.close()
            thread.join()


def test_each_certificate_is_good_for_its_hosts_and_for_no_other(tmp_path: Path) -> None:
    result = _init(tmp_path, "valkey-1", "proxy=localhost,127.0.0.1")
    assert result.exit_code == 0, result.output
    _shake_hands(tmp_path, "valkey-1", "valkey-1")
    _shake_hands(tmp_path, "proxy", "localhost")
    _shake_hands(tmp_path, "proxy", "127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        _shake_hands(tmp_path, "valkey-1", "valkey-2")


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    _init(tmp_path, "one")
    assert {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.glob("*.key")} == {0o600}


def test_a_second_call_keeps_what_is_there_and_adds_what_is_not(tmp_path: Path) -> None:
    _init(tmp_path, "one")
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    result = _init(tmp_path, "one", "two")
    assert result.output.splitlines() == [str(tmp_path / "two.crt"), str(tmp_path / "two.key")]
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    _shake_hands(tmp_path, "two", "two")


def test_an_interrupted_call_is_taken_up_again(tmp_path: Path) -> None:
    (tmp_path / "ca.key").write_text("half a key")
    (tmp_path / "ca.crt.draft").write_text("half a certificate")
    assert _init(tmp_path, "one").exit_code == 0
    _shake_hands(tmp_path, "one", "one")


def test_a_lost_key_is_told(tmp_path: Path) -> None:
    _init(tmp_path, "one")
    (tmp_path / "one.key").unlink()
    result = _init(tmp_path, "one")
    assert result.exit_code == 1
    assert "one.key is missing beside" in result.output


@pytest.mark.parametrize("name", ["ca", "../x", "x=", "=x", ""])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    assert _init(tmp_path, name).exit_code == 2
    assert not list(tmp_path.iterdir())
