"""The HTTP API: routes, what surrounds them, and errors turned into answers."""

from __future__ import annotations

from pathlib import Path

import falcon
import structlog
from falcon.media import JSONHandler

from guarita import metrics
from guarita.api.answers import as_json
from guarita.api.auth import Tenants
from guarita.api.forwarding import Forwarder
from guarita.api.health import DeepHealth, Live, Metrics, OpenApi, RedisHealth, SessionStatus
from guarita.api.middleware import RequestFrame, SessionRequired
from guarita.api.pages import Asset, DemoContent, IframePage
from guarita.api.problems import CONTENT_TYPE, INTERNAL, problem_of
from guarita.api.request import Request
from guarita.api.tickets import CreateSession, Desk, Redeem, Revoke, ValidateSession, Verify
from guarita.config import Settings
from guarita.errors import StoreError, StoreOutcomeUnknown
from guarita.regions import Regions
from guarita.sessions import Sessions

App = falcon.App[Request, falcon.Response]

log = structlog.stdlib.get_logger("guarita.api")


def create_app(settings: Settings, sessions: Sessions, *, metrics_dir: Path | None = None) -> App:
    """The WSGI application; `metrics_dir` is where worker processes share their metrics."""
    region = settings.region
    forwarder = Forwarder(
        Regions(region.name, {name: peer.url for name, peer in region.peers.items()})
    )
    tenants = Tenants(settings.security.tenants, settings.demo.host_origins)
    app: App = falcon.App(
        request_type=Request,
        middleware=[RequestFrame(settings), SessionRequired(sessions, forwarder)],
    )
    app.resp_options.media_handlers[falcon.MEDIA_JSON] = JSONHandler(dumps=as_json)
    app.add_error_handler((Exception, falcon.HTTPError), _answer_error)
    _add_routes(app, Desk(sessions, tenants, forwarder), metrics_dir)
    if settings.demo.enabled:
        app.add_route("/demo/content", DemoContent())
    return app


def _add_routes(app: App, desk: Desk, metrics_dir: Path | None) -> None:
    app.add_route("/auth/create-session", CreateSession(desk))
    app.add_route("/auth/validate-session", ValidateSession(desk))
    app.add_route("/auth/redeem", Redeem(desk))
    app.add_route("/auth/verify", Verify(desk))
    app.add_route("/auth/revoke", Revoke(desk))
    app.add_route("/auth/session-status", SessionStatus(desk))
    app.add_route("/auth/redis-health", RedisHealth(desk.sessions))
    app.add_route("/client/iframe.html", IframePage(desk))
    app.add_route("/client/{name}", Asset())
    app.add_route("/livez", Live())
    app.add_route("/readyz", Live())
    app.add_route("/healthz/deep", DeepHealth(desk))
    app.add_route("/metrics", Metrics(metrics_dir))
    app.add_route("/openapi.json", OpenApi())


def _answer_error(
    req: Request, resp: falcon.Response, error: Exception, params: dict[str, str]
) -> None:
    """Turns every exception into its problem; the caller never sees a traceback."""
    problem = problem_of(error)
    if problem is INTERNAL:
        log.error("the service failed", exc_info=error)
    elif isinstance(error, StoreError):
        kind = "outcome_unknown" if isinstance(error, StoreOutcomeUnknown) else "unavailable"
        metrics.STORE_ERRORS.labels(kind).inc()
        log.warning("the store failed a request", kind=kind, reason=str(error))
    resp.status = problem.status
    if isinstance(error, falcon.HTTPError) and error.headers:
        resp.set_headers(error.headers)
    resp.set_headers(problem.headers())
    resp.content_type = CONTENT_TYPE
    resp.data = problem.body()
