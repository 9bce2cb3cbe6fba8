"""The course of one request: its first attempt, and what follows attempts that cost nothing.

What may follow a failure is decided by the tables of `core.routing`; here it is prepared. Each
attempt is a call of its own, with its own hold at its own target's price; those after the first
name the first as their parent.
"""

from collections.abc import Callable
from typing import NamedTuple

from protos.values.selectors import Attributes
from sidecar.core.calls import Hold
from sidecar.core.refusals import Reason, Refusal
from sidecar.core.routing import (
    ALIAS,
    CHEAPER,
    FALLBACK,
    FOLLOWS,
    Failure,
    Follows,
    ModelRoute,
    Target,
    rest_ms_of,
)
from sidecar.limits import CALL_ATTEMPTS_MAX
from sidecar.runtime.aiming import PLAIN, Aim, Aiming, UnaimedError, Wish
from sidecar.runtime.prepared import Prepared

IsAbove = Callable[[Attributes, int, int], bool]
"""Whether a budget of a call is used up above a part of its cap, in percent, beside an amount."""


class Cheaper(NamedTuple):
    """Where a call may go instead near a cap."""

    target: Target
    above_percent: int


class Course:
    """Where a request goes, and where it went."""

    __slots__ = (
        "_aim",
        "_aimed",
        "_aiming",
        "_attempts",
        "_cheaper",
        "_left",
        "_wish",
        "prepared",
    )

    def __init__(
        self,
        aiming: Aiming,
        wish: Wish,
        prepared: Prepared,
        aim: Aim = PLAIN,
        aimed: Wish | None = None,
        left: tuple[Target, ...] = (),
        cheaper: Cheaper | None = None,
    ) -> None:
        """Begin with a first attempt; `left` are the targets that may follow it.

        `cheaper` is where it may go instead near a cap.
        """
        self._aiming = aiming
        self._wish = wish
        self._aimed = aimed or wish
        self._aim = aim
        self._left = left
        self._cheaper = cheaper
        self._attempts = 1
        self.prepared = prepared
        """The attempt that is made, or to be made."""

    @property
    def may_be_cheaper(self) -> bool:
        """Whether the attempt to be made may be exchanged for one of a cheaper model."""
        return self._cheaper is not None

    def is_late(self, hold: Hold, is_above: IsAbove) -> bool:
        """Whether a budget came above the route's part of its cap while a call waited."""
        if self._cheaper is None or not hold.waited_ms:
            return False
        percent = self._cheaper.above_percent
        return is_above(hold.call.attributes, percent, hold.worst_nano_usd)

    async def goes_cheaper(self, parent_call_id: str = "") -> bool:
        """Prepare a cheaper model's attempt instead of the one to be made; False when none is."""
        cheaper, self._cheaper = self._cheaper, None
        if cheaper is None:
            return False
        aim = Aim(self._wish.model, CHEAPER, parent_call_id=parent_call_id)
        try:
            self._aimed, found = await self._aiming.aimed_at(self._wish, cheaper.target, aim)
        except UnaimedError:
            return False
        self._aim, self.prepared = aim, found
        return True

    async def goes_on(self, call_id: str, failure: Failure, retry_after_ms: int | None) -> bool:
        """Prepare what follows an attempt that failed and cost nothing; False when nothing does."""
        call = self.prepared.call
        rest_ms = rest_ms_of(failure, retry_after_ms)
        if rest_ms:
            self._aiming.let_rest(call.provider_secret_id, rest_ms)
        if self._attempts >= CALL_ATTEMPTS_MAX:
            return False
        self._attempts += 1
        follows = FOLLOWS[failure]
        parent = self._aim.parent_call_id or call_id
        found = None
        if follows.other_secret:
            tried = self._aim.tried | {call.provider_secret_id}
            found = self._with_other_secret(Aim(self._aim.alias, self._aim.routed, tried, parent))
        if found is None and follows.other_target:
            aim = Aim(self._wish.model, FALLBACK, parent_call_id=parent)
            found = await self._at_other_target(follows, aim)
        if found is None:
            return False
        self.prepared = found
        return True

    def _with_other_secret(self, aim: Aim) -> Prepared | None:
        try:
            found = self._aiming.aimed(self._aimed, aim)
        except UnaimedError:
            return None
        self._aim = aim
        return found

    async def _at_other_target(self, follows: Follows, aim: Aim) -> Prepared | None:
        before = self.prepared.call.provider
        while self._left:
            target, *rest = self._left
            self._left = tuple(rest)
            if target.provider == before and not follows.same_provider:
                continue
            if not self._aiming.is_usable(self._wish, target):
                continue
            try:
                self._aimed, found = await self._aiming.aimed_at(self._wish, target, aim)
            except UnaimedError:
                continue
            self._aim = aim
            return found
        return None


async def begin(aiming: Aiming, wish: Wish, route: ModelRoute, is_above: IsAbove) -> Course:
    """Put a request on the course of a route. Raises UnaimedError.

    It begins at the first target that can be used, but passes over those where all secrets rest
    while there is another. Near a cap it begins at the cheaper model, if the route names one.
    """
    usable = [target for target in route.targets if aiming.is_usable(wish, target)]
    if not usable:
        raise UnaimedError(_leads_nowhere(wish), wish.attributes, "model")
    place = next((n for n, target in enumerate(usable) if not aiming.rests(wish, target)), 0)
    first, left = usable[place], tuple(usable[place + 1 :])
    aim = Aim(wish.model, FALLBACK if place else ALIAS)
    cheaper = None
    if route.cheaper is not None and aiming.is_usable(wish, route.cheaper):
        cheaper = Cheaper(route.cheaper, route.above_percent)
    if cheaper and is_above(aiming.attributes_at(wish, first), cheaper.above_percent, 0):
        first, left, cheaper = cheaper.target, tuple(usable), None
        aim = Aim(wish.model, CHEAPER)
    aimed, prepared = await aiming.aimed_at(wish, first, aim)
    return Course(aiming, wish, prepared, aim, aimed, left, cheaper)


def _leads_nowhere(wish: Wish) -> Refusal:
    return Refusal(
        Reason.MODEL_NOT_ALLOWED,
        f"{wish.model} leads to no model that this key may use with {wish.route.surface.value}; "
        "see `bursar route list`.",
    )
