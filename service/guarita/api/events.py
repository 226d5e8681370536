"""The security events: when, which tenant, origin and address, what came of it, which ticket."""

from __future__ import annotations

from guarita.api.request import Request
from guarita.errors import Rejected
from guarita.ids import TicketId
from guarita.logs import SECURITY, Recorder
from guarita.sessions import hashed

_log = Recorder(SECURITY)


def record(
    req: Request,
    event: str,
    outcome: str,
    *,
    id: TicketId | None = None,
    tenant: str = "",
    origin: str = "",
    reason: str = "",
) -> None:
    """Log one security event; of a ticket only the hash of its id."""
    details = {"outcome": outcome, "address": req.client_address}
    if id:
        details["ticket"] = hashed(str(id))
    if tenant:
        details["tenant"] = tenant
    if origin:
        details["origin"] = origin
    if reason:
        details["reason"] = reason
    _log(event, **details)


def record_refusal(req: Request, id: TicketId, error: Rejected) -> None:
    """Log a refused redeem; of a used ticket it is a replay by somebody else."""
    record(
        req,
        "replay" if error.reason == "used" else "redeem",
        "refused",
        id=id,
        tenant=error.tenant,
        origin=error.origin,
        reason=error.reason.value,
    )
