"""The monthly review: what all clients cost in a month, what changed since the one before, and why.

Rules:

1. A month is each client's own, by its time zone, as its page and its statement have it. Which one
   runs, and what day of it is today, is said by the agency's zone: a running month is held against
   the days of the month before up to the end of the same day.
2. A change of cost is taken apart by calls of each model: *volume* is the change in calls at what a
   call cost before on average, *price* is what calls to the same models cost more than before
   (dearer rates, longer calls), *mix* is the rest: calls that went to other models. Volume, price
   and mix sum to the change, to the nano-dollar.
3. What calls would have cost at another price is their cost times the ratio of both prices, each by
   the standard rates of input and output and the tokens that were measured: an estimate, in which
   what is cached stays as it was.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from control_plane.core.listed import Listed
from control_plane.core.statements import Month
from control_plane.core.usage import Sums, UsageRow
from protos.values import quantities as kinds
from protos.values.rates import ModelPrice, UnpriceableError

PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Cap:
    """A client's monthly cap, in its own month of the same name."""

    cap_nano_usd: int
    spent_nano_usd: int

    @property
    def used_ppm(self) -> int:
        """Millionths of the cap that are spent."""
        return self.spent_nano_usd * PPM // self.cap_nano_usd if self.cap_nano_usd else PPM


@dataclass(frozen=True, slots=True)
class ClientLine:
    """One client's month."""

    project_id: str
    client: str
    sums: Sums
    before: Sums
    cap: Cap | None
    """None without a monthly cap over all of its calls, and where nothing was counted of it yet."""
    forecast_error_ppm: int | None
    """How far off the forecast of its running month was in its own test; None where none holds."""
    alert_count: int
    """Alerts that were told in the month."""
    statement: str
    """The state of the month's newest statement; empty where there is none."""


@dataclass(frozen=True, slots=True)
class ModelLine:
    """One model's month, over all clients."""

    provider: str
    model: str
    sums: Sums
    before: Sums


@dataclass(frozen=True, slots=True)
class Mover:
    """A client's workflow whose cost changed, and why."""

    project_id: str
    workflow: str
    """Empty for calls without one, and for a client as a whole: see `Review.is_by_workflow`."""
    cost_nano_usd: int
    before_nano_usd: int
    volume_nano_usd: int
    price_nano_usd: int
    mix_nano_usd: int

    @property
    def change_nano_usd(self) -> int:
        """By how much the cost changed."""
        return self.cost_nano_usd - self.before_nano_usd

    @property
    def why(self) -> str:
        """The largest part of the change: volume, price or mix."""
        parts = {
            "volume": abs(self.volume_nano_usd),
            "price": abs(self.price_nano_usd),
            "mix": abs(self.mix_nano_usd),
        }
        return max(parts, key=lambda name: parts[name])


@dataclass(frozen=True, slots=True)
class ErrorLine:
    """Calls to a provider that ended badly in one way."""

    provider: str
    outcome: str
    call_count: int
    provider_call_count: int
    """All calls to the provider in the month."""


@dataclass(frozen=True, slots=True)
class Raise:
    """A cap that was raised."""

    budget_id: str
    budget: str
    project_id: str
    """Empty for a budget over all clients."""
    old_nano_usd: int
    new_nano_usd: int | None
    """None where the cap was lifted."""
    by: str
    """Who did it."""
    reason: str
    at_unix_ms: int
    is_for_period: bool
    """Whether it holds for one period alone."""
    raise_count: int
    """How often this budget was raised in this month and the one before: two ask for a new cap."""


@dataclass(frozen=True, slots=True)
class ComingChange:
    """A price or a retirement that is known, of a model that was used in the month."""

    provider: str
    model: str
    from_unix_ms: int
    is_retired: bool
    replacement: str
    """The model that takes its place; empty when none was named, and for a price."""
    client_count: int
    """Clients that used it."""
    cost_nano_usd: int
    """What it cost in the month."""
    effect_nano_usd: int | None
    """What the month would have cost more; None where that cannot be said."""


@dataclass(frozen=True, slots=True)
class UnusedKey:
    """A key that opens doors and that nobody needed since the month began."""

    key_id: str
    key: str
    project_id: str
    last_used_unix_ms: int
    """0 for never."""


@dataclass(frozen=True, slots=True)
class Review:
    """One month over all clients."""

    month: Month
    end_unix_ms: int
    """Until when it was summed: the month's end in the agency's zone, or now."""
    is_running: bool
    total: Sums
    before: Sums
    lump_nano_usd: int
    """What was charged for lost journals; in no sum, because no call is known for it."""
    client_count: int
    """Clients that had calls."""
    client_count_before: int
    clients: tuple[ClientLine, ...]
    """Dearest first, those without calls too; of them the page that was asked for."""
    listed: Listed
    """Which page that is."""
    models: tuple[ModelLine, ...]
    movers: tuple[Mover, ...]
    """Largest change first."""
    is_by_workflow: bool
    """Whether movers are workflows; of very many they are clients."""
    errors: tuple[ErrorLine, ...]
    raises: tuple[Raise, ...]
    """Newest first."""
    coming: tuple[ComingChange, ...]
    """The next one first."""
    unused_keys: tuple[UnusedKey, ...]


