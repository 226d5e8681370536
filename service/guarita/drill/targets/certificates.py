"""Certificates of a local installation: one for each node, of an authority of the drill's own."""

from __future__ import annotations

import importlib.util
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from guarita.drill.targets.base import Shape

ASK_S = 1.0
_AUTHORITY = ("ca.crt", "ca.key")


def lacking(shape: Shape) -> str | None:
    """Why nodes cannot speak TLS here, in words."""
    if shape.tls and importlib.util.find_spec("cryptography") is None:
        return "certificates need the extra: pip install 'guarita[certs]'"
    return None


class Certificates:
    """Files in a directory, which nodes and services read."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._hosts: dict[str, Sequence[str]] = {}

    @property
    def authority(self) -> Path:
        return self._directory / "ca.crt"

    def make(self, hosts: Mapping[str, Sequence[str]]) -> None:
        """One for each name, good for these hosts."""
        self._hosts = dict(hosts)
        self._make(self._directory)

    def renew(self) -> None:
        """Others of the same authority, each file in its place at once."""
        draft = self._directory / "new"
        draft.mkdir()
        for name in _AUTHORITY:
            (draft / name).write_bytes((self._directory / name).read_bytes())
        self._make(draft)
        for path in draft.iterdir():
            path.replace(self._directory / path.name)
        draft.rmdir()

    def settings_of(self, name: str) -> dict[str, str]:
        """The section `node.tls`."""
        return {
            "cert_file": str(self._directory / f"{name}.crt"),
            "key_file": str(self._directory / f"{name}.key"),
            "ca_file": str(self.authority),
        }

    @property
    def caller_settings(self) -> dict[str, Any]:
        """The sections `tls` of who asks the nodes."""
        return {"enabled": True, "ca_file": str(self.authority)}

    def is_shown(self, name: str, address: tuple[str, int]) -> bool:
        """Whether who listens there shows the one that its file holds."""
        try:
            shown = ssl.get_server_certificate(address, ca_certs=str(self.authority), timeout=ASK_S)
        except OSError:
            return False
        held = (self._directory / f"{name}.crt").read_text()
        return ssl.PEM_cert_to_DER_cert(shown) == ssl.PEM_cert_to_DER_cert(held.strip())

    def _make(self, directory: Path) -> None:
        from guarita import certs  # late: only drills with TLS need what it imports

        certs.init(directory, tuple(certs.Leaf(n, tuple(h)) for n, h in self._hosts.items()))
