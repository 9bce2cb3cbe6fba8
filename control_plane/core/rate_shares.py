"""How a rate limit is shared out: fairly over clients, and over the sidecars that their calls take.

A limit of N is N whole units, and each sidecar's share is some of them. It checks what it lets pass
against its share alone. What keeps the sum within N:

1. A sidecar *holds* the most of: the share that it said is in force there, the share that the
   latest answer may have brought it, and what it said it used within the last window (or has in
   flight). From its report to the next it can have used no more than that.
2. A share is raised only by what nobody holds. So who gives up has said so before who receives
   hears of it, and what was used moves no sooner than it leaves the window. Thus what all sidecars
   used over any window is at most what they hold at its end, and that is at most N.
3. A share that nobody renewed ends, at the sidecar a good deal earlier than here; what stays is its
   floor. After that a window (or the longest call) passes before others get it.
4. A new epoch's journal may not know what was used, so what the old one held stays held a window.
5. This is memory. After a start nothing is raised on the word of those that were not heard yet.

Fairness: clients share by weighted max-min over what they ask for: whoever asks for less than his
part gets all of it, and what he leaves is divided anew. Each client's part then goes to the
sidecars by what it asks for at each. What nobody asks for is room for whoever comes first. A
twentieth is kept for clients and sidecars that were not heard of yet, so that they begin at once.

In the first window nobody knows yet what the others will ask for. So who began within it is taken
to go on as he began, and may use a third at once and the rest as a window passes; what he must
leave is kept for who comes meanwhile. Who used more than his level before they came keeps it, takes
no more, and the others share what is left.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from control_plane.core import limits


@dataclass(frozen=True, slots=True)
class RateLevel:
    """What a sidecar says of one limit; replaces what it said before."""

    rate_limit_id: str
    share: int
    """The share that is in force there."""
    used: int
    """What it used within the last window, or has in flight."""
    wants: Mapping[str, int]
    """What each client asked for, by project id."""
    used_by: Mapping[str, int] = field(default_factory=dict)
    """What of it each used."""
    ages_ms: Mapping[str, int] = field(default_factory=dict)
    """How long ago each began to ask there; a window ago when it is not said."""


@dataclass(frozen=True, slots=True)
class RateShare:
    """A sidecar's share of a limit: what its answer says."""

    rate_limit_id: str
    amount: int
    """All that it may use; room, spare and parts are within."""
    floor: int
    """What stays when nobody renews it."""
    room: int
    """What any client may use beside its part."""
    spare: int
    """What a client without a part may use."""
    parts: Mapping[str, int]
    """What is each client's own."""
    due: int = 0
    """What the amount will be once others gave up what they hold too much of."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What of a limit matters for sharing it."""

    rate_limit_id: str
    amount: int
    window_ms: int
    """0 for a limit on calls in flight."""
    per_client: bool
    """Clients share it; else it is one client's own."""

    @property
    def paced(self) -> bool:
        """Whether clients share a window that is long beside the time in which shares move."""
        return self.per_client and self.window_ms >= limits.RATE_PACED_WINDOW_MS


@dataclass(frozen=True, slots=True)
class Holding:
    """What a sidecar holds of a limit, as far as it is known."""

    level: RateLevel
    epoch: int
    heard_unix_ms: int
    told: int = 0
    """The share that the latest answer may have brought."""
    floor: int = 0
    """What it goes on with when it hears nothing more."""
    ghost: int = 0
    """What its journal before this one held,"""
    ghost_until_unix_ms: int = 0
    """until then."""
    gone: bool = False
    """It ended and said so: nothing of it is left but what it used."""

    def held(self, limit: Shared, now_unix_ms: int) -> int:
        """The most that it can have used over any window that ends from now on."""
        ghost = self.ghost if now_unix_ms < self.ghost_until_unix_ms else 0
        if self.gone:
            return ghost
        if self.is_over(limit, now_unix_ms):
            return self.floor
        return max(self.level.share, self.told, self.level.used) + ghost

    def is_over(self, limit: Shared, now_unix_ms: int) -> bool:
        """Whether it was silent for so long that only its floor is left."""
        return now_unix_ms - self.heard_unix_ms >= limits.RATE_SHARE_OVER_MS + lasting_ms(limit)


