"""Answers calls about another region's tickets with what that region says."""

from __future__ import annotations

import falcon
import structlog

from guarita import metrics
from guarita.api.auth import COOKIE
from guarita.api.request import DEADLINE_HEADER, FORWARDED_HEADER, Request
from guarita.deadline import Deadline
from guarita.errors import StoreError, StoreUnavailable
from guarita.regions import Answer, Call, Regions

_PASSED_ON = (
    "Accept-Language",
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "Purpose",
    "Referer",
    "Sec-Fetch-Dest",
    "Sec-Fetch-Site",
    "Sec-Purpose",
)
_PASSED_BACK = (
    "allow",
    "cache-control",
    "content-language",
    "content-security-policy",
    "content-type",
    "retry-after",
    "vary",
    "www-authenticate",
    "x-guarita-session",
    "x-guarita-subject",
)

log = structlog.stdlib.get_logger("guarita.regions")


class Forwarder:
    """Sends requests home, once: what another region sent here goes no further."""

    def __init__(self, regions: Regions) -> None:
        self._regions = regions

    @property
    def has_regions(self) -> bool:
        return bool(self._regions.name)

    def answer(self, req: Request, resp: falcon.Response, region: str) -> bool:
        """Fill `resp` with the home region's answer, unchanged; False if this region is home.

        Raises `Rejected` for an unknown region and `StoreError` when there is no answer.
        """
        answer = self.fetch(req, region, req.deadline)
        if answer is None:
            return False
        pass_back(answer, resp)
        return True

    def fetch(self, req: Request, region: str, deadline: Deadline) -> Answer | None:
        """The home region's answer, or None if this region is home. Raises as `answer` does."""
        if region == self._regions.name:
            return None
        if req.forwarded_by is not None and self._regions.knows(region):
            raise StoreUnavailable(f"a peer takes this for region {region}: check region.peers")
        try:
            answer = self._regions.send(
                region, _call(req, self._regions, deadline), deadline=deadline
            )
        except StoreError as exc:
            metrics.FORWARDS.labels("failed").inc()
            log.warning("the call could not be forwarded", region=region, reason=str(exc))
            raise
        metrics.FORWARDS.labels("answered").inc()
        return answer


def pass_back(answer: Answer, resp: falcon.Response) -> None:
    """Copy an answer: status, body and the headers that are about it."""
    resp.status = answer.status
    resp.data = answer.body
    for name, value in answer.headers:
        if name.lower() == "set-cookie":
            resp.append_header(name, value)
        elif name.lower() in _PASSED_BACK:
            resp.set_header(name, value)


def _call(req: Request, regions: Regions, deadline: Deadline) -> Call:
    headers = {name: value for name in _PASSED_ON if (value := req.get_header(name)) is not None}
    headers["X-Request-Id"] = req.request_id
    headers["X-Forwarded-For"] = req.client_address  # believed where this is a trusted proxy
    headers[FORWARDED_HEADER] = regions.name
    headers[DEADLINE_HEADER] = str(int(deadline.remaining_s * 1000))
    if cookies := req.get_cookie_values(COOKIE):
        headers["Cookie"] = "; ".join(f"{COOKIE}={value}" for value in cookies)
    query = f"?{req.query_string}" if req.query_string else ""
    return Call(req.method, req.path + query, headers, req.body())
