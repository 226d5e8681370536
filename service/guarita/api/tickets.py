"""The life of a ticket over HTTP: create, validate, redeem, verify, revoke."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote

import falcon

from guarita import metrics
from guarita.api import events
from guarita.api.answers import as_json, timestamp
from guarita.api.auth import COOKIE, Caller, Tenants, is_same_origin
from guarita.api.forwarding import Forwarder
from guarita.api.guests import guest_of
from guarita.api.inputs import (
    CreateBody,
    RedeemBody,
    RevokeBody,
    compact_json,
    idempotency_key,
    query_ticket_id,
    read_body,
    read_ticket_id,
)
from guarita.api.request import Request
from guarita.errors import Conflict, Forbidden, LimitReached, Rejected
from guarita.ids import TicketId
from guarita.sessions import Admission, Session, Sessions
from guarita.stores.base import Grant

# Printable ASCII but for the space, which header parsers trim, and the percent sign itself.
_HEADER_SAFE = "".join(map(chr, range(0x21, 0x7F))).replace("%", "")
_NEEDS_NO_QUOTES = re.compile(r"[!-$&-~]*")


@dataclass(frozen=True, slots=True)
class Desk:
    """What the resources about tickets share."""

    sessions: Sessions
    tenants: Tenants
    forwarder: Forwarder

    def caller(self, req: Request) -> Caller:
        """Who calls. Raises `Forbidden`."""
        try:
            return self.tenants.of_key(req)
        except Forbidden:
            events.record(req, "key", "refused")
            raise

    def admit(self, req: Request, id: TicketId, attempt: str | None) -> Admission:
        """Redeem, and note how it ended. Raises `Rejected` and `StoreError`."""
        try:
            admission = self.sessions.redeem(id, attempt, deadline=req.deadline)
        except Rejected as error:
            metrics.redeems(error.reason.value).inc()
            events.record_refusal(req, id, error)
            raise
        grant = admission.session.grant
        outcome = "repeated" if admission.replayed else "admitted"
        metrics.redeems(outcome).inc()
        events.record(req, "redeem", outcome, id=id, tenant=grant.tenant, origin=grant.origin)
        return admission

    def query_id(self, req: Request) -> TicketId:
        return query_ticket_id(req, has_regions=self.forwarder.has_regions)

    def body_id(self, text: str) -> TicketId:
        return read_ticket_id(text, has_regions=self.forwarder.has_regions)


class CreateSession:
    """`POST /auth/create-session`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Make a ticket; with an `Idempotency-Key` a repeat gets the same one."""
        caller = self._desk.caller(req)
        body = read_body(req, CreateBody, optional=True)
        key = idempotency_key(req)
        if body.origin is not None and not caller.may_embed(body.origin):
            events.record(req, "origin", "refused", tenant=caller.name, origin=body.origin)
            raise Forbidden("This origin is not on the tenant's list.")
        claims = compact_json(body.claims) if body.claims else ""
        grant = Grant(caller.name, body.origin or "", body.subject or "", claims)
        id = self._create(req, grant, key)
        sessions = self._desk.sessions
        answer = {
            "session_id": str(id),
            "expires_in_minutes": minutes(sessions.policy.ticket_ttl_s),
            "iframe_url": f"/client/iframe.html?session_id={id}",
            "storage": sessions.store.kind,
        }
        resp.data = as_json(answer)

    def _create(self, req: Request, grant: Grant, key: str | None) -> TicketId:
        """Create, and note how it ended. Raises `Conflict`, `LimitReached` and `StoreError`."""
        sessions, tenant, origin = self._desk.sessions, grant.tenant, grant.origin
        try:
            id = sessions.create(grant, deadline=req.deadline, idempotency_key=key)
        except (Conflict, LimitReached) as error:
            reason = "conflict" if isinstance(error, Conflict) else "limit"
            events.record(req, "create", "refused", tenant=tenant, origin=origin, reason=reason)
            raise
        metrics.TICKETS_CREATED.inc()
        events.record(req, "create", "ok", id=id, tenant=tenant, origin=origin)
        return id


class ValidateSession:
    """`GET /auth/validate-session`: the redeem of simple hosts."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Check a ticket and mark it used; `Idempotency-Key` is the attempt."""
        id = self._desk.query_id(req)
        attempt = idempotency_key(req)
        if req.is_prefetch:
            raise Forbidden("A prefetch does not use a ticket; ask again when it is needed.")
        if self._desk.forwarder.answer(req, resp, id.region):
            return
        self._desk.admit(req, id, attempt)
        resp.media = {
            "valid": True,
            "message": "Session is valid and is now marked as used",
            "session_id": str(id),
            "storage": self._desk.sessions.store.kind,
        }


