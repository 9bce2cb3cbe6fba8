"""Rate limits on their way to sidecars, what those say of them, and their shares."""

from collections.abc import Sequence
from typing import Final

from control_plane.core import limits
from control_plane.core.rate_limits import Measure, RateLimit
from control_plane.core.rate_shares import RateLevel, RateShare
from protos.bursar.sidecar import v1
from protos.values.errors import InvalidArgumentError

_MEASURES: Final = {
    Measure.REQUESTS: v1.RateMeasure.RATE_MEASURE_REQUESTS,
    Measure.TOKENS: v1.RateMeasure.RATE_MEASURE_TOKENS,
    Measure.CALLS: v1.RateMeasure.RATE_MEASURE_CALLS,
}


def limit_to_wire(limit: RateLimit) -> v1.RateLimit:
    """A limit of the policy."""
    return v1.RateLimit(
        rate_limit_id=limit.rate_limit_id,
        measure=_MEASURES[limit.measure],
        amount=limit.amount,
        window_ms=limit.window_ms,
        project_id=limit.project_id,
        key_id=limit.key_id,
        provider=limit.provider,
        model=limit.model,
    )


def levels_from_wire(messages: Sequence[v1.RateLevel]) -> tuple[RateLevel, ...]:
    """What a Sync says of rate limits. Raises InvalidArgumentError."""
    if len(messages) > limits.RATE_LIMITS_MAX:
        raise _invalid(f"{len(messages)} rate_levels are more than {limits.RATE_LIMITS_MAX}")
    return tuple(map(_level, messages))


def _level(message: v1.RateLevel) -> RateLevel:
    # An amount may be lowered while many sidecars still hold the one before, but not without end.
    most = limits.RATE_WANT_MAX_UNITS
    if not (0 <= message.share <= most and 0 <= message.used <= most):
        raise _invalid(f"{message.rate_limit_id!r} has a share or use that cannot be")
    if len(message.wants) > limits.RATE_CLIENTS_MAX:
        raise _invalid(f"{len(message.wants)} clients are more than {limits.RATE_CLIENTS_MAX}")
    wants = {want.project_id: max(0, min(want.amount, most)) for want in message.wants}
    used_by = {want.project_id: max(0, min(want.used, most)) for want in message.wants}
    ages_ms = {want.project_id: min(want.age_ms, most) for want in message.wants if want.age_ms > 0}
    return RateLevel(message.rate_limit_id, message.share, message.used, wants, used_by, ages_ms)


def share_to_wire(share: RateShare) -> v1.RateShare:
    """A sidecar's share."""
    return v1.RateShare(
        rate_limit_id=share.rate_limit_id,
        amount=share.amount,
        floor=share.floor,
        room=share.room,
        spare=share.spare,
        parts=[
            v1.ClientRate(project_id=client, amount=amount)
            for client, amount in share.parts.items()
        ],
        due=share.due,
    )


def _invalid(why: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"rate_levels: {why}", field="rate_levels")
