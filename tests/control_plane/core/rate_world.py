"""Real shares and real meters in virtual time: one rate limit, some sidecars, some clients.

The two sides are the cores of the control plane and of the sidecar; what is between them is a
message that may be lost either way. Every call that passes is noted with its time and client.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from control_plane.core import rate_shares as shares
from control_plane.core.limits import RATE_SHARE_MS
from control_plane.core.rate_shares import Holding, Shared, Table
from sidecar.core.rate_limits import Meter, RateLimit, Share, Taken

LIMIT = RateLimit("rlm_1", "requests", 60, 60_000, provider="openai")


@dataclass
class Host:
    """A sidecar, as far as rate limits go."""

    name: str
    meter: Meter
    epoch: int = 1
    in_flight: deque[tuple[int, Taken]] = field(default_factory=deque)


class RateWorld:
    """One limit, shared."""

    def __init__(
        self, hosts: int, limit: RateLimit = LIMIT, weights: Mapping[str, int] | None = None
    ) -> None:
        self.limit = limit
        self.shared = Shared(
            limit.rate_limit_id, limit.amount, limit.window_ms, not limit.project_id
        )
        self.weights = weights or {}
        self.hosts = [Host(f"sdc_{index}", Meter(limit)) for index in range(hosts)]
        self.holdings: dict[str, Holding] = {}
        self.now_ms = 0
        self.passed: deque[tuple[int, str, int]] = deque()
        """When, whose and how much, of what counts still."""
        self.count: Counter[str] = Counter()
        """Calls that passed, by client."""

    def sync(self, host: Host, *, asked: bool = True, answered: bool = True) -> None:
        """One Sync; it may not arrive, or its answer not."""
        if not asked:
            return
        level = host.meter.level(self.now_ms)
        wire = shares.RateLevel(
            level.rate_limit_id, level.share, level.used, level.wants, level.used_by, level.ages_ms
        )
        known = self.holdings.get(host.name)
        self.holdings[host.name] = shares.heard(known, wire, host.epoch, self.shared, self.now_ms)
        table = Table(self.shared, self.holdings, self.weights, known=len(self.hosts))
        made = shares.share_out(table, host.name, self.now_ms).share
        self.holdings[host.name] = shares.told(self.holdings[host.name], made)
        if answered:
            told = Share(made.amount, made.floor, made.room, made.spare, made.parts)
            host.meter.take_share(told, self.now_ms, self.now_ms + RATE_SHARE_MS)

    def call(self, host: Host, client: str, *, tokens: int = 0, lasts_ms: int = 0) -> bool:
        """One call, and whether it passes."""
        meter, now_ms = host.meter, self.now_ms
        amount = meter.taken_for(client, tokens or 1, now_ms)
        if not meter.fits(client, amount, now_ms):
            meter.missed(client, amount, now_ms)
            return False
        taken = Taken((meter,), client, tokens, now_ms)
        taken.goes_out(now_ms)
        host.in_flight.append((now_ms + lasts_ms, taken))
        self.passed.append((now_ms, client, amount))
        self.count[client] += 1
        assert self.used() <= self.limit.amount, f"{self.used()} of {self.limit.amount} passed"
        return True

    def used(self) -> int:
        """What passed within the last window, or is in flight, whatever anybody believes."""
        if not self.limit.window_ms:
            return sum(len(host.in_flight) for host in self.hosts)
        while self.passed and self.passed[0][0] <= self.now_ms - self.limit.window_ms:
            self.passed.popleft()
        return sum(amount for _, _, amount in self.passed)

    def lose(self, host: Host) -> None:
        """The host's journal is lost with what it knew; a process with a new epoch begins."""
        host.meter = Meter(self.limit)
        host.epoch += 1
        host.in_flight.clear()

    def ticks(self, until_ms: int, step_ms: int = 100) -> Iterator[int]:
        """Time goes by; calls that are over end."""
        while self.now_ms < until_ms:
            for host in self.hosts:
                rest = [(end, taken) for end, taken in host.in_flight if end > self.now_ms]
                for end, taken in host.in_flight:
                    if end <= self.now_ms:
                        taken.ended(sent=True, tokens=None)
                host.in_flight = deque(rest)
            yield self.now_ms
            self.now_ms += step_ms


def on_calls(amount: int) -> RateLimit:
    """A limit on calls in flight."""
    return replace(LIMIT, measure="calls", amount=amount, window_ms=0)
