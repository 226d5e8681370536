"""Two regions as two services on real sockets: each takes calls about the other's tickets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
import structlog
from falcon import testing

from guarita.deadline import Deadline
from guarita.logs import with_request_id

from api.service import (
    ACME_KEY,
    ACME_ORIGIN,
    ATTEMPT,
    TENANTS,
    UNKNOWN_ID,
    Service,
    bearer,
    open_service,
)


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = False


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        return


@dataclass(frozen=True, slots=True)
class Pair:
    """`here` is asked; `home` is where the tickets are from."""

    here: Service
    home: Service

    def create(self, **body: object) -> str:
        return self.home.create(body, key=ACME_KEY)


@contextmanager
def listening() -> Iterator[Server]:
    server = make_server("127.0.0.1", 0, None, Server, Quiet)  # type: ignore[arg-type]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def region(name: str, *, trusted_proxies: tuple[str, ...] = (), **peers: int) -> Service:
    return open_service(
        server={"trusted_proxies": trusted_proxies},
        region={
            "name": name,
            "peers": {
                peer.replace("_", "-"): {"url": f"http://127.0.0.1:{port}"}
                for peer, port in peers.items()
            },
        },
        security={"tenants": TENANTS},
        demo={"enabled": True},
    )


@pytest.fixture
def pair() -> Iterator[Pair]:
    with listening() as here, listening() as home:
        eu = region("eu-west", us_east=home.server_port)
        us = region("us-east", eu_west=here.server_port)
        here.set_app(eu.app)
        home.set_app(us.app)
        yield Pair(eu, us)


def test_ids_and_tokens_carry_their_region(pair: Pair) -> None:
    id = pair.create()
    assert id.startswith("us-east.")
    assert pair.home.token(id).startswith("us-east.")


def test_a_foreign_ticket_is_redeemed_once_at_home(pair: Pair) -> None:
    id = pair.create(subject="ana", claims={"a": "é"})
    redeemed = pair.here.redeem(id, cookie=True)
    assert redeemed.status_code == 200
    assert redeemed.json["subject"] == "ana"
    assert redeemed.json["claims"] == {"a": "é"}
    assert redeemed.headers["Set-Cookie"].startswith("__Host-guarita=us-east.")
    assert redeemed.headers["Content-Type"] == "application/json"
    assert pair.home.redeem(id).json == redeemed.json
    assert pair.here.redeem(id, "another-attempt").status_code == 401
    assert pair.here.total_created(ACME_KEY) == 0


def test_validate_is_forwarded_with_its_attempt(pair: Pair) -> None:
    id = pair.create()

    def validate(service: Service, key: str) -> testing.Result:
        return service.http.simulate_get(
            "/auth/validate-session", params={"session_id": id}, headers={"Idempotency-Key": key}
        )

    assert validate(pair.here, "a").json["session_id"] == id
    assert validate(pair.home, "a").status_code == 200
    assert validate(pair.here, "b").status_code == 401


@pytest.mark.parametrize("how", ["cookie", "bearer"])
def test_a_foreign_session_is_verified_at_home(pair: Pair, how: str) -> None:
    token = pair.home.token(pair.create(subject="ana"))
    send = {"headers": bearer(token)} if how == "bearer" else {"cookies": {"__Host-guarita": token}}
    verified = pair.here.http.simulate_get("/auth/verify", **send)
    assert verified.status_code == 200
    assert verified.headers["X-Guarita-Subject"] == "ana"
    assert verified.json == pair.home.http.simulate_get("/auth/verify", **send).json
    content = pair.here.http.simulate_get("/demo/content", **send)
    assert content.json["subject"] == "ana"


def test_revoke_by_id_goes_home_with_the_callers_key(pair: Pair) -> None:
    id = pair.create()
    token = pair.home.token(id)
    answer = pair.here.http.simulate_post(
        "/auth/revoke", json={"session_id": id}, headers=bearer(ACME_KEY)
    )
    assert (answer.status_code, answer.text) == (204, "")
    assert pair.home.http.simulate_get("/auth/verify", headers=bearer(token)).status_code == 401


def test_the_page_of_a_foreign_ticket_is_the_home_regions(pair: Pair) -> None:
    id = pair.create(origin=ACME_ORIGIN)
    answer = pair.here.http.simulate_get(
        "/client/iframe.html", params={"session_id": id}, headers={"Accept-Language": "pt"}
    )
    assert answer.status_code == 200
    assert answer.headers["Content-Security-Policy"].endswith(f"frame-ancestors {ACME_ORIGIN}")
    assert answer.headers["Content-Language"] == "pt-BR"


def test_an_unknown_region_is_an_unknown_ticket(pair: Pair) -> None:
    id = f"ap-south.{UNKNOWN_ID}"
    assert pair.here.redeem(id).status_code == 401
    revoked = pair.here.http.simulate_post(
        "/auth/revoke", json={"session_id": id}, headers=bearer(ACME_KEY)
    )
    assert revoked.status_code == 204
    token = "ap-south." + "A" * 64
    assert pair.here.http.simulate_get("/auth/verify", headers=bearer(token)).status_code == 401


def test_where_regions_are_used_an_id_without_one_is_malformed(pair: Pair) -> None:
    assert pair.here.redeem(UNKNOWN_ID).status_code == 400


def test_what_a_peer_sent_goes_no_further(pair: Pair) -> None:
    headers = {"X-Guarita-Forwarded": "ap-south"}
    answer = pair.here.redeem(pair.create(), headers=headers)
    assert answer.status_code == 503
    assert pair.home.sessions.status(deadline=Deadline.after(1)).used_sessions == 0


def test_a_lost_region_is_503_and_the_page_loads_all_the_same() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    eu = region("eu-west", us_east=port)
    id = f"us-east.{UNKNOWN_ID}"
    answer = eu.redeem(id)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.json["type"] == "urn:guarita:problem:store-unavailable"
    page = eu.http.simulate_get(
        "/client/iframe.html", params={"session_id": id}, headers={"Referer": f"{ACME_ORIGIN}/"}
    )
    assert page.status_code == 200
    assert page.headers["Content-Security-Policy"].endswith(f"frame-ancestors {ACME_ORIGIN}")


def test_a_peers_address_that_leads_elsewhere_is_503(pair: Pair) -> None:
    with listening() as server:
        other = region("ap-south")
        server.set_app(other.app)
        eu = region("eu-west", us_east=server.server_port)
        answer = eu.redeem(f"us-east.{UNKNOWN_ID}", ATTEMPT)
    assert answer.status_code == 503
    assert answer.json["type"] == "urn:guarita:problem:outcome-unknown"


def test_the_request_id_goes_along(pair: Pair) -> None:
    with structlog.testing.capture_logs(processors=[with_request_id]) as lines:
        pair.here.redeem(pair.create(), headers={"X-Request-Id": "from-the-edge"})
    regions = {
        line.get("region")
        for line in lines
        if line.get("request_id") == "from-the-edge" and line["event"] == "request"
    }
    assert regions == {None, "eu-west"}


def test_a_home_region_that_trusts_its_peer_learns_who_asked() -> None:
    with listening() as home:
        trusting = region("us-east", trusted_proxies=("127.0.0.1/32",))
        home.set_app(trusting.app)
        here = region("eu-west", us_east=home.server_port)
        with structlog.testing.capture_logs() as lines:
            here.http.simulate_post(
                "/auth/redeem",
                json={"session_id": trusting.create(key=ACME_KEY), "attempt": ATTEMPT},
                remote_addr="203.0.113.9",
            )
    (redeem,) = [line for line in lines if line["event"] == "redeem"]
    assert redeem["address"] == "203.0.113.9"
