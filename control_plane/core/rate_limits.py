"""What a rate limit is: so much of something in a window, of the calls that it counts."""

from dataclasses import dataclass
from enum import Enum

from control_plane import limits
from control_plane.core import fields
from control_plane.core import limits as rate_bounds
from control_plane.core.rate_shares import Shared
from protos.values import ids


class Measure(Enum):
    """What a rate limit counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    CALLS = "calls"
    """Calls in flight, which have no window."""


SECOND_MS = 1_000
MINUTE_MS = 60_000
WINDOWS_MS = (SECOND_MS, MINUTE_MS)
"""The windows that there are; a day's or a month's use is what budgets are for."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A rate limit. One without a client is shared by all clients."""

    rate_limit_id: str
    measure: Measure
    window_ms: int
    """0 for calls in flight."""
    amount: int
    project_id: str = ""
    key_id: str = ""
    provider: str = ""
    model: str = ""
    updated_unix_ms: int = 0

    @property
    def counts(self) -> tuple[str, int, str, str, str, str]:
        """What it counts, of which calls, in which window: no two limits have the same."""
        return (
            self.measure.value,
            self.window_ms,
            self.project_id,
            self.key_id,
            self.provider,
            self.model,
        )

    @property
    def shared(self) -> Shared:
        """What of it matters for sharing it."""
        return Shared(self.rate_limit_id, self.amount, self.window_ms, not self.project_id)


def check_limit(asked: RateLimit) -> RateLimit:
    """A limit that can be kept. Whether what it names exists, is seen elsewhere."""
    if not (asked.project_id or asked.key_id or asked.provider or asked.model):
        raise fields.invalid("rate_limit", "name a client, a key, a provider or a model")
    if asked.measure is Measure.CALLS:
        if asked.window_ms:
            raise fields.invalid("rate_limit.window", "calls in flight have no window")
    elif asked.window_ms not in WINDOWS_MS:
        raise fields.invalid("rate_limit.window", "a second or a minute is required")
    if asked.project_id:
        fields.check_id(asked.project_id, ids.PROJECT, "rate_limit.project_id")
    if asked.key_id:
        fields.check_id(asked.key_id, ids.KEY, "rate_limit.key_id")
    if len(asked.model) > limits.MODEL_CHARACTERS_MAX:
        raise fields.invalid(
            "rate_limit.model", f"at most {limits.MODEL_CHARACTERS_MAX} characters"
        )
    fields.check_between(asked.amount, 1, rate_bounds.RATE_LIMIT_MAX_UNITS, "rate_limit.amount")
    return asked
