"""The page in the iframe, its script and style, and the demo's protected content."""

from __future__ import annotations

import falcon
import structlog

from guarita import web
from guarita.api.answers import timestamp
from guarita.api.auth import Tenants, cookie_token
from guarita.api.forwarding import Forwarder, pass_back
from guarita.api.inputs import query_ticket_id
from guarita.api.request import Request
from guarita.api.tickets import Desk
from guarita.deadline import Deadline
from guarita.errors import Forbidden, Reason, Rejected, StoreError
from guarita.ids import TicketId
from guarita.sessions import Sessions, region_of_token
from guarita.stores.base import Grant

OPEN_DEADLINE_S = 0.5  # the page itself waits for the store when it redeems
log = structlog.stdlib.get_logger("guarita.api")

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors "
)


class IframePage:
    """`GET /client/iframe.html`: only inside frames of the pages that may embed it."""

    def __init__(self, desk: Desk) -> None:
        self._sessions: Sessions = desk.sessions
        self._tenants: Tenants = desk.tenants
        self._forwarder: Forwarder = desk.forwarder

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """The page, whatever the store does; after a reload it comes without a ticket."""
        if req.header("Sec-Fetch-Dest") not in (None, "iframe", "frame"):
            raise Forbidden("This page is shown inside an iframe of the site that asked for it.")
        id = None
        if "session_id" in req.params:
            id = query_ticket_id(req, has_regions=self._forwarder.has_regions)
        soon = min(req.deadline, Deadline.after(OPEN_DEADLINE_S), key=lambda one: one.at)
        grant = None
        try:
            region = id.region if id else region_of_token(cookie_token(req))
            answer = self._forwarder.fetch(req, region, soon)
            if answer is not None and answer.status == 200:
                pass_back(answer, resp)
                return
            if answer is None and not req.is_prefetch:
                grant = self._grant(req, id, soon)
        except (Rejected, StoreError) as exc:
            log.info("the page is shown without its ticket", reason=str(exc))
        language = web.choose_language(req.header("Accept-Language"))
        resp.data = web.page(language)
        resp.content_type = "text/html; charset=utf-8"
        resp.set_header("Content-Language", language)
        resp.set_header("Vary", "Accept-Language")
        resp.set_header("Content-Security-Policy", self._policy(req, grant))

    def _grant(self, req: Request, id: TicketId | None, deadline: Deadline) -> Grant | None:
        """Whose page this is. Raises `Rejected` and `StoreError`."""
        if id is not None:
            return self._sessions.open(id, deadline=deadline)
        return self._sessions.verify(cookie_token(req), deadline=deadline).grant

    def _policy(self, req: Request, grant: Grant | None) -> str:
        if grant is not None:
            embedders = self._tenants.embedders(grant.tenant, grant.origin)
        else:
            embedders = self._tenants.embedders_by_referrer(req.header("Referer") or "")
        return PAGE_POLICY + (" ".join(embedders) or "'none'")


class Asset:
    """`GET /client/{name}`: the page's script and style."""

    def on_get(self, req: Request, resp: falcon.Response, name: str) -> None:
        """The file. Raises `falcon.HTTPNotFound`."""
        asset = web.asset(name)
        if asset is None:
            raise falcon.HTTPNotFound
        resp.data = asset.content
        resp.content_type = asset.content_type


class DemoContent:
    """`GET /demo/content`: what only guests with a session see."""

    session_required = True

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """A greeting for the guest. Raises `Rejected`."""
        guest = req.guest
        if guest is None:
            raise Rejected(Reason.MISSING)
        name = guest.subject or "guest"
        resp.media = {
            "subject": guest.subject,
            "greeting": _greeting(req, name),
            "expires_at": timestamp(guest.expires_at_ms),
        }
        resp.set_header("Vary", "Accept-Language")


def _greeting(req: Request, name: str) -> str:
    if web.choose_language(req.header("Accept-Language")) == "pt-BR":
        return f"Olá, {name}! Só quem tem uma sessão vê isto."
    return f"Hello, {name}! Only someone with a session sees this."
