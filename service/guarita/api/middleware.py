"""What happens around every request: who asks and until when, headers, log line, session."""

from __future__ import annotations

import ipaddress
import time

import falcon

from guarita import metrics
from guarita.api.forwarding import Forwarder
from guarita.api.guests import guest_of
from guarita.api.request import Request
from guarita.config import Settings
from guarita.logs import REQUEST_ID, Recorder
from guarita.regions import REGION_HEADER
from guarita.sessions import Sessions

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SAFE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_SAFE = {name.lower(): value for name, value in SAFE_HEADERS.items()}  # as Falcon keeps them
HSTS = "max-age=31536000"

_log = Recorder("guarita.access")


class RequestFrame:
    """Prepares each request, and finishes each answer: headers, metrics and one log line."""

    def __init__(self, settings: Settings) -> None:
        self._deadline_s = settings.store.deadline_s
        self._region = settings.region.name
        self._proxies = [ipaddress.ip_network(one) for one in settings.server.trusted_proxies]
        self._is_public_https = (settings.server.public_url or "").startswith("https:")

    def process_request(self, req: Request, resp: falcon.Response) -> None:
        req.limit(self._deadline_s)
        req.trust(self._proxies)
        REQUEST_ID.set(req.request_id)
        resp._headers.update(_SAFE)  # a resource may set its own

    def process_response(
        self, req: Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        req.drain()
        resp.set_header("X-Request-Id", req.request_id)
        if req.is_https or self._is_public_https:
            resp.set_header("Strict-Transport-Security", HSTS)
        if self._region and req.forwarded_by is not None:
            resp.set_header(REGION_HEADER, self._region)
        self._tell(req, resp)
        REQUEST_ID.set("")

    def _tell(self, req: Request, resp: falcon.Response) -> None:
        seconds = time.monotonic() - req.started_at
        method = req.method if req.method in METHODS else "other"
        status = resp.status_code
        metrics.count_request(method, req.uri_template or "unmatched", status, seconds)
        details = {
            "method": method,
            "path": req.path[:200],
            "status": status,
            "duration_ms": round(seconds * 1000, 1),
            "address": req.client_address,
        }
        if req.forwarded_by is not None:
            details["region"] = req.forwarded_by
        _log("request", **details)


class SessionRequired:
    """Lets a request through to a resource with `session_required` only with a live session.

    Puts it into `req.guest`. No session: `Rejected` (401); the store cannot say: `StoreError`
    (503), never the other way round.
    """

    def __init__(self, sessions: Sessions, forwarder: Forwarder) -> None:
        self._sessions = sessions
        self._forwarder = forwarder

    def process_resource(
        self, req: Request, resp: falcon.Response, resource: object, params: dict[str, str]
    ) -> None:
        if not getattr(resource, "session_required", False):
            return
        if not hasattr(resource, f"on_{req.method.lower()}"):
            return  # answered 405, or as OPTIONS
        req.guest = guest_of(req, resp, self._sessions, self._forwarder)
        resp.complete = req.guest is None
