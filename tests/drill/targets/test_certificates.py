"""Certificates of a drill's nodes: what is shown is what the files hold, and both can be others."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from guarita.drill.run import lacking
from guarita.drill.scenarios import SCENARIOS
from guarita.drill.targets.certificates import Certificates

HOST = "127.0.0.1"


@contextmanager
def shown(cert_file: str, key_file: str) -> Iterator[tuple[str, int]]:
    """Somebody who shows this certificate to who connects."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file, key_file)

    def serve() -> None:
        while True:
            try:
                accepted = server.accept()[0]
            except OSError:
                return
            with accepted, context.wrap_socket(accepted, server_side=True):
                pass

    with socket.create_server((HOST, 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_a_new_certificate_is_not_shown_before_its_server_has_it(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path / "tls")
    certificates.make({"node-1": [HOST], "node-2": [HOST]})
    settings = certificates.settings_of("node-1")
    files = (settings["cert_file"], settings["key_file"])
    authority = certificates.authority.read_bytes()
    with shown(*files) as address:
        assert certificates.is_shown("node-1", address)
        assert not certificates.is_shown("node-2", address)
        certificates.renew()
        assert not certificates.is_shown("node-1", address)
    with shown(*files) as address:
        assert certificates.is_shown("node-1", address)
    assert not certificates.is_shown("node-1", address)  # nobody listens there any more
    assert certificates.authority.read_bytes() == authority
    assert {path.suffix for path in (tmp_path / "tls").iterdir()} == {".crt", ".key"}


def test_without_its_extra_a_drill_with_certificates_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert lacking(SCENARIOS["D17"], None) is None
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert lacking(SCENARIOS["D17"], None) == (
        "certificates need the extra: pip install 'guarita[certs]'"
    )
    assert lacking(SCENARIOS["D2"], None) is None