class Redeem:
    """`POST /auth/redeem`: the redeem of the page."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """Turn a ticket into a session; the same attempt may repeat it."""
        body = read_body(req, RedeemBody)
        id = self._desk.body_id(body.session_id)
        if not is_same_origin(req):
            raise Forbidden("Browsers may redeem from the page of this service only.")
        if self._desk.forwarder.answer(req, resp, id.region):
            return
        admission = self._desk.admit(req, id, body.attempt)
        session = admission.session
        if body.cookie:
            _set_cookie(resp, admission.token, self._desk.sessions.policy.session_ttl_s)
        answer = {
            "session_token": admission.token,
            "expires_at": timestamp(session.expires_at_ms),
            "subject": session.subject,
            "claims": session.claims,
        }
        resp.data = as_json(answer)


class Verify:
    """`GET /auth/verify`: for the page, and for proxies that ask before they forward."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def on_get(self, req: Request, resp: falcon.Response) -> None:
        """Whether the session token is good now; changes nothing."""
        session = guest_of(req, resp, self._desk.sessions, self._desk.forwarder)
        if session is None:
            return
        describe(session, resp)
        answer = {"subject": session.subject, "expires_at": timestamp(session.expires_at_ms)}
        resp.data = as_json(answer)


class Revoke:
    """`POST /auth/revoke`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def on_post(self, req: Request, resp: falcon.Response) -> None:
        """End a ticket or session, or all that a subject has in this region."""
        caller = self._desk.caller(req)
        body = read_body(req, RevokeBody)
        resp.status = falcon.HTTP_204
        if body.subject is not None:
            self._end_subject(req, caller, body.subject)
        elif body.session_id is not None:
            self._end_one(req, resp, caller, self._desk.body_id(body.session_id))

    def _end_subject(self, req: Request, caller: Caller, subject: str) -> None:
        Grant(caller.name, subject=subject)  # raises Malformed on control characters
        self._desk.sessions.revoke_subject(subject, tenant=caller.name, deadline=req.deadline)
        events.record(req, "revoke", "subject", tenant=caller.name)

    def _end_one(self, req: Request, resp: falcon.Response, caller: Caller, id: TicketId) -> None:
        with suppress(Rejected):  # of no region that is known: there is nothing to end
            if self._desk.forwarder.answer(req, resp, id.region):
                return
        found = id.region == self._desk.sessions.policy.region and self._desk.sessions.revoke(
            id, tenant=caller.name, deadline=req.deadline
        )
        events.record(req, "revoke", "ok" if found else "unknown", id=id, tenant=caller.name)


def describe(session: Session, resp: falcon.Response) -> None:
    """Name subject and session in headers, for proxies; the subject percent-encoded UTF-8.

    The subject's header is there even when it is empty: one that the client made up must not
    stand in its place.
    """
    subject = session.grant.subject
    if not _NEEDS_NO_QUOTES.fullmatch(subject):
        subject = quote(subject, safe=_HEADER_SAFE)
    resp.set_header("X-Guarita-Subject", subject)
    resp.set_header("X-Guarita-Session", session.hashed_id)


def minutes(seconds: int) -> int | float:
    """Minutes as a number; whole where they are."""
    return seconds // 60 if seconds % 60 == 0 else round(seconds / 60, 2)


def _set_cookie(resp: falcon.Response, token: str, ttl_s: int) -> None:
    """Partitioned (CHIPS): kept under this embedding site only, third-party cookies blocked."""
    resp.set_cookie(
        COOKIE,
        token,
        max_age=ttl_s,
        path="/",
        secure=True,
        http_only=True,
        same_site="None",
        partitioned=True,
    )
