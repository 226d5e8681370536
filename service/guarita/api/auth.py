"""Who calls: tenants by their API key, guests by their session token."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

from guarita.api.request import Request
from guarita.config import Tenant
from guarita.errors import Forbidden, Reason, Rejected

COOKIE = "__Host-guarita"
# What a browser sends from a frame that has no other cookie.
_ALONE = re.compile(rf"{COOKIE}=([A-Za-z0-9_.-]+)")
LOCAL_ORIGINS = ("'self'", "http://localhost:*", "http://127.0.0.1:*")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who may create, revoke and ask for the status; the empty name in an open installation."""

    name: str
    origins: tuple[str, ...]
    is_open: bool = False

    def may_embed(self, origin: str) -> bool:
        """Whether pages of this origin may show this caller's tickets; compared whole."""
        return self.is_open or origin in self.origins


class Tenants:
    """The tenants by API key and by name. Without any, the installation is open."""

    def __init__(self, tenants: Sequence[Tenant], extra_origins: Sequence[str] = ()) -> None:
        self._by_name = {one.name: Caller(one.name, one.origins) for one in tenants}
        self._digests = [(digest.encode(), one.name) for one in tenants for digest in one.digests()]
        self._open = Caller("", (*LOCAL_ORIGINS, *extra_origins), is_open=True)

    @property
    def is_open(self) -> bool:
        return not self._by_name

    def of_key(self, req: Request) -> Caller:
        """The caller by `Authorization: Bearer <API key>`. Raises `Forbidden`."""
        if self.is_open:
            return self._open
        key = (_bearer(req) or "").encode("latin-1", "replace")  # bytes as they were sent
        digest = hashlib.sha256(key).hexdigest().encode()
        found = ""
        for known, name in self._digests:  # every one: the time taken tells nothing
            if hmac.compare_digest(known, digest):
                found = name
        if not found:
            raise Forbidden("This needs a valid API key: Authorization: Bearer <key>.")
        return self._by_name[found]

    def embedders(self, tenant: str, origin: str) -> tuple[str, ...]:
        """CSP sources of the pages that may show a ticket of this tenant."""
        if origin:
            return (origin,)
        if self.is_open:
            return self._open.origins
        caller = self._by_name.get(tenant)
        return caller.origins if caller else ()

    def embedders_by_referrer(self, referrer: str) -> tuple[str, ...]:
        """The same where the ticket is not known: the asking page, if some tenant lists it."""
        if self.is_open:
            return self._open.origins
        origin = "/".join(referrer.split("/", 3)[:3])
        listed = any(caller.may_embed(origin) for caller in self._by_name.values())
        return (origin,) if listed else ()


def session_token(req: Request) -> str:
    """The session token: `Authorization: Bearer`, else the cookie of a same-origin request.

    A page of another site can make the browser send the cookie (CSRF), so there it proves
    nothing. Raises `Rejected`.
    """
    if req.header("Authorization") is not None:
        token = _bearer(req)
        if token is None:
            raise Rejected(Reason.BAD_TOKEN)
        return token
    if not is_same_origin(req):
        raise Rejected(Reason.MISSING)
    return cookie_token(req)


def cookie_token(req: Request) -> str:
    """The session token in the cookie. Raises `Rejected` unless there is exactly one."""
    alone = _ALONE.fullmatch(req.header("Cookie") or "")
    if alone is not None:
        return alone[1]
    values = req.get_cookie_values(COOKIE)
    if not values:
        raise Rejected(Reason.MISSING)
    if len(values) > 1:
        raise Rejected(Reason.BAD_TOKEN)
    return values[0]


def is_same_origin(req: Request) -> bool:
    """Whether the request is from our own page, or from something that is no browser."""
    return req.header("Sec-Fetch-Site") in (None, "same-origin")


def _bearer(req: Request) -> str | None:
    scheme, _, credential = (req.header("Authorization") or "").partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else None
