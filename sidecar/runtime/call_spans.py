"""The spans of one call, made when it has ended, from what is known of it then.

Two: the caller's request as this sidecar served it (SERVER), from its arrival over the wait for
money to its settlement, and below it the call to the provider (CLIENT), in the terms of the GenAI
conventions. A refused call has the first alone; an attempt that follows a failed one stands below
the request of the first. No prompt, no answer, no key and no header is in
them: what they say is what the ledger says.
"""

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from protos.telemetry.traces import Draw, Moment, Span, SpanKind, Started, Value, child
from protos.values import quantities
from sidecar.core.calls import Hold, NewCall, Outcome, Settlement
from sidecar.core.instants import Now
from sidecar.core.refusals import Refusal
from sidecar.providers import conventions as names
from sidecar.providers.envelopes import fault_of

AddressOf = Callable[[str], str]
"""The base URL of a provider, by its name; "" when it is not known any more."""
_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,64}\Z")
_PORTS = {"http": 80, "https": 443}
_TOKENS = (
    (names.CACHE_READ_TOKENS, (quantities.CACHED,)),
    (names.CACHE_WRITE_TOKENS, (quantities.CACHE_WRITE, quantities.CACHE_WRITE_LONG)),
    (names.REASONING_TOKENS, (quantities.REASONING,)),
)


def spans_of_ended(
    hold: Hold, settlement: Settlement, now: Now, draw: Draw, address_of: AddressOf
) -> tuple[Span, ...]:
    """The spans of a call that held money."""
    call = hold.call
    started = call.trace
    assert started is not None
    admitted = hold.started_unix_ms
    ended = max(now.unix_ms, admitted)
    bad = settlement.outcome is not Outcome.OK
    error = _error(settlement) if bad else ""
    server: dict[str, Value] = {
        **_of_call(call),
        "bursar.call_id": hold.call_id,
        "bursar.wait_ms": hold.waited_ms,
        "bursar.outcome": settlement.outcome.value,
        "bursar.worst.nano_usd": hold.worst_nano_usd,
        "bursar.cost.nano_usd": settlement.cost_nano_usd,
        "bursar.cost.estimated": settlement.estimated,
    }
    if hold.output_limit is not None:
        server["bursar.clamped_output"] = hold.output_limit
    if settlement.status:
        server["http.response.status_code"] = settlement.status
    if error:
        server[names.ERROR] = error
    again = bool(call.parent_call_id)
    if again:
        started = child(started.context, draw)
    request = Span(
        name="attempt" if again else f"POST {call.surface}",
        kind=SpanKind.INTERNAL if again else SpanKind.SERVER,
        started=started,
        begun_unix_ms=admitted - hold.waited_ms,
        ended_unix_ms=ended,
        attributes=server,
        moments=(Moment("bursar.admitted", admitted),),
        failed=bad and not 400 <= settlement.status < 500,
    )
    if settlement.outcome is Outcome.NOT_SENT and not settlement.error_kind:
        return (request,)
    below = child(started.context, draw)
    return request, _at_provider(hold, settlement, below, ended, address_of)


def _at_provider(
    hold: Hold, settlement: Settlement, started: Started, ended: int, address_of: AddressOf
) -> Span:
    call = hold.call
    attributes: dict[str, Value] = {
        **_genai(call),
        **_used(settlement),
        **_address(address_of(call.provider)),
    }
    if settlement.answered_model:
        attributes[names.RESPONSE_MODEL] = settlement.answered_model
    if settlement.status:
        attributes["http.response.status_code"] = settlement.status
    if settlement.outcome is not Outcome.OK:
        attributes[names.ERROR] = _error(settlement)
    if settlement.first_byte_ms:
        attributes["bursar.first_byte_ms"] = settlement.first_byte_ms
    return Span(
        name=f"{attributes[names.OPERATION]} {call.attributes.model}",
        kind=SpanKind.CLIENT,
        started=started,
        begun_unix_ms=hold.started_unix_ms,
        ended_unix_ms=ended,
        attributes=attributes,
        failed=settlement.outcome is not Outcome.OK,
    )


def span_of_refused(call: NewCall, refusal: Refusal, waited_ms: int, now: Now) -> Span:
    """The span of a call that was turned away."""
    assert call.trace is not None
    status = fault_of(refusal).status
    attributes: dict[str, Value] = {
        **_of_call(call),
        "bursar.wait_ms": waited_ms,
        "bursar.outcome": "refused",
        "bursar.reason": refusal.reason.value,
        "http.response.status_code": status,
        names.ERROR: refusal.reason.value,
    }
    if refusal.budget_id:
        attributes["bursar.budget_id"] = refusal.budget_id
    return Span(
        name=f"POST {call.surface}",
        kind=SpanKind.SERVER,
        started=call.trace,
        begun_unix_ms=now.unix_ms - waited_ms,
        ended_unix_ms=now.unix_ms,
        attributes=attributes,
        failed=status >= 500,
    )


def _of_call(call: NewCall) -> dict[str, Value]:
    attributes = call.attributes
    told: dict[str, Value] = {
        "http.request.method": "POST",
        "http.route": call.surface,
        "bursar.project_id": attributes.project_id,
        "bursar.key_id": attributes.key_id,
        "bursar.provider": call.provider,
    }
    texts = {
        names.WORKFLOW: attributes.workflow,
        "bursar.execution": call.execution,
        "bursar.step": call.step,
        "bursar.region": attributes.region,
        "bursar.alias": call.alias,
    }
    return told | {name: text for name, text in texts.items() if text}


def _genai(call: NewCall) -> dict[str, Value]:
    return {
        names.OPERATION: names.operation_of(call.surface),
        names.PROVIDER: names.provider_of(call.provider),
        names.REQUEST_MODEL: call.attributes.model,
        names.REQUEST_STREAM: call.streamed,
    }


def _used(settlement: Settlement) -> dict[str, Value]:
    used = settlement.quantities
    counts = {
        names.INPUT_TOKENS: names.input_tokens(used),
        names.OUTPUT_TOKENS: names.output_tokens(used),
    }
    for name, kinds in _TOKENS:
        counts[name] = sum(used.get(kind, 0) for kind in kinds)
    told: dict[str, Value] = {name: count for name, count in counts.items() if count}
    if settlement.tier:
        told["bursar.tier"] = settlement.tier
    return told


def _address(base_url: str) -> dict[str, Value]:
    if not base_url:
        return {}
    parts = urlsplit(base_url)
    port = parts.port or _PORTS.get(parts.scheme, 0)
    return {"server.address": parts.hostname or "", "server.port": port}


def _error(settlement: Settlement) -> str:
    """What went wrong, in a word: a provider's own words are no names."""
    kind = settlement.error_kind or settlement.outcome.value
    return kind if _WORD.match(kind) else "_OTHER"
