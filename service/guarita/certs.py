"""Certificates for an installation of one's own: an authority, and what it signs.

For kits, tests and closed networks. Where there is an authority already, use that one.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3650
# Browsers take no more than 398 days from a public authority; there is no reason for more here.
LEAF_DAYS = 397
_SKEW = timedelta(minutes=5)  # clocks of other machines may be behind this one's


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate to make: its files' name, and the hosts that it is for."""

    name: str
    hosts: tuple[str, ...]


def init(directory: Path, leaves: tuple[Leaf, ...], now: datetime | None = None) -> list[Path]:
    """Make what is missing in `directory`; returns the files that were made.

    `ca.crt` and `ca.key` are the authority; each leaf gets `NAME.crt` and `NAME.key`, good as
    server and as client. Keys are written with mode 600. What is there is never replaced: after an
    interruption the next call goes on. Raises `OSError`, and `ValueError` where one of a pair is
    missing or `ca.key` is no key.
    """
    now = now or datetime.now(UTC)
    directory.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    authority = _authority(directory, now, made)
    for leaf in leaves:
        certificate, key = _pair(directory, leaf.name)
        if not _is_there(certificate, key):
            made += _write_pair(certificate, key, *_leaf(leaf, authority, now))
    return made


_Authority = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _authority(directory: Path, now: datetime, made: list[Path]) -> _Authority:
    certificate, key = _pair(directory, "ca")
    if not _is_there(certificate, key):
        made += _write_pair(certificate, key, *_new_authority(now))
    secret = serialization.load_pem_private_key(key.read_bytes(), password=None)
    if not isinstance(secret, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{key}: not a key on an elliptic curve")  # noqa: TRY004 - a file's fault
    return x509.load_pem_x509_certificate(certificate.read_bytes()), secret


def _pair(directory: Path, name: str) -> tuple[Path, Path]:
    return directory / f"{name}.crt", directory / f"{name}.key"


def _is_there(certificate: Path, key: Path) -> bool:
    """Raises `ValueError` where only a certificate is: nobody knows its key."""
    if certificate.exists() and not key.exists():
        raise ValueError(f"{key} is missing beside {certificate}: put it back, or remove both")
    return certificate.exists()


def _new_authority(now: datetime) -> _Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _named(f"Guarita authority {now:%Y-%m-%d}")
    certificate = (
        _dated(name, name, key, now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def _leaf(leaf: Leaf, authority: _Authority, now: datetime) -> _Authority:
    issuer, issuer_key = authority
    key = ec.generate_private_key(ec.SECP256R1())
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    certificate = (
        _dated(_named(leaf.name), issuer.subject, key, now, LEAF_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(both), critical=False)
        .add_extension(x509.SubjectAlternativeName(map(_host, leaf.hosts)), critical=False)
        .add_extension(signer, critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    return certificate, key


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _dated(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=days))
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _write_pair(
    certificate: Path, key: Path, signed: x509.Certificate, secret: ec.EllipticCurvePrivateKey
) -> list[Path]:
    """The key first: a certificate says that both are there."""
    pem = serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(key, secret.private_bytes(pem, *plain), 0o600)
    _write(certificate, signed.public_bytes(pem), 0o644)
    return [certificate, key]


def _write(path: Path, content: bytes, mode: int) -> None:
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    draft.replace(path)
