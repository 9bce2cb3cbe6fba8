"""How a refusal looks to each family's clients: with a status that they do not retry in vain.

One total table turns a reason into status, code and type; a test proves it total. Whatever is final
has a status that no library tries again (never 408, 409, 429 or 5xx) and says so in x-should-retry.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sidecar.core.refusals import Reason, Refusal, Shortage, rfc3339
from sidecar.http.plain_heads import Header
from sidecar.http.surfaces import ANTHROPIC, GEMINI, RESPONSES_EVENTS


class Face(NamedTuple):
    """How one kind of refusal looks."""

    status: int
    code: str
    openai_type: str
    anthropic_type: str


_INVALID = "invalid_request_error"
FACES: Mapping[Reason, Face] = {
    Reason.EXHAUSTED: Face(402, "insufficient_quota", "insufficient_quota", "billing_error"),
    Reason.TOO_LARGE: Face(402, "request_exceeds_budget", "insufficient_quota", "billing_error"),
    Reason.UNREACHABLE: Face(503, "budget_authority_unavailable", "server_error", "api_error"),
    Reason.BUSY: Face(429, "budget_busy", "rate_limit_error", "rate_limit_error"),
    Reason.RATE_LIMITED: Face(429, "rate_limit_exceeded", "rate_limit_error", "rate_limit_error"),
    # Never a 429: libraries would send it again by themselves, and go on with the loop.
    Reason.LOOP: Face(403, "loop_detected", "permission_error", "permission_error"),
    Reason.NO_BUDGET: Face(403, "no_budget", "permission_error", "permission_error"),
    Reason.INVALID_KEY: Face(401, "invalid_api_key", _INVALID, "authentication_error"),
    Reason.KEY_REVOKED: Face(401, "key_revoked", _INVALID, "authentication_error"),
    Reason.KEY_EXPIRED: Face(401, "key_expired", _INVALID, "authentication_error"),
    Reason.PROJECT_SUSPENDED: Face(
        403, "project_suspended", "permission_error", "permission_error"
    ),
    Reason.MODEL_NOT_ALLOWED: Face(
        403, "model_not_allowed", "permission_error", "permission_error"
    ),
    Reason.MODEL_NOT_PRICED: Face(403, "model_not_priced", "permission_error", "permission_error"),
    Reason.ENDPOINT_NOT_ALLOWED: Face(
        403, "endpoint_not_allowed", "permission_error", "permission_error"
    ),
    Reason.UNBOUNDED_FEATURE: Face(
        403, "unbounded_feature", "permission_error", "permission_error"
    ),
    Reason.INVALID_REQUEST: Face(400, "invalid_request", _INVALID, _INVALID),
    Reason.REQUEST_TOO_LARGE: Face(413, "request_too_large", _INVALID, "request_too_large"),
    Reason.PROVIDER_NOT_CONFIGURED: Face(
        403, "provider_not_configured", "permission_error", "permission_error"
    ),
    Reason.OVERLOADED: Face(503, "overloaded", "server_error", "overloaded_error"),
    Reason.SHUTTING_DOWN: Face(503, "shutting_down", "server_error", "overloaded_error"),
    Reason.JOURNAL_FAILED: Face(503, "journal_failed", "server_error", "api_error"),
    Reason.DISK_FULL: Face(503, "disk_full", "server_error", "overloaded_error"),
    Reason.FENCED: Face(503, "fenced", "server_error", "api_error"),
}
_WIRE_TYPES = {
    401: (_INVALID, "authentication_error"),
    403: ("permission_error", "permission_error"),
    404: (_INVALID, "not_found_error"),
    413: (_INVALID, "request_too_large"),
    500: ("server_error", "api_error"),
    502: ("server_error", "api_error"),
    503: ("server_error", "overloaded_error"),
    504: ("server_error", "timeout_error"),
}

_GEMINI_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    421: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    431: "INVALID_ARGUMENT",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_GEMINI_BY_CODE = {FACES[Reason.TOO_LARGE].code: "FAILED_PRECONDITION"}
"""Codes whose name in google.rpc does not follow from the status: smaller calls would pass."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An answer of the sidecar itself that is no success."""

    face: Face
    message: str
    param: str = ""
    """The field of the request that is wrong; may be empty."""
    retry: bool = False
    """Whether the caller's library should try again by itself."""
    retry_after_ms: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    """For programs: why, and which budgets."""
    headers: tuple[Header, ...] = ()
    """More headers."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.face.status


def fault_of(refusal: Refusal, param: str = "") -> Fault:
    """What a refusal says on the wire."""
    details: dict[str, Any] = {"reason": refusal.reason.value, **refusal.fields}
    if refusal.shortages:
        details["budgets"] = [_budget(shortage) for shortage in refusal.shortages]
    return Fault(
        face=FACES[refusal.reason],
        message=refusal.message,
        param=param,
        retry=refusal.retryable,
        retry_after_ms=refusal.retry_after_ms,
        details=details,
    )


def wire_fault(
    status: int, code: str, message: str, *, retry: bool = False, headers: tuple[Header, ...] = ()
) -> Fault:
    """A fault of the exchange itself, which no reason of admission names."""
    openai_type, anthropic_type = _WIRE_TYPES.get(status, (_INVALID, _INVALID))
    face = Face(status, code, openai_type, anthropic_type)
    return Fault(face, message, retry=retry, headers=headers, details={"reason": code})


def _budget(shortage: Shortage) -> dict[str, str | None]:
    """A budget's amounts, as texts: JSON's numbers end before the amounts do."""
    amounts = {
        "cap_nano_usd": shortage.cap_nano_usd,
        "spent_nano_usd": shortage.spent_nano_usd,
        "held_nano_usd": shortage.held_nano_usd,
        "worst_nano_usd": shortage.worst_nano_usd,
        "fits_nano_usd": shortage.fits_nano_usd,
    }
    end = shortage.period_end_unix_ms
    return {
        "budget_id": shortage.budget_id,
        "name": shortage.name,
        "reason": shortage.reason.value,
        **{name: None if amount is None else str(amount) for name, amount in amounts.items()},
        "period_end": None if end is None else rfc3339(end),
    }


def render(fault: Fault, family: str) -> tuple[list[Header], bytes]:
    """The headers and the body of a fault, in the words of a family."""
    encoded = json.dumps(_body(fault, family)).encode()
    headers: list[Header] = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(encoded)),
        (b"cache-control", b"no-store"),
        (b"x-should-retry", b"true" if fault.retry else b"false"),
        (b"x-bursar-error", fault.face.code.encode()),
    ]
    if fault.retry_after_ms is not None:
        headers.append((b"retry-after", b"%d" % -(-fault.retry_after_ms // 1000)))
        headers.append((b"retry-after-ms", b"%d" % fault.retry_after_ms))
    headers.extend(fault.headers)
    return headers, encoded


def _body(fault: Fault, family: str) -> dict[str, Any]:
    if family == ANTHROPIC:
        return anthropic_body(fault)
    return gemini_body(fault) if family == GEMINI else openai_body(fault)


def openai_body(fault: Fault) -> dict[str, Any]:
    """A fault as OpenAI's clients read it."""
    return {
        "error": {
            "message": fault.message,
            "type": fault.face.openai_type,
            "param": fault.param or None,
            "code": fault.face.code,
            "bursar": dict(fault.details),
        }
    }


