"""Rate limits at one sidecar: what was used of each lately, and what a share of it still allows.

A limit of N a minute means that in no minute, whichever it is, more than N pass, all sidecars
together; a limit on calls in flight means that never more than N are. Rules:

1. `used` is what was taken within the last window, or is in flight. Every taking is checked against
   this sidecar's share of the limit, and the shares of all sidecars never exceed it in sum: so the
   sum of what they used, over the window that ends now, is at most the limit.
2. Time is cut into slices, and one that is partly out of the window still counts as a whole. Errors
   are to the safe side: at most a fiftieth of the limit is lost.
3. What is taken is pinned until the call goes out, and then dated; what never goes out is given
   back. So waiting for money moves no request into a window that has no room for it.
4. Tokens are taken by the bound of a call and put right when it settles. A call whose bound is
   above the share takes all of it: alone it passes, and what it really used counts from then on.
5. A client's part of a share is its own, so that one client never crowds out another; `room` is for
   whoever comes first, and `spare` for clients of whom the control plane did not hear yet.
6. Of a limit that clients share, one client uses at most a third of what it may (and of what is
   spare, which becomes its own as it goes on) in a fifth of the window. Else the first to come
   fills the window, and those that come a moment later wait for its end, however fair their parts
   are; and what has room to wait goes out soon enough all the same.
7. A share holds for a time. When nobody renewed it, what is left is `floor`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from sidecar.core.rate_windows import Usage
from sidecar.limits import (
    RATE_BURST_PARTS,
    RATE_CLIENTS_MAX,
    RATE_HOPE_MS,
    RATE_REMEMBERED_KINDS_MAX,
)

Measure = Literal["requests", "tokens", "calls"]
"""What is limited: requests or tokens in a window, or calls in flight."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How much of something may be used in a window, over all sidecars."""

    rate_limit_id: str
    measure: Measure
    amount: int
    """At most so much in a window; of calls in flight, at any time."""
    window_ms: int
    """Of calls in flight 0."""
    project_id: str = ""
    """Only this client's calls; empty for everybody's, who then share the limit fairly."""
    key_id: str = ""
    """Only calls with this key, when not empty."""
    provider: str = ""
    """Only calls to this provider, when not empty."""
    model: str = ""
    """Only calls of this model, by its id in the price book, when not empty."""

    def matches(self, kind: "CallKind") -> bool:
        """Whether it counts such calls."""
        return (
            (not self.project_id or self.project_id == kind.project_id)
            and (not self.key_id or self.key_id == kind.key_id)
            and (not self.provider or self.provider == kind.provider)
            and (not self.model or self.model == kind.model)
        )


class CallKind(NamedTuple):
    """What rate limits tell calls apart by."""

    project_id: str
    key_id: str
    provider: str
    model: str


class Earlier(NamedTuple):
    """A call that an earlier process sent, and that still counts."""

    kind: CallKind
    boot_ms: int
    """When it went out."""
    tokens: int | None
    """What it used; None when nobody knows."""


@dataclass(frozen=True, slots=True)
class Share:
    """A sidecar's share of a limit; parts, room and spare are within the amount."""

    amount: int = 0
    floor: int = 0
    """What is left of it when nobody renews it."""
    room: int = 0
    """What any client may use beside its part."""
    spare: int = 0
    """What a client without a part may use beside the room."""
    parts: Mapping[str, int] = field(default_factory=dict)
    """What is each client's own, by project id."""
    due: int = 0
    """What the amount grows to as others give up what they hold too much of; 0 when it does not."""


NOTHING = Share()


@dataclass(frozen=True, slots=True)
class RateLevel:
    """What a Sync says of one limit; replaces what was said before."""

    rate_limit_id: str
    share: int
    """The share that is in force."""
    used: int
    """What counts as used now; above the share when it was lowered, or a bill was high."""
    wants: Mapping[str, int]
    """What each client asked for within the last window, whether it passed or not."""
    used_by: Mapping[str, int] = field(default_factory=dict)
    """What of it each used."""
    ages_ms: Mapping[str, int] = field(default_factory=dict)
    """How long ago each began to ask."""


