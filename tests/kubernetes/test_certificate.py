"""The authority stays; the certificate is made anew when something asks for it."""

from __future__ import annotations

import base64
from dataclasses import replace

from cryptography import x509

from guarita.kubernetes.certificate import HALF_TIME_S, Wanted, ensure_certificate

from .api_server import ApiServer

WANTED = Wanted("g-tls", "g-authority", ("node-0.auth.svc", "node-1.auth.svc"), "", {"app": "g"})


def read(server: ApiServer, name: str) -> dict[str, bytes]:
    data = server.objects[f"secrets/{name}"]["data"]
    return {key: base64.b64decode(text) for key, text in data.items()}


def test_a_certificate_is_for_its_hosts_and_signed_by_the_authority(server: ApiServer) -> None:
    assert ensure_certificate(server.api, WANTED, 0)
    found = read(server, "g-tls")
    assert found.keys() == {"ca.crt", "tls.crt", "tls.key"}
    leaf = x509.load_pem_x509_certificate(found["tls.crt"])
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(found["ca.crt"]))
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert tuple(names.get_values_for_type(x509.DNSName)) == WANTED.hosts
    assert read(server, "g-authority").keys() == {"ca.crt", "ca.key"}


def test_it_stays_until_something_asks_for_another_one(server: ApiServer) -> None:
    def made(wanted: Wanted, now_s: float) -> tuple[bool, dict[str, bytes]]:
        was_made = ensure_certificate(server.api, wanted, now_s)
        return was_made, read(server, "g-tls")

    first = made(WANTED, 0)[1]
    assert made(WANTED, 10) == (False, first)
    more = replace(WANTED, hosts=(*WANTED.hosts, "node-2.auth.svc"))
    assert made(more, 10)[0]
    asked = replace(more, renewal="2026")
    again, second = made(asked, 20)
    assert again
    assert second["ca.crt"] == first["ca.crt"]
    assert second["tls.crt"] != first["tls.crt"]
    assert not made(asked, 20 + HALF_TIME_S - 1)[0]
    assert made(asked, 20 + HALF_TIME_S)[0]


def test_two_at_once_make_a_pair_that_fits(server: ApiServer) -> None:
    server.before_write.append(lambda: ensure_certificate(server.api, WANTED, 0))
    ensure_certificate(server.api, WANTED, 0)
    found = read(server, "g-tls")
    leaf = x509.load_pem_x509_certificate(found["tls.crt"])
    leaf.verify_directly_issued_by(
        x509.load_pem_x509_certificate(read(server, "g-authority")["ca.crt"])
    )
