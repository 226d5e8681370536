"""Who is behind a session token: asked here, or in the region that the token is from."""

from __future__ import annotations

import falcon

from guarita import metrics
from guarita.api import events
from guarita.api.auth import session_token
from guarita.api.forwarding import Forwarder
from guarita.api.request import Request
from guarita.errors import Reason, Rejected
from guarita.sessions import Session, Sessions, region_of_token


def guest_of(
    req: Request, resp: falcon.Response, sessions: Sessions, forwarder: Forwarder
) -> Session | None:
    """The live session of a request; None where its home region has filled `resp`.

    Raises `Rejected`, after its reason was noted, and `StoreError`.
    """
    try:
        token = session_token(req)
        if forwarder.answer(req, resp, region_of_token(token)):
            return None
        session = sessions.verify(token, deadline=req.deadline)
    except Rejected as error:
        metrics.verifies(error.reason.value).inc()
        if error.reason is not Reason.MISSING:  # as when the page asks whether it has a cookie
            events.record(
                req,
                "verify",
                "refused",
                tenant=error.tenant,
                origin=error.origin,
                reason=error.reason.value,
            )
        raise
    metrics.verifies("live").inc()
    return session
