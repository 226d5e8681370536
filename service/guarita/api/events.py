"""The security events: when, which tenant, origin and address, what came of it, which ticket."""

from __future__ import annotations

import structlog

from guarita.api.request import Request
from guarita.errors import Rejected
from guarita.ids import TicketId
from guarita.logs import SECURITY
from guarita.sessions import hashed

log = structlog.stdlib.get_logger(SECURITY)


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
    details = {
        "ticket": hashed(str(id)) if id else "",
        "tenant": tenant,
        "origin": origin,
        "reason": reason,
    }
    known = {name: value for name, value in details.items() if value}
    log.info(event, outcome=outcome, address=req.client_address, **known)


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