@dataclass(frozen=True, slots=True)
class Shares:
    """What was decided for the sidecar that asks."""

    share: RateShare
    nudges: frozenset[str] = frozenset()
    """Sidecars that hold more than their share, which the asker lacks."""


def lasting_ms(limit: Shared) -> int:
    """For how long what was used still counts, at most."""
    return limit.window_ms or limits.LONGEST_CALL_MS


def heard(
    before: Holding | None, level: RateLevel, epoch: int, limit: Shared, now_unix_ms: int
) -> Holding:
    """What a sidecar holds after it spoke.

    At most one Sync is under way, so that no answer before this report can still come to it.
    """
    if before is None:
        return Holding(level, epoch, now_unix_ms)
    ghost, until_unix_ms = before.ghost, before.ghost_until_unix_ms
    if epoch != before.epoch:
        ghost = before.held(limit, now_unix_ms)
        until_unix_ms = now_unix_ms + lasting_ms(limit)
    return replace(
        before,
        level=level,
        epoch=epoch,
        heard_unix_ms=now_unix_ms,
        told=0,
        ghost=ghost,
        ghost_until_unix_ms=until_unix_ms,
        gone=False,
    )


def left(holding: Holding, limit: Shared, now_unix_ms: int) -> Holding:
    """What is left of a sidecar that has ended: what it used, for a window yet."""
    return replace(
        holding,
        floor=0,
        ghost=holding.held(limit, now_unix_ms),
        ghost_until_unix_ms=now_unix_ms + limit.window_ms,
        gone=True,
    )


@dataclass(frozen=True, slots=True)
class Table:
    """Who holds what of one limit, and who shares it how."""

    limit: Shared
    holdings: Mapping[str, Holding]
    """By sidecar; the asker is among them."""
    weights: Mapping[str, int] = field(default_factory=dict)
    """By project id; others weigh RATE_WEIGHT_DEFAULT_PARTS."""
    known: int = 1
    """Sidecars that may come and ask for a part."""
    unheard: bool = False
    """Some that may hold a share were not heard since this process began."""


def targets_of(table: Table, now_unix_ms: int) -> dict[str, RateShare]:
    """What the share of each sidecar that is there should be; within the limit in sum."""
    limit = table.limit
    live = sorted(
        sidecar_id
        for sidecar_id, holding in table.holdings.items()
        if not (holding.gone or holding.is_over(limit, now_unix_ms))
    )
    turn = now_unix_ms // max(limit.window_ms, limits.RATE_TURN_MS)
    return _targets(table, live, turn)


