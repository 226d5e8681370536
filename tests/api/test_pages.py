from __future__ import annotations

import pytest
from falcon import testing

from guarita.deadline import Deadline
from guarita.ids import TicketId

from api.service import (
    ACME_KEY,
    ACME_ORIGIN,
    UNKNOWN_ID,
    ZETA_KEY,
    Service,
    open_service,
)

EVERYTHING_OF_OURS = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors "
)


def page(service: Service, id: str | None, **headers: str) -> testing.Result:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    params = {"session_id": id} if id else None
    return service.http.simulate_get("/client/iframe.html", params=params, headers=named)


def ancestors(answer: testing.Result) -> str:
    assert answer.status_code == 200
    return answer.headers["Content-Security-Policy"].rpartition("frame-ancestors ")[2]


def test_the_page_carries_its_whole_policy(service: Service) -> None:
    answer = page(service, service.create({"origin": "https://host.example"}))
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"] == EVERYTHING_OF_OURS + "https://host.example"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_an_open_installation_may_be_embedded_from_this_machine(service: Service) -> None:
    here = "'self' http://localhost:* http://127.0.0.1:*"
    assert ancestors(page(service, service.create())) == here
    assert ancestors(page(service, UNKNOWN_ID)) == here
    assert ancestors(page(service, None)) == here


def test_the_demos_hosts_may_embed_an_open_installation() -> None:
    service = open_service(demo={"enabled": True, "host_origins": ["https://demo.example"]})
    assert ancestors(page(service, None)).endswith(" https://demo.example")


def test_a_ticket_without_an_origin_may_be_embedded_by_its_tenant_only(tenants: Service) -> None:
    acme, zeta = tenants.create(key=ACME_KEY), tenants.create(key=ZETA_KEY)
    assert ancestors(page(tenants, acme)) == f"{ACME_ORIGIN} https://shop.acme.example:8443"
    assert ancestors(page(tenants, zeta, Referer=f"{ACME_ORIGIN}/")) == "https://zeta.example"


def test_a_ticket_with_an_origin_may_be_embedded_there_only(tenants: Service) -> None:
    id = tenants.create({"origin": ACME_ORIGIN}, key=ACME_KEY)
    assert ancestors(page(tenants, id)) == ACME_ORIGIN


@pytest.mark.parametrize(
    ("referrer", "allowed"),
    [
        ("https://acme.example/", "https://acme.example"),
        ("https://shop.acme.example:8443/cart?a=b", "https://shop.acme.example:8443"),
        ("https://acme.example.evil.example/", "'none'"),
        ("https://acme.example:444/", "'none'"),
        ("http://acme.example/", "'none'"),
        ("https://evil.example/https://acme.example/", "'none'"),
        ("https://evil.example; script-src *", "'none'"),
        ("null", "'none'"),
        ("", "'none'"),
    ],
)
def test_an_unknown_ticket_may_be_embedded_by_a_listed_referrer_only(
    tenants: Service, referrer: str, allowed: str
) -> None:
    assert ancestors(page(tenants, UNKNOWN_ID, Referer=referrer)) == allowed


def test_after_a_reload_the_session_in_the_cookie_tells_who_may_embed(tenants: Service) -> None:
    id = tenants.create({"origin": ACME_ORIGIN}, key=ACME_KEY)
    cookie = f"__Host-guarita={tenants.token(id)}"
    reloaded = page(tenants, None, Cookie=cookie, Sec_Fetch_Site="cross-site")
    assert ancestors(reloaded) == ACME_ORIGIN
    assert ancestors(page(tenants, None)) == "'none'"


def test_opening_the_page_is_noted_and_uses_nothing(service: Service) -> None:
    id = service.create()
    page(service, id)
    page(service, id)
    assert service.redeem(id).status_code == 200


@pytest.mark.parametrize("destination", ["document", "embed", "object", "empty", "script"])
def test_a_browser_gets_the_page_in_a_frame_only(service: Service, destination: str) -> None:
    answer = page(service, service.create(), Sec_Fetch_Dest=destination)
    assert answer.status_code == 403
    assert "iframe" in answer.json["detail"]


@pytest.mark.parametrize("destination", ["iframe", "frame"])
def test_a_frame_gets_the_page(service: Service, destination: str) -> None:
    assert page(service, service.create(), Sec_Fetch_Dest=destination).status_code == 200


def test_a_prefetch_does_not_count_as_opened(service: Service) -> None:
    id = TicketId.parse(service.create())

    def is_opened() -> bool:
        record = service.sessions.store.read(id.uuid, deadline=Deadline.after(1))
        return record is not None and record.iframe_opened

    assert page(service, str(id), Sec_Purpose="prefetch").status_code == 200
    assert not is_opened()
    page(service, str(id))
    assert is_opened()


@pytest.mark.parametrize(
    ("accepted", "language"),
    [("pt-BR,pt;q=0.9", "pt-BR"), ("pt-PT", "pt-BR"), ("en-GB", "en"), ("de", "en"), ("", "en")],
)
def test_the_page_speaks_the_readers_language(
    service: Service, accepted: str, language: str
) -> None:
    answer = page(service, None, Accept_Language=accepted)
    assert answer.headers["Content-Language"] == language
    assert answer.headers["Vary"] == "Accept-Language"
    assert f'<html lang="{language}"' in answer.text


@pytest.mark.parametrize(
    ("name", "kind"), [("guarita.js", "text/javascript"), ("guarita.css", "text/css")]
)
def test_script_and_style_are_served(service: Service, name: str, kind: str) -> None:
    answer = service.http.simulate_get(f"/client/{name}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith(kind)
    assert answer.content


@pytest.mark.parametrize("name", ["texts.json", "..", "__init__.py", "%2e%2e%2fapp.py", ""])
def test_nothing_else_of_the_package_is_served(service: Service, name: str) -> None:
    assert service.http.simulate_get(f"/client/{name}").status_code == 404
