"""TLS to data nodes and Sentinels, with names and authorities that are really checked."""

from __future__ import annotations

import datetime
import ipaddress
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from guarita.config import Settings
from guarita.deadline import Deadline
from guarita.errors import ServerMissing, StoreUnavailable
from guarita.servers import find_server
from guarita.stores.base import Redeemed
from guarita.topology.local.ports import answers, free_ports

from .test_contract import create, eventually, redeem

HOUR = datetime.timedelta(hours=1)


@dataclass(frozen=True)
class Authority:
    """A certificate authority of this test."""

    directory: Path
    name: str

    def make(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(self.name)
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        builder = (
            _builder(name, name, key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
        )
        certificate = builder.sign(key, hashes.SHA256())
        _write(self.directory / f"{self.name}.pem", certificate)
        return certificate, key


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    lasts: datetime.timedelta = HOUR,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - HOUR)
        .not_valid_after(now + lasts)
    )


def _write(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def certify(
    directory: Path, name: str, alt: x509.GeneralName, lasts: datetime.timedelta = HOUR
) -> None:
    """Writes ca.pem, other.pem (which signed nothing), and NAME.pem with NAME.key."""
    authority, authority_key = Authority(directory, "ca").make()
    Authority(directory, "other").make()
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(_name(name), authority.subject, key, lasts)
        .add_extension(x509.SubjectAlternativeName([alt]), critical=False)
        .add_extension(  # Python 3.13 takes no certificate without it
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())
    )
    _write(directory / f"{name}.pem", certificate)
    (directory / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@dataclass(frozen=True)
class Tls:
    """A primary and a Sentinel that speak nothing but TLS and ask for client certificates."""

    directory: Path
    port: int
    sentinel_port: int

    def settings(self, topology: str, **tls: Any) -> Settings:
        chosen = {
            "enabled": True,
            "ca_file": str(self.directory / "ca.pem"),
            "cert_file": str(self.directory / "server.pem"),
            "key_file": str(self.directory / "server.key"),
            **tls,
        }
        store = {
            "topology": topology,
            "standalone": {"host": "127.0.0.1", "port": self.port},
            "sentinel": {
                "nodes": [f"127.0.0.1:{self.sentinel_port}"],
                "timeout_s": 1,
                "tls": chosen,
            },
            "data": {"tls": chosen},
            "durability": "fast",  # there is no replica
        }
        if topology == "standalone":
            del store["sentinel"]
        return Settings.model_validate({"store": store})


def start(directory: Path, port: int, lines: list[str], *more: str) -> subprocess.Popen[bytes]:
    try:
        server = find_server(None)
    except ServerMissing as exc:
        pytest.skip(str(exc))
    config = directory / f"{port}.conf"
    shared = [
        "port 0",
        f"tls-port {port}",
        "bind 127.0.0.1",
        f'dir "{directory}"',
        f'tls-cert-file "{directory}/server.pem"',
        f'tls-key-file "{directory}/server.key"',
        f'tls-ca-cert-file "{directory}/ca.pem"',
        "tls-auth-clients yes",
        "tls-replication yes",
    ]
    config.write_text("\n".join([*shared, *lines]) + "\n")
    with (directory / f"{port}.log").open("wb") as log:
        process = subprocess.Popen([server.path, str(config), *more], stdout=log, stderr=log)
    eventually(lambda: answers(port))
    return process


@pytest.fixture(params=["127.0.0.1", "elsewhere.example"])
def tls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tls]:
    """The certificate names the address that is dialled, or another."""
    name = request.param
    alt: x509.GeneralName = x509.DNSName(name)
    if name == "127.0.0.1":
        alt = x509.IPAddress(ipaddress.ip_address(name))
    certify(tmp_path, "server", alt)
    port, sentinel_port = free_ports(2)
    monitor = [f"sentinel monitor guarita 127.0.0.1 {port} 1"]
    running = [start(tmp_path, port, ['save ""'])]
    try:
        running.append(start(tmp_path, sentinel_port, monitor, "--sentinel"))
        yield Tls(tmp_path, port, sentinel_port)
    finally:
        for process in running:
            process.kill()
            process.wait()


right_name = pytest.mark.parametrize("tls", ["127.0.0.1"], indirect=True)
wrong_name = pytest.mark.parametrize("tls", ["elsewhere.example"], indirect=True)


@right_name
@pytest.mark.parametrize("topology", ["standalone", "sentinel"])
def test_a_ticket_is_redeemed_over_tls(tls, opened, topology):
    store = opened(tls.settings(topology))
    deadline = Deadline.after(10)
    assert redeem(store, deadline, create(store, deadline)) is Redeemed.ADMITTED


@right_name
@pytest.mark.parametrize("topology", ["standalone", "sentinel"])
def test_an_authority_that_is_not_trusted_is_refused(tls, opened, topology):
    store = opened(tls.settings(topology, ca_file=str(tls.directory / "other.pem")))
    with pytest.raises(StoreUnavailable, match="certificate verify failed"):
        store.ping(deadline=Deadline.after(4))


@wrong_name
@pytest.mark.parametrize("topology", ["standalone", "sentinel"])
def test_a_certificate_of_another_name_is_refused(tls, opened, topology):
    store = opened(tls.settings(topology))
    with pytest.raises(StoreUnavailable, match="certificate verify failed"):
        store.ping(deadline=Deadline.after(4))


@wrong_name
def test_names_are_not_compared_where_that_is_switched_off(tls, opened):
    store = opened(tls.settings("sentinel", verify_names=False))
    store.ping(deadline=Deadline.after(10))


@right_name
def test_a_client_without_tls_is_told_that_it_is_refused(tls, opened):
    settings = tls.settings(
        "standalone", enabled=False, ca_file=None, cert_file=None, key_file=None
    )
    store = opened(settings)
    with pytest.raises(StoreUnavailable, match="takes no writes"):
        store.ping(deadline=Deadline.after(1))