class Meter:
    """One limit at this sidecar: its share, and what was used of it."""

    __slots__ = (
        "_clients",
        "_everybody",
        "_says_short",
        "_short_boot_ms",
        "_until_boot_ms",
        "is_gone",
        "limit",
        "share",
    )

    def __init__(self, limit: RateLimit) -> None:
        """Begin with no share: the first answer of the control plane brings one."""
        self.limit = limit
        self.is_gone = False
        """Nobody limits this any more: whoever waits for room may go."""
        self.share = NOTHING
        self._until_boot_ms = 0
        self._says_short = False
        self._short_boot_ms = -RATE_HOPE_MS
        self._everybody = Usage(limit.window_ms, 0)
        self._clients: dict[str, Usage] = {}

    def take_share(self, share: Share, boot_ms: int, until_boot_ms: int) -> bool:
        """Put a share in force at once; whether it is less than what was there."""
        lowered = share.amount < self.share.amount
        self.share, self._until_boot_ms = share, until_boot_ms
        if self._says_short:
            self._short_boot_ms = boot_ms
        return lowered

    def may_grow(self, client: str, boot_ms: int) -> bool:
        """Whether a client may get more, as far as is known: nobody was asked for it lately."""
        if boot_ms - self._short_boot_ms < RATE_HOPE_MS:
            return False
        return self._may_use(client, boot_ms) < self.limit.amount

    def lasts(self, boot_ms: int) -> bool:
        """Whether the share was renewed lately."""
        return boot_ms < self._until_boot_ms

    def in_force(self, boot_ms: int) -> int:
        """What this sidecar may have used, all clients together."""
        share = self.share
        amount = share.amount if self.lasts(boot_ms) else min(share.floor, share.amount)
        return min(amount, self.limit.amount)

    def _may_use(self, client: str, boot_ms: int) -> int:
        """What one client may have used."""
        whole, share = self.in_force(boot_ms), self.share
        if self.limit.project_id or not whole:
            return whole
        part = share.parts.get(client)
        own = share.room + (share.spare if part is None else part)
        if whole < share.amount:
            own = -(-own * whole // share.amount)
        return min(own, whole)

    def _will_use(self, may_use: int, boot_ms: int) -> int:
        """What a client may use when it asked for a while, and the share is what is due."""
        whole = self.in_force(boot_ms)
        due = max(whole, min(self.share.due, self.limit.amount))
        return min(due, (may_use + self.share.spare) * due // whole) if whole else may_use

    def may_get_more(self, client: str, boot_ms: int) -> bool:
        """Whether a client has less of the limit here than there is."""
        return not self.is_gone and self._may_use(client, boot_ms) < self.limit.amount

    def taken_for(self, client: str, asked: int, boot_ms: int) -> int:
        """What a call takes that asks for so much: at most all that its client may have."""
        return min(asked, max(1, self._may_use(client, boot_ms)))

    def fits(self, client: str, amount: int, boot_ms: int) -> bool:
        """Whether a call may take so much now."""
        if self.is_gone or not amount:
            return True
        if self._everybody.used(boot_ms) + amount > self.in_force(boot_ms):
            return False
        usage, most = self._clients.get(client), self._may_use(client, boot_ms)
        if usage is None:
            return amount <= most
        return usage.used(boot_ms) + amount <= most and not self._bursts(
            usage, amount, most, boot_ms
        )

    def _bursts(self, usage: Usage, amount: int, most: int, boot_ms: int) -> int:
        """By how much a client would use more at once than leaves room for others to come."""
        if self.limit.project_id or usage.window is None:
            return 0
        lately = usage.pinned + usage.window.lately(boot_ms)
        most = min(most + self.share.spare, self.in_force(boot_ms))
        return max(0, lately + amount - -(-most // RATE_BURST_PARTS)) if lately else 0

    def wait_ms(self, client: str, amount: int, boot_ms: int, ahead: int = 0) -> int | None:
        """How long until a call may take so much, when others take so much ahead of it.

        0 when it may now; None when time alone does not tell: calls must end, or a share come.
        Those ahead go by the share that is due, as that comes long before they are through.
        """
        if not amount:
            return 0
        most, window_ms = self._may_use(client, boot_ms), self.limit.window_ms
        if amount > most:
            return None
        later = self._will_use(most, boot_ms)
        rounds, ahead = divmod(ahead, later)
        if ahead + amount > later:
            rounds, ahead = rounds + 1, 0
        if ahead + amount > most:
            return rounds * window_ms or None
        waits_ms = [0]
        usage = self._clients.get(client)
        pairs = [(self._everybody, self.in_force(boot_ms))]
        if usage is not None:
            pairs.append((usage, most))
        for used_by, limit in pairs:
            missing = used_by.used(boot_ms) + ahead + amount - limit
            if missing <= 0:
                continue
            if used_by.window is None or ahead + amount > limit - used_by.pinned:
                return rounds * window_ms or None
            waits_ms.append(used_by.window.wait_ms(boot_ms, missing))
        if usage is not None and usage.window is not None:
            # Those ahead go out in bursts too; how long these take is not worth more than a guess.
            above = self._bursts(usage, ahead + amount, most, boot_ms)
            if above:
                waits_ms.append(usage.window.burst_wait_ms(boot_ms, above))
        return max(waits_ms) + rounds * window_ms

    def will_fit(self, client: str, amount: int, boot_ms: int, ahead: int = 0) -> bool:
        """Whether a call fits that may not now, and others before it, as soon as more is due."""
        most, whole = self._may_use(client, boot_ms), self.in_force(boot_ms)
        later, used = self._will_use(most, boot_ms), self._usage(client, boot_ms).used(boot_ms)
        if later <= most or used + ahead + amount > later:
            return False
        due = max(whole, min(self.share.due, self.limit.amount))
        return self._everybody.used(boot_ms) + ahead + amount <= due

    def pin(self, client: str, amount: int, boot_ms: int) -> None:
        """Take for a call that is about to go out."""
        self._everybody.pinned += amount
        self._usage(client, boot_ms).pinned += amount

    def unpin(self, client: str, amount: int) -> None:
        """Give back what a call took; it did not go out, or is in flight no more."""
        if not amount:
            return  # Nothing is remembered of a client for it.
        if not amount:
            return  # Nothing of it need be remembered.
        for usage in (self._everybody, self._clients[client]):
            usage.pinned -= amount
            assert usage.pinned >= 0

    def date(self, client: str, amount: int, boot_ms: int) -> None:
        """A call goes out: what it took counts for a window from now on."""
        self.unpin(client, amount)
        for usage in (self._everybody, self._usage(client, boot_ms)):
            assert usage.window is not None
            usage.window.add(boot_ms, amount)

    def correct(self, client: str, delta: int, dated_boot_ms: int) -> None:
        """Put right what a call took that went out then."""
        for usage in (self._everybody, self._clients.get(client)):
            if usage is not None and usage.window is not None:
                usage.window.correct(dated_boot_ms, delta)

    def remember(self, earlier: Iterable[Earlier]) -> None:
        """Count what an earlier process sent; nothing of it is in flight any more."""
        if not self.limit.window_ms:
            return
        for one in earlier:
            amount = 1
            if self.limit.measure == "tokens":
                amount = self.limit.amount if one.tokens is None else one.tokens
            self.pin(one.kind.project_id, amount, one.boot_ms)
            self.date(one.kind.project_id, amount, one.boot_ms)

    def missed(self, client: str, amount: int, boot_ms: int) -> None:
        """A call was refused: it is wanted all the same."""
        self._usage(client, boot_ms).asked.add(boot_ms, amount)

    def waits(self, client: str, amount: int, boot_ms: int) -> None:
        """A call begins to wait for room, or ends to with a negative amount."""
        usage = self._usage(client, boot_ms)
        usage.waiting += amount
        assert usage.waiting >= 0

    def level(self, boot_ms: int) -> RateLevel:
        """What a Sync says of it."""
        self._forget_idle(boot_ms)
        wants = {client: usage.wants(boot_ms) for client, usage in self._clients.items()}
        self._says_short = any(
            want > self._may_use(client, boot_ms) for client, want in wants.items()
        )
        return RateLevel(
            self.limit.rate_limit_id,
            self.in_force(boot_ms),
            self._everybody.used(boot_ms),
            {client: want for client, want in wants.items() if want},
            {client: usage.used(boot_ms) for client, usage in self._clients.items()},
            {client: boot_ms - one.since_boot_ms for client, one in self._clients.items()},
        )

    def _usage(self, client: str, boot_ms: int) -> Usage:
        usage = self._clients.get(client)
        if usage is None:
            if len(self._clients) >= RATE_CLIENTS_MAX:
                self._forget_idle(boot_ms)
            usage = self._clients[client] = Usage(self.limit.window_ms, boot_ms)
        return usage

    def _forget_idle(self, boot_ms: int) -> None:
        """Clients that use nothing; so there are as many as have calls, and not more."""
        for client in [name for name, usage in self._clients.items() if usage.is_idle(boot_ms)]:
            del self._clients[client]


class Taken:
    """What one call took of the limits that count it; ended exactly once."""

    __slots__ = ("_amounts", "_client", "_dated_boot_ms", "_ended", "_meters", "_tokens")

    def __init__(self, meters: tuple[Meter, ...], client: str, tokens: int, boot_ms: int) -> None:
        """Take from every meter; they were just found to have room."""
        self._meters = meters
        self._client = client
        self._tokens = tokens
        self._amounts = amounts_of(meters, client, tokens, boot_ms)
        self._dated_boot_ms: int | None = None
        self._ended = False
        for meter, amount in zip(meters, self._amounts, strict=True):
            meter.pin(client, amount, boot_ms)

    def goes_out(self, boot_ms: int) -> None:
        """The call may be sent from now on: what it took is dated."""
        assert self._dated_boot_ms is None
        self._dated_boot_ms = boot_ms
        for meter, amount in zip(self._meters, self._amounts, strict=True):
            if meter.limit.window_ms:
                meter.date(self._client, amount, boot_ms)

    @property
    def is_out(self) -> bool:
        """Whether the call may have been sent."""
        return self._dated_boot_ms is not None

    def ended(self, *, sent: bool, tokens: int | None) -> None:
        """The call is over. `tokens` is what it used, None where only its bound is known."""
        if self._ended:
            return
        self._ended = True
        for meter, amount in zip(self._meters, self._amounts, strict=True):
            if not meter.limit.window_ms or self._dated_boot_ms is None:
                meter.unpin(self._client, amount)
            elif not sent:
                meter.correct(self._client, -amount, self._dated_boot_ms)
            elif meter.limit.measure == "tokens":
                used = self._tokens if tokens is None else tokens
                meter.correct(self._client, used - amount, self._dated_boot_ms)


def amounts_of(
    meters: tuple[Meter, ...], client: str, tokens: int, boot_ms: int
) -> tuple[int, ...]:
    """What a call takes of each limit."""
    return tuple(
        meter.taken_for(client, tokens, boot_ms) if meter.limit.measure == "tokens" else 1
        for meter in meters
    )


class Rates:
    """All limits at this sidecar."""

    def __init__(self) -> None:
        """Begin with none."""
        self._meters: dict[str, Meter] = {}
        self._found: dict[CallKind, tuple[Meter, ...]] = {}

    def __bool__(self) -> bool:
        """Whether there is any limit."""
        return bool(self._meters)

    def remember(self, earlier: Sequence[Earlier]) -> None:
        """Count what an earlier process sent, the longest ago first, before anything is sent.

        A limit that comes later was not in force then.
        """
        for meter in self._meters.values():
            meter.remember(one for one in earlier if meter.limit.matches(one.kind))

    def take_limits(self, limits: Iterable[RateLimit]) -> None:
        """Put a newer policy's limits in force; what was used of those that stay, stays."""
        before, self._meters = self._meters, {}
        for limit in limits:
            known = before.pop(limit.rate_limit_id, None)
            if known is None:
                known = Meter(limit)
            else:
                known.limit = limit
            self._meters[limit.rate_limit_id] = known
        for meter in before.values():
            meter.is_gone = True
        self._found.clear()

    def counting(self, kind: CallKind) -> tuple[Meter, ...]:
        """The limits that count such calls."""
        found = self._found.get(kind)
        if found is None:
            if len(self._found) >= RATE_REMEMBERED_KINDS_MAX:
                self._found.clear()
            found = tuple(meter for meter in self._meters.values() if meter.limit.matches(kind))
            self._found[kind] = found
        return found

    def meter(self, rate_limit_id: str) -> Meter | None:
        """The limit of this id."""
        return self._meters.get(rate_limit_id)

    def levels(self, boot_ms: int) -> list[RateLevel]:
        """What a Sync says of all of them."""
        return [meter.level(boot_ms) for meter in self._meters.values()]