def share_out(
    table: Table, asker: str, now_unix_ms: int, targets: Mapping[str, RateShare] | None = None
) -> Shares:
    """The share of the sidecar that asks, and who must speak so that it can have all of it.

    `targets` may be of a moment ago: what is safe to give rests on the holdings alone.
    """
    limit = table.limit
    if targets is None or asker not in targets:
        targets = targets_of(table, now_unix_ms)
    own = table.holdings[asker]
    others = sum(
        holding.held(limit, now_unix_ms)
        for sidecar_id, holding in table.holdings.items()
        if sidecar_id != asker
    )
    ghost = own.ghost if now_unix_ms < own.ghost_until_unix_ms else 0
    free = max(0, limit.amount - others - ghost)
    if table.unheard:
        free = min(free, max(own.level.share, own.level.used))
    target = targets[asker]
    share = _within(target, min(target.amount, free))
    floor = min(share.amount, limit.amount // limits.RATE_RESERVE_PARTS // max(1, table.known))
    nudges: frozenset[str] = frozenset()
    if share.amount < target.amount:
        nudges = frozenset(
            sidecar_id
            for sidecar_id, other in targets.items()
            if sidecar_id != asker
            and table.holdings[sidecar_id].held(limit, now_unix_ms) > other.amount
        )
    return Shares(replace(share, floor=floor, due=target.amount), nudges)


def _targets(table: Table, live: Sequence[str], turn: int) -> dict[str, RateShare]:
    """What each sidecar's share should be; they are within the limit in sum."""
    limit = table.limit
    reserve = limit.amount // limits.RATE_RESERVE_PARTS
    wants = {one: _by_client(table, _projected(table, one)) for one in live}
    used = {one: _by_client(table, table.holdings[one].level.used_by) for one in live}
    asked, spent = _summed(wants.values()), _summed(used.values())
    rest = limit.amount - reserve
    begun = {client: min(want, _begun(table, live, client)) for client, want in asked.items()}
    fair = fill_above(rest, begun, spent, table.weights, turn)
    level = fill(rest, begun, table.weights, turn)
    reserve = max(0, min(reserve, limit.amount - sum(fair.values())))
    rest = max(0, rest - sum(fair.values()))
    # What those who began lately asked for and must leave yet is for who comes meanwhile.
    kept = min(rest, sum(asked.values()) - sum(begun.values()))
    rest, reserve = rest - kept, reserve + kept
    parts: dict[str, dict[str, int]] = {one: {} for one in live}
    over = dict.fromkeys(live, 0)
    for client in asked:
        at = {one: wants[one][client] for one in live if client in wants[one]}
        there = {one: min(used[one].get(client, 0), want) for one, want in at.items()}
        # Who used more than his level keeps that, but must take no more of what leaves the window.
        own = fair[client] if fair[client] > spent.get(client, 0) else level[client]
        got = spread_above(own, at, there, turn)
        for one, amount in got.items():
            parts[one][client] = amount
            over[one] += max(0, there[one] - amount)
    room, left = divmod(rest, len(live))
    spare = reserve // len(live)
    targets: dict[str, RateShare] = {}
    for place, one in enumerate(live):
        own_room = room + ((place + turn) % len(live) < left)
        amount = sum(parts[one].values()) + over[one] + own_room + spare
        targets[one] = RateShare(
            limit.rate_limit_id, amount, 0, own_room, spare, parts[one] if limit.per_client else {}
        )
    return targets


def _projected(table: Table, sidecar_id: str) -> dict[str, int]:
    """What clients ask for in a window, at one sidecar.

    Who began within the window is taken to go on as he began. Else others have used what is his
    before he could ask for it.
    """
    level, window_ms = table.holdings[sidecar_id].level, table.limit.window_ms
    if not table.limit.paced:
        return dict(level.wants)
    shortest_ms = window_ms // limits.RATE_BEGIN_PARTS
    return {
        client: want
        * window_ms
        // min(window_ms, max(shortest_ms, level.ages_ms.get(client, window_ms)))
        for client, want in level.wants.items()
    }


def _begun(table: Table, live: Sequence[str], client: str) -> int:
    """The most that a client may use who began within the window, by how long ago that was.

    A third at once, and the rest as the window passes. Else the first to come fills the window in
    its beginning, and those that come a moment later wait for its end.
    """
    limit = table.limit
    if not limit.paced:
        return limits.RATE_WANT_MAX_UNITS
    levels = [table.holdings[one].level for one in live]
    ages = [level.ages_ms.get(client, limit.window_ms) for level in levels if client in level.wants]
    at_once = -(-limit.amount // limits.RATE_BEGIN_AT_ONCE_PARTS)
    return at_once + (limit.amount - at_once) * max(ages) // limit.window_ms


def _summed(amounts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """What each client has at all sidecars."""
    sums: dict[str, int] = {}
    for by_client in amounts:
        for client, amount in by_client.items():
            sums[client] = sums.get(client, 0) + amount
    return sums


def _by_client(table: Table, told: Mapping[str, int]) -> dict[str, int]:
    known = {
        client: min(amount, limits.RATE_WANT_MAX_UNITS)
        for client, amount in told.items()
        if amount > 0
    }
    if table.limit.per_client:
        return known
    return {"": sum(known.values())} if known else {}


def _within(target: RateShare, amount: int) -> RateShare:
    """A share as like its target as fits: everybody gives up the same part of what he had."""
    if amount >= target.amount:
        return target
    whole = sum(target.parts.values()) + target.room + target.spare
    # What is above all of them was used by those who must take no more.
    amount_left = left = max(0, amount - (target.amount - whole))
    parts = {}
    for client, part in target.parts.items():
        parts[client] = part * amount_left // whole
        left -= parts[client]
    room = min(left, target.room * amount_left // whole) if whole else 0
    spare = min(left - room, target.spare * amount_left // whole) if whole else 0
    left -= room + spare
    for client in sorted(parts, key=lambda client: (parts[client], client)):
        # What rounding left goes to whoever has least.
        if left and parts[client] < target.parts[client]:
            parts[client] += 1
            left -= 1
    return replace(target, amount=amount, room=room + left, spare=spare, parts=parts)


def fill(
    pool: int, wants: Mapping[str, int], weights: Mapping[str, int], turn: int
) -> dict[str, int]:
    """Weighted max-min: the largest level at which everybody gets level x weight, or all he wants.

    Whole units, at most the pool in sum; which of equals gets the last ones goes by turns.
    """
    got = dict.fromkeys(wants, 0)
    open_names = sorted(wants)
    rest = pool
    while open_names and rest > 0:
        total = sum(_weight(weights, name) for name in open_names)
        sated = [
            name
            for name in open_names
            if (wants[name] - got[name]) * total <= rest * _weight(weights, name)
        ]
        if not sated:
            given = {name: rest * _weight(weights, name) // total for name in open_names}
            for name, amount in given.items():
                got[name] += amount
            rest -= sum(given.values())
            return _hand_out(rest, got, wants, open_names, turn)
        for name in sated:
            rest -= wants[name] - got[name]
            got[name] = wants[name]
        open_names = [name for name in open_names if name not in sated]
    return got


def fill_above(
    pool: int,
    wants: Mapping[str, int],
    used: Mapping[str, int],
    weights: Mapping[str, int],
    turn: int,
) -> dict[str, int]:
    """Max-min of what is left beside what was used already: nobody gives that back.

    Who used more than his level before others came has that, and the others share the rest.
    """
    over: dict[str, int] = {}
    while True:
        open_wants = {name: want for name, want in wants.items() if name not in over}
        got = fill(max(0, pool - sum(over.values())), open_wants, weights, turn)
        more = {name: used[name] for name in got if used.get(name, 0) > got[name]}
        if not more:
            return got | over
        over |= more


def spread_above(
    amount: int, wants: Mapping[str, int], used: Mapping[str, int], turn: int
) -> dict[str, int]:
    """A client's part over its sidecars: first where it was used already, then by what is asked."""
    there = fill(amount, used, {}, turn)
    rest = {name: want - there[name] for name, want in wants.items()}
    more = spread(amount - sum(there.values()), rest, turn)
    return {name: there[name] + more[name] for name in wants}


def _hand_out(
    rest: int, got: dict[str, int], wants: Mapping[str, int], names: Sequence[str], turn: int
) -> dict[str, int]:
    """Give what rounding left, one unit each, beginning with another one at each turn."""
    for place in range(len(names)):
        name = names[(place + turn) % len(names)]
        if rest and got[name] < wants[name]:
            got[name] += 1
            rest -= 1
    return got


def spread(amount: int, wants: Mapping[str, int], turn: int) -> dict[str, int]:
    """A client's part over its sidecars: by max-min first, and what is above all wants evenly."""
    got = fill(amount, wants, {}, turn)
    rest = amount - sum(got.values())
    each, left = divmod(rest, len(wants)) if wants else (0, 0)
    for place, name in enumerate(sorted(wants)):
        got[name] += each + ((place + turn) % len(wants) < left)
    return got


def _weight(weights: Mapping[str, int], name: str) -> int:
    return weights.get(name, limits.RATE_WEIGHT_DEFAULT_PARTS)


@dataclass(frozen=True, slots=True)
class Known:
    """A sidecar that may come and take part."""

    sidecar_id: str
    joined_unix_ms: int
    seen_unix_ms: int


def is_unheard(
    limit: Shared,
    known: Iterable[Known],
    heard_of: Collection[str],
    started_unix_ms: int,
    now_unix_ms: int,
) -> bool:
    """Whether a sidecar that may hold a share was not heard since this process began."""
    over_ms = limits.RATE_SHARE_OVER_MS + lasting_ms(limit)
    if now_unix_ms - started_unix_ms >= over_ms:
        return False
    return any(
        one.sidecar_id not in heard_of
        and one.joined_unix_ms < started_unix_ms
        and started_unix_ms - one.seen_unix_ms < over_ms
        for one in known
    )


def told(holding: Holding, share: RateShare) -> Holding:
    """What a sidecar may hold once an answer with this share was sent."""
    return replace(holding, told=share.amount, floor=max(holding.floor, share.floor))
