"""Reads what callers send, strictly: whatever has not exactly the right shape is `Malformed`."""

from __future__ import annotations

import json
import math
import re
from typing import Annotated, Any, Literal, TypeVar

import falcon
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from guarita.api.request import Request
from guarita.errors import Malformed
from guarita.ids import TicketId
from guarita.sessions import parse_attempt

MAX_CLAIMS_BYTES = 4096
MAX_CLAIMS_DEPTH = 16
MAX_SUBJECT_CHARACTERS = 256

_IDEMPOTENCY_KEY = re.compile(r"[ -~]{1,255}")
_ORIGIN = re.compile(
    r"https?://(?=[^/]{1,255}\Z)"
    r"(?:[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?|\[[0-9a-f:.]{2,45}\])"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
)
Model = TypeVar("Model", bound="Body")


def origin(text: str) -> str:
    """An origin as browsers send it: it is compared, and put into a header, as it is.

    Raises `ValueError`.
    """
    match = _ORIGIN.fullmatch(text)
    if match is None or int(match["port"] or 1) > 65535:
        raise ValueError("must be an origin as browsers send it: scheme://host or with :port")
    return text


def _within_limits(claims: dict[str, Any]) -> dict[str, Any]:
    if _is_deep(claims, MAX_CLAIMS_DEPTH):
        raise ValueError(f"must not be nested deeper than {MAX_CLAIMS_DEPTH} levels")
    if len(compact_json(claims, ensure_ascii=False).encode()) > MAX_CLAIMS_BYTES:
        raise ValueError(f"may have at most {MAX_CLAIMS_BYTES} bytes as compact JSON")
    return claims


class Body(BaseModel):
    """A JSON body: strict about types, and nothing unknown in it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


# Outside the class below, whose own `origin` would hide the function.
Origin = Annotated[str, AfterValidator(origin)]
Subject = Annotated[str, Field(min_length=1, max_length=MAX_SUBJECT_CHARACTERS)]


class CreateBody(Body):
    """What the creator may tie to a ticket."""

    subject: Subject | None = None
    origin: Origin | None = None
    claims: Annotated[dict[str, Any], AfterValidator(_within_limits)] | None = None


class RedeemBody(Body):
    """A redeem by the page."""

    session_id: str
    attempt: Annotated[str, AfterValidator(parse_attempt)]
    cookie: bool = False


class RevokeBody(Body):
    """Exactly one of: a ticket or session, everything of a subject."""

    session_id: str | None = None
    subject: Subject | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> RevokeBody:
        if (self.session_id is None) == (self.subject is None):
            raise ValueError("send session_id or subject, exactly one of them")
        return self


def read_body(req: Request, model: type[Model], *, optional: bool = False) -> Model:
    """The JSON object in the body. An empty body is an empty object where `optional`.

    Raises `Malformed`, and `falcon.HTTPContentTooLarge` above 16 KiB.
    """
    data = req.body()
    if not data and optional:
        return model()
    if (req.content_type or "").partition(";")[0].strip().lower() != falcon.MEDIA_JSON:
        raise Malformed("send a JSON object with Content-Type: application/json")
    try:
        return model.model_validate(parse_json(data))
    except ValidationError as exc:
        raise Malformed(_first_mistake(exc)) from None


def parse_json(data: bytes) -> object:
    """JSON as RFC 8259 has it: UTF-8 without a mark, finite numbers, each name once.

    Raises `Malformed`. What comes back can be written as JSON in UTF-8 again.
    """
    try:
        value: object = _DECODER.decode(data.decode())
        if b"\\u" in data:  # half a surrogate pair is read without complaint, and never written
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Malformed("the body is not valid JSON") from None
    return value


def compact_json(value: object, *, ensure_ascii: bool = True) -> str:
    """JSON without spaces and with sorted names: the same for equal values."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, allow_nan=False, separators=(",", ":"), sort_keys=True
    )


def read_ticket_id(text: str, *, has_regions: bool) -> TicketId:
    """A ticket id as this installation writes it. Raises `Malformed`."""
    id = TicketId.parse(text)
    if bool(id.region) is not has_regions:
        kind = "with its region in front" if has_regions else "without a region"
        raise Malformed(f"session_id must be a canonical lower-case UUIDv4 {kind}")
    return id


def query_ticket_id(req: Request, *, has_regions: bool) -> TicketId:
    """The one `session_id` of the query. Raises `Malformed`."""
    match req.params.get("session_id"):
        case str(text):
            return read_ticket_id(text, has_regions=has_regions)
        case None:
            raise Malformed("the query lacks session_id")
    raise Malformed("the query has more than one session_id")


def idempotency_key(req: Request) -> str | None:
    """The `Idempotency-Key` header: 1 to 255 printable ASCII characters. Raises `Malformed`."""
    key = req.header("Idempotency-Key")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise Malformed("Idempotency-Key must be 1 to 255 printable ASCII characters")
    return key


def _first_mistake(exc: ValidationError) -> str:
    """Where and what, never the value: it may be a ticket."""
    error = exc.errors(include_url=False, include_input=False, include_context=False)[0]
    text = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return "the body has a member that is not known here"
    if error["type"] == "model_type":
        return "the body must be a JSON object"
    where = ".".join(str(part) for part in error["loc"][:1])
    return f"{where}: {text}" if where else text


def _names_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name stands twice in an object")
    return members


def _refuse_constant(name: str) -> Literal[""]:
    raise ValueError(f"{name} is not JSON")


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


_DECODER = json.JSONDecoder(
    object_pairs_hook=_names_once, parse_constant=_refuse_constant, parse_float=_finite
)


def _is_deep(value: object, levels: int) -> bool:
    """Asked level by level: a hostile depth must not run into Python's own limit."""
    layer = [value]
    for _ in range(levels + 1):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not layer:
            return False
    return any(isinstance(inner, dict | list) for inner in layer)