def movers(now: Iterable[UsageRow], before: Iterable[UsageRow], most: int) -> tuple[Mover, ...]:
    """What changed most; rows are by client, workflow, provider and model."""
    pairs: dict[tuple[str, str], dict[tuple[str, ...], tuple[Sums, Sums]]] = {}
    for row in now:
        pairs.setdefault(_of(row), {})[row.group[2:]] = (row.sums, Sums())
    for row in before:
        models = pairs.setdefault(_of(row), {})
        models[row.group[2:]] = (models.get(row.group[2:], (Sums(), Sums()))[0], row.sums)
    found = [_mover(*of, list(models.values())) for of, models in pairs.items()]
    changed = [mover for mover in found if mover.change_nano_usd]
    changed.sort(key=lambda one: (-abs(one.change_nano_usd), one.project_id, one.workflow))
    return tuple(changed[:most])


def _of(row: UsageRow) -> tuple[str, str]:
    return row.group[0], row.group[1]


def _mover(project_id: str, workflow: str, models: Sequence[tuple[Sums, Sums]]) -> Mover:
    cost, cost_before = (sum(pair[side].cost_nano_usd for pair in models) for side in (0, 1))
    calls, calls_before = (sum(pair[side].call_count for pair in models) for side in (0, 1))
    if not calls or not calls_before:
        return Mover(project_id, workflow, cost, cost_before, cost - cost_before, 0, 0)
    volume = (calls - calls_before) * cost_before // calls_before
    price = sum(
        now.cost_nano_usd - now.call_count * old.cost_nano_usd // old.call_count
        for now, old in models
        if now.call_count and old.call_count
    )
    mix = cost - cost_before - volume - price
    return Mover(project_id, workflow, cost, cost_before, volume, price, mix)


def by_model(now: Iterable[UsageRow], before: Iterable[UsageRow]) -> tuple[ModelLine, ...]:
    """All models of either time, dearest first; rows are by provider and model, and outcome."""
    sums, earlier = (_folded(rows) for rows in (now, before))
    found = [
        ModelLine(*name, sums.get(name, Sums()), earlier.get(name, Sums()))
        for name in {*sums, *earlier}
    ]
    found.sort(key=lambda line: (-line.sums.cost_nano_usd, line.provider, line.model))
    return tuple(found)


def _folded(rows: Iterable[UsageRow]) -> dict[tuple[str, str], Sums]:
    found: dict[tuple[str, str], Sums] = {}
    for row in rows:
        name = row.group[0], row.group[1]
        found[name] = found.get(name, Sums()).plus(row.sums)
    return found


def errors(rows: Iterable[UsageRow], well: frozenset[str]) -> tuple[ErrorLine, ...]:
    """Calls that did not end well, of rows by provider, model and outcome; `well` are good ones."""
    totals: dict[str, int] = {}
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        provider, _, outcome = row.group
        totals[provider] = totals.get(provider, 0) + row.sums.call_count
        if outcome not in well and row.sums.call_count:
            name = provider, outcome
            counts[name] = counts.get(name, 0) + row.sums.call_count
    found = [ErrorLine(*name, count, totals[name[0]]) for name, count in counts.items()]
    return tuple(sorted(found, key=lambda one: (-one.call_count, one.provider, one.outcome)))


def prices_by_name(prices: Iterable[ModelPrice]) -> Mapping[tuple[str, str], ModelPrice]:
    """Prices by provider and each name of the model."""
    return {
        (price.provider, name): price for price in prices for name in (price.model, *price.aliases)
    }


Rates = tuple[int | None, int | None]
"""Pico-dollars for a token of input and of output by the first tier; None for what has none."""


NO_RATES: Rates = (None, None)


def standard_rates(price: ModelPrice | None) -> Rates:
    """The standard rates of a price."""
    found: list[int | None] = []
    for kind in (kinds.INPUT, kinds.OUTPUT):
        try:
            found.append(None if price is None else price.tiers[0].rate_pico_usd(kind))
        except UnpriceableError:
            found.append(None)
    return found[0], found[1]


def cost_at(sums: Sums, held: ModelPrice | None, other: ModelPrice | None) -> int | None:
    """What calls would have cost at another price, in nano-dollars; None where nobody can say."""
    tokens = sums.input_count, sums.output_count
    paid, asked = (standard_pico_usd(tokens, standard_rates(price)) for price in (held, other))
    if not paid or asked is None:
        return None
    return scaled(sums.cost_nano_usd, asked, paid)


def scaled(cost_nano_usd: int, asked_pico_usd: int, paid_pico_usd: int) -> int:
    """A cost times the ratio of what is asked to what was paid, rounded to the nearest."""
    return (2 * cost_nano_usd * asked_pico_usd + paid_pico_usd) // (2 * paid_pico_usd)


def standard_pico_usd(tokens: Sequence[int], rates: Rates) -> int | None:
    """What tokens of input and of output cost by standard rates; None where one has none."""
    (tokens_in, tokens_out), (rate_in, rate_out) = tokens, rates
    if (tokens_in and rate_in is None) or (tokens_out and rate_out is None):
        return None
    return tokens_in * (rate_in or 0) + tokens_out * (rate_out or 0)
