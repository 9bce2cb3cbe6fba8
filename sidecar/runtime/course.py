"""The course of one request: its first attempt, and what follows attempts that cost nothing.

What may follow a failure is decided by the tables of `core.routing`; here it is prepared. Each
attempt is a call of its own, with its own hold at its own target's price; those after the first
name the first as their parent.
"""

from sidecar.core.refusals import Reason, Refusal
from sidecar.core.routing import (
    ALIAS,
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


class Course:
    """Where a request goes, and where it went."""

    __slots__ = (
        "_aim",
        "_aimed",
        "_aiming",
        "_attempts",
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
    ) -> None:
        """Begin with a first attempt; `left` are the targets that may follow it."""
        self._aiming = aiming
        self._wish = wish
        self._aimed = aimed or wish
        self._aim = aim
        self._left = left
        self._attempts = 1
        self.prepared = prepared
        """The attempt that is made, or to be made."""

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


async def begin(aiming: Aiming, wish: Wish, route: ModelRoute) -> Course:
    """Put a request on the course of a route. Raises UnaimedError.

    It begins at the first target that can be used, but passes over those where all secrets rest
    while there is another.
    """
    usable = [target for target in route.targets if aiming.is_usable(wish, target)]
    if not usable:
        raise UnaimedError(_leads_nowhere(wish), wish.attributes, "model")
    place = next(
        (place for place, target in enumerate(usable) if not aiming.rests(wish, target)),
        0,
    )
    aim = Aim(wish.model, FALLBACK if place else ALIAS)
    aimed, prepared = await aiming.aimed_at(wish, usable[place], aim)
    return Course(aiming, wish, prepared, aim, aimed, tuple(usable[place + 1 :]))


def _leads_nowhere(wish: Wish) -> Refusal:
    return Refusal(
        Reason.MODEL_NOT_ALLOWED,
        f"{wish.model} leads to no model that this key may use with {wish.route.surface.value}; "
        "see `bursar route list`.",
    )