def anthropic_body(fault: Fault) -> dict[str, Any]:
    """A fault as Anthropic's clients read it."""
    details = {"error_code": fault.face.code, **fault.details}
    if fault.param:
        details["param"] = fault.param
    return {
        "type": "error",
        "error": {
            "type": fault.face.anthropic_type,
            "message": fault.message,
            "details": details,
        },
    }


def gemini_body(fault: Fault) -> dict[str, Any]:
    """A fault as Google's clients read it: google.rpc.Status, and what ours has beside it."""
    code = fault.face.code
    texts = {name: told for name, told in fault.details.items() if type(told) is str}
    metadata = {**texts, "param": fault.param} if fault.param else texts
    details: list[dict[str, Any]] = [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": code.upper(),
            "domain": "bursar",
            "metadata": metadata,
        }
    ]
    if fault.retry_after_ms is not None:
        details.append(
            {
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": f"{-(-fault.retry_after_ms // 1000)}s",
            }
        )
    return {
        "error": {
            "code": fault.status,
            "message": fault.message,
            "status": _GEMINI_BY_CODE.get(code) or _GEMINI_STATUS.get(fault.status, "UNKNOWN"),
            "details": details,
            "bursar": dict(fault.details),
        }
    }


def stream_error(fault: Fault, events: str) -> bytes:
    """A fault within a stream that has begun: the event that libraries raise on."""
    if events == ANTHROPIC:
        return b"event: error\ndata: " + json.dumps(anthropic_body(fault)).encode() + b"\n\n"
    if events == RESPONSES_EVENTS:
        return b"event: error\ndata: " + json.dumps(_response_error(fault)).encode() + b"\n\n"
    return b"data: " + json.dumps(_body(fault, events)).encode() + b"\n\n"


def _response_error(fault: Fault) -> dict[str, Any]:
    """The event of a stream of responses: some libraries read it flat, some its `error`."""
    return {
        "type": "error",
        "code": fault.face.code,
        "message": fault.message,
        "param": fault.param or None,
        "sequence_number": 2**31 - 1,
        **openai_body(fault),
    }
