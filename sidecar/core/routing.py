"""Where a call goes that asks for a name, and where it goes on when that fails: pure decisions.

A target is a model at a provider. A name that has a route goes to the first of its targets that can
be used; what its caller wrote stays with the call as its alias.

An attempt may be followed by another only where it cannot have cost anything: its hold ended as
VOID, by the table of `core.exchange`, and its caller has not seen a byte of an answer. What follows
is the table FOLLOWS: another secret at the same provider where the secret was at fault, another
target where the provider or its model was.

A route may name a cheaper model. Calls go there instead while a budget of their project is used up
above a part of its cap, and where the first target does not fit a budget any more. How much is
used is what the control plane last said (spent, and held for open calls, over all sidecars), and
what has happened here since; a budget of which nothing is heard yet counts as below.

A secret that was refused, or whose limit is used up, rests: others are preferred to it for a while.
A rest only orders secrets; where all rest, a call is tried all the same.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from sidecar.limits import SECRET_BUSY_REST_MS, SECRET_REFUSED_REST_MS, SECRET_REST_MAX_MS

NOT_ROUTED: Final = ""
"""The call went to the model that it named."""
ALIAS: Final = "alias"
"""It named an alias of the agency's own."""
FALLBACK: Final = "fallback"
"""An earlier target failed, or all secrets there rest."""
CHEAPER: Final = "cheaper"
"""A budget is used up above a part of its cap, or the first target did not fit it."""


@dataclass(frozen=True, slots=True)
class Target:
    """A model at a provider."""

    provider: str
    model: str
    """As the provider is asked for it: an id, an alias of a price, or a deployment."""


@dataclass(frozen=True, slots=True)
class ModelRoute:
    """Where calls go that ask for a name. All targets speak one API."""

    project_id: str
    """The project that it is for; empty for all. A project's own stands above one for all."""
    name: str
    """The model that callers name."""
    targets: tuple[Target, ...]
    """Where calls go: to the first that can be used, then to the next where that costs nothing."""
    cheaper: Target | None = None
    """Where they go instead near a cap; None for no such rule."""
    above_percent: int = 0
    """Above which part of a cap."""


class Level(NamedTuple):
    """How a budget stands, as far as it is known here."""

    used_nano_usd: int
    """Spent, and held for open calls."""
    cap_nano_usd: int


def is_above(levels: Iterable[Level], percent: int, beside_nano_usd: int = 0) -> bool:
    """Whether any budget is used up above a part of its cap, beside an amount of a call's own.

    A budget without money is.
    """
    return any(
        not level.cap_nano_usd
        or (level.used_nano_usd - beside_nano_usd) * 100 > level.cap_nano_usd * percent
        for level in levels
    )


@dataclass(frozen=True, slots=True)
class ProviderSecret:
    """A secret at a provider."""

    secret_id: str
    """Its id, or of the provider's own its name and version, such as "openai:1"."""
    sealed: bytes = field(repr=False)
    """Sealed to this sidecar's key; empty when there is none."""


class Failure(Enum):
    """How an attempt failed that cost nothing."""

    UNREACHABLE = "unreachable"
    """Nothing was sent: no connection."""
    SECRET_REFUSED = "secret_refused"  # noqa: S105 - a word, not a secret
    """The provider does not know the secret."""
    FORBIDDEN = "forbidden"
    """The provider does not let the secret have this."""
    QUOTA = "quota"
    """What was paid for, or allowed, is used up."""
    BUSY = "busy"
    """Too many requests."""
    FAILED = "failed"
    """The provider failed."""
    OTHER = "other"
    """The request is at fault, and would be anywhere."""


class Follows(NamedTuple):
    """What may follow a failure."""

    other_secret: bool
    """The same target with another secret."""
    other_target: bool
    """Another target, once no other secret is left."""
    same_provider: bool
    """That target may be at the same provider."""


FOLLOWS: Final[Mapping[Failure, Follows]] = {
    Failure.UNREACHABLE: Follows(False, True, False),
    Failure.SECRET_REFUSED: Follows(True, True, False),
    Failure.FORBIDDEN: Follows(True, True, True),
    Failure.QUOTA: Follows(True, True, False),
    Failure.BUSY: Follows(True, True, True),
    Failure.FAILED: Follows(False, True, True),
    Failure.OTHER: Follows(False, False, False),
}
"""What follows each failure: the secret's fault, the model's or the provider's."""
_RESTS_MS: Final[Mapping[Failure, int]] = {
    Failure.SECRET_REFUSED: SECRET_REFUSED_REST_MS,
    Failure.FORBIDDEN: SECRET_BUSY_REST_MS,
    Failure.QUOTA: SECRET_REFUSED_REST_MS,
    Failure.BUSY: SECRET_BUSY_REST_MS,
}
_QUOTA_KINDS: Final = frozenset(
    (
        *("insufficient_quota", "credit_balance_exhausted", "billing_error"),
        *("project_spend_limit_exceeded", "organization_spend_limit_exceeded"),
        *("organization_usage_limit_exceeded", "billing_hard_limit_reached", "billing_not_active"),
    )
)
"""What providers call it when money or an allowance is used up, beside the status 402."""


def failure_of(status: int, kind: str, *, blames_secret: bool) -> Failure:
    """What an error of a provider means, by its status and by what its body calls it."""
    if status == 401 or blames_secret:
        return Failure.SECRET_REFUSED
    if status == 402 or kind in _QUOTA_KINDS:
        return Failure.QUOTA
    if status == 403:
        return Failure.FORBIDDEN
    if status == 429:
        return Failure.BUSY
    return Failure.FAILED if status >= 500 else Failure.OTHER


def rest_ms_of(failure: Failure, retry_after_ms: int | None) -> int:
    """How long a secret rests after a failure; 0 when it was not the secret's."""
    usual_ms = _RESTS_MS.get(failure, 0)
    if failure is Failure.BUSY and retry_after_ms is not None:
        return min(max(retry_after_ms, 1), SECRET_REST_MAX_MS)
    return usual_ms


def pick_secret(
    secrets: Sequence[ProviderSecret],
    rests: Mapping[str, int],
    boot_ms: int,
    tried: Collection[str] = (),
) -> ProviderSecret | None:
    """The secret to make an attempt with; None when none is left.

    `rests` tells until when a secret rests, by the boot clock. Where all rest, the first attempt of
    a call takes the one whose rest ends first; a further attempt takes none.
    """
    left = [one for one in secrets if one.secret_id not in tried]
    awake = next((one for one in left if rests.get(one.secret_id, 0) <= boot_ms), None)
    if awake is not None or tried or not left:
        return awake
    return min(left, key=lambda one: rests[one.secret_id])
