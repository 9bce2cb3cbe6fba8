"""Rate limits on the wire: those of the policy, what a Sync says of them, and shares.

A limit that this program does not understand is passed over: it would be enforced nowhere else
either, and no call must stop because a newer control plane knows more.
"""

from collections.abc import Iterable

from google.protobuf.message import DecodeError

from protos.bursar.sidecar import v1 as wire
from protos.values.quantities import TOKEN_KINDS
from sidecar.core.instants import Now
from sidecar.core.rate_limits import CallKind, Earlier, Measure, RateLevel, RateLimit, Share
from sidecar.limits import RATE_SLICES, RATE_TOLD_CLIENTS_MAX
from sidecar.runtime.journal_start import Recovered

_MEASURES: dict[int, Measure] = {
    wire.RateMeasure.RATE_MEASURE_REQUESTS: "requests",
    wire.RateMeasure.RATE_MEASURE_TOKENS: "tokens",
    wire.RateMeasure.RATE_MEASURE_CALLS: "calls",
}


def limits_from_wire(messages: Iterable[wire.RateLimit]) -> list[RateLimit]:
    """The limits of a policy that can be enforced here."""
    limits = []
    for message in messages:
        measure = _MEASURES.get(message.measure)
        timed = message.window_ms > 0 and message.window_ms % RATE_SLICES == 0
        if measure is None or message.amount <= 0 or timed != (measure != "calls"):
            continue
        limits.append(
            RateLimit(
                rate_limit_id=message.rate_limit_id,
                measure=measure,
                amount=message.amount,
                window_ms=message.window_ms,
                project_id=message.project_id,
                key_id=message.key_id,
                provider=message.provider,
                model=message.model,
            )
        )
    return limits


def level_to_wire(level: RateLevel) -> wire.RateLevel:
    """What a Sync says of a limit; of very many clients, of those that want most."""
    wants = sorted(level.wants.items(), key=lambda item: (-item[1], item[0]))
    return wire.RateLevel(
        rate_limit_id=level.rate_limit_id,
        share=level.share,
        used=level.used,
        wants=[
            wire.ClientRate(
                project_id=client,
                amount=amount,
                used=level.used_by.get(client, 0),
                age_ms=max(1, level.ages_ms.get(client, 0)),
            )
            for client, amount in wants[:RATE_TOLD_CLIENTS_MAX]
        ],
    )


def share_from_wire(message: wire.RateShare) -> Share:
    """A share; what it is made of is within it, whatever was told."""
    return Share(
        amount=max(0, message.amount),
        floor=max(0, min(message.floor, message.amount)),
        room=max(0, message.room),
        spare=max(0, message.spare),
        parts={part.project_id: max(0, part.amount) for part in message.parts},
        due=max(0, message.due),
    )


def earlier_calls(recovered: Recovered, now: Now) -> list[Earlier]:
    """What an earlier process sent lately, by its journal, the longest ago first."""
    calls = []
    for body in recovered.recent_records:
        try:
            record = wire.Record.FromString(body)
        except DecodeError:
            # No seal covers a record's body. What rotted is evidence to tell, not money to count.
            continue
        kind = record.WhichOneof("kind")
        if kind == "settle":
            calls.append(record.settle.call)
        elif kind == "void" and record.void.call.outcome != wire.Outcome.OUTCOME_NOT_SENT:
            calls.append(record.void.call)
    calls += [wire.Call.FromString(body) for _, body in recovered.open_calls]
    calls.sort(key=lambda call: call.started_unix_ms)
    return [_earlier(call, now) for call in calls]


def _earlier(call: wire.Call, now: Now) -> Earlier:
    known = bool(call.quantities) or call.outcome == wire.Outcome.OUTCOME_PROVIDER_ERROR
    used = sum(used.count for used in call.quantities if used.kind in TOKEN_KINDS)
    return Earlier(
        CallKind(call.project_id, call.key_id, call.provider, call.requested_model),
        now.boot_ms - max(0, now.unix_ms - call.started_unix_ms),
        used if known else None,
    )
