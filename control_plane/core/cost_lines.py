"""What calls cost, taken apart by kind: exact amounts that sum to the ledger.

A call's cost was computed as the sum of quantity x rate, rounded up once to a whole nano-dollar.
So the parts by kind are whole pico-dollars, and what rounding added is a line of its own, one for
each day. Where the parts do not explain the cost (a sum that the provider told, an estimate, a
price that is not known any more) the call is one line at its cost: a line is exact or not there.

What the client is charged goes the same way, in atto-dollars (a millionth of a pico-dollar, as a
markup is in millionths): each part with the markup, what the month's allowance covers as a credit,
fees as lines, and the rest as rounding. All quotients are exact.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from control_plane.core.calls import WELL, Call
from control_plane.core.log import LoggedCall
from control_plane.core.rate_cards import PPM, RateCard
from protos.values.money import PICO_PER_NANO
from protos.values.quantities import INFORMATIVE, input_total
from protos.values.rates import ModelPrice, UnpriceableError

ATTO_PER_NANO: Final = 1_000_000_000
WHOLE_CALL: Final = "call"
"""The kind of a line that is a call as a whole."""
CREDIT: Final = "included"
"""What the month's allowance covers, negative; of the client's side alone."""
CALL_FEE: Final = "call_fee"
RUN_FEE: Final = "run_fee"
ROUNDING: Final = "rounding"
"""What whole nano-dollars added, one line a day."""


@dataclass(frozen=True, slots=True, order=True)
class LineKey:
    """What the usage in a line shares."""

    start_unix_ms: int
    """When its day begins."""
    project_id: str
    workflow: str = ""
    key_id: str = ""
    provider: str = ""
    model: str = ""
    kind: str = ""
    """A kind of `protos.values.quantities`, or one of this module."""
    rate_pico_usd: int = 0
    """Pico-dollars a unit; 0 where there is no such rate."""
    variant: str = ""
    price_version: str = ""
    rate_card_version: str = ""
    estimated: int = 0


@dataclass(slots=True)
class LineSum:
    """What a line comes to."""

    quantity: int = 0
    call_count: int = 0
    cost_pico_usd: int = 0
    charge_atto_usd: int = 0


@dataclass(frozen=True, slots=True)
class _Part:
    """What one kind of a call's usage costs."""

    kind: str
    quantity: int
    rate_pico_usd: int
    pico_usd: int


@dataclass(slots=True)
class CostLines:
    """Lines as they are made, call by call."""

    prices: Mapping[tuple[str, str, str], ModelPrice]
    """By provider, version, and each name of the model."""
    cards: Mapping[str, RateCard]
    """By version."""
    counted: frozenset[str] = frozenset()
    """Workflows whose runs are counted on the way."""
    sums: dict[LineKey, LineSum] = field(default_factory=dict)
    ended_well: dict[tuple[str, str], bool] = field(default_factory=dict)
    """By workflow and run, whether the last call of it ended well."""

    def add(self, logged: LoggedCall, start_unix_ms: int) -> None:
        """Take a call of the day that begins at an instant; calls come in the order of time."""
        call = logged.call
        if call.execution and call.workflow in self.counted:
            self.ended_well[call.workflow, call.execution] = call.outcome in WELL
        version = logged.corrections[-1].price_version if logged.corrections else call.price_version
        parts = self._parts(logged, version)
        card = self.cards.get(logged.rate_card_version)
        rest_pico = call.cost_nano_usd * PICO_PER_NANO
        share = PPM + card.markup_ppm if card is not None else 0
        rest_atto = (logged.charge_nano_usd or 0) * ATTO_PER_NANO if card is not None else 0
        for number, part in enumerate(parts):
            priced = part.kind != WHOLE_CALL
            key = LineKey(
                start_unix_ms,
                call.project_id,
                call.workflow,
                call.key_id,
                call.provider,
                call.requested_model,
                part.kind,
                part.rate_pico_usd,
                call.variant,
                version if priced else "",
                logged.rate_card_version,
                int(call.estimated),
            )
            charged = part.pico_usd * share if call.cost_nano_usd else 0
            self._grow(key, part.quantity, part.pico_usd, charged, calls=int(number == 0))
            rest_pico -= part.pico_usd
            rest_atto -= charged
        if card is not None and call.cost_nano_usd:
            rest_atto -= self._beside(logged, card, start_unix_ms)
        if rest_pico or rest_atto:
            key = LineKey(start_unix_ms, call.project_id, kind=ROUNDING)
            self._grow(key, 0, rest_pico, rest_atto)

    def successful_runs(self, workflow: str) -> int:
        """Runs of a workflow of which the last call ended well."""
        return sum(well for (own, _), well in self.ended_well.items() if own == workflow)

    def _parts(self, logged: LoggedCall, version: str) -> list[_Part]:
        call = logged.call
        whole = [_Part(WHOLE_CALL, 1, 0, call.cost_nano_usd * PICO_PER_NANO)]
        if call.cost_told or call.estimated:
            return whole
        for name in (call.answered_model, call.requested_model):
            price = self.prices.get((call.provider, version, name))
            parts = _priced(call, price) if price is not None else []
            total = sum(part.pico_usd for part in parts)
            if parts and -(-total // PICO_PER_NANO) == call.cost_nano_usd:
                return parts
        return whole

    def _beside(self, logged: LoggedCall, card: RateCard, start_unix_ms: int) -> int:
        """What a card takes off and adds beside the markup, in atto-dollars."""
        call = logged.call
        amounts = (
            (CREDIT, -logged.included_nano_usd * PICO_PER_NANO * (PPM + card.markup_ppm)),
            (CALL_FEE, card.per_call_nano_usd * ATTO_PER_NANO),
            (RUN_FEE, logged.begins_execution * card.per_execution_nano_usd * ATTO_PER_NANO),
        )
        for kind, atto in amounts:
            if atto:
                key = LineKey(
                    start_unix_ms,
                    call.project_id,
                    call.workflow,
                    call.key_id,
                    kind=kind,
                    rate_card_version=card.version,
                )
                self._grow(key, 0 if kind == CREDIT else 1, 0, atto)
        return sum(atto for _, atto in amounts)

    def _grow(self, key: LineKey, quantity: int, pico: int, atto: int, *, calls: int = 0) -> None:
        line = self.sums.setdefault(key, LineSum())
        line.quantity += quantity
        line.call_count += calls
        line.cost_pico_usd += pico
        line.charge_atto_usd += atto


def _priced(call: Call, price: ModelPrice) -> list[_Part]:
    """The parts of a call by a price; none where it has no rate for all of them."""
    try:
        tier = price.tier(input_total(call.quantities), call.variant)
        return [
            _Part(kind, count, rate, count * rate)
            for kind, count in sorted(call.quantities.items())
            if count and kind not in INFORMATIVE
            for rate in [tier.rate_pico_usd(kind)]
        ]
    except UnpriceableError:
        return []


Line = tuple[LineKey, LineSum]


def rows_of(lines: CostLines) -> list[list[int | str]]:
    """Lines in their order, as plain rows that JSON holds and `from_rows` reads."""
    return [
        [
            *(getattr(key, name) for name in LineKey.__slots__),
            *(getattr(line, name) for name in LineSum.__slots__),
        ]
        for key, line in sorted(lines.sums.items())
    ]


def from_rows(rows: Iterable[list[int | str]]) -> list[Line]:
    """Lines from plain rows."""
    width = len(LineKey.__slots__)
    return [(LineKey(*row[:width]), LineSum(*row[width:])) for row in rows]  # type: ignore[arg-type]  # rows that rows_of wrote


def totals_of(lines: Iterable[Line]) -> tuple[int, int]:
    """Cost and charge in nano-dollars; exact, because every day's rounding is a line."""
    pico = atto = 0
    for _, line in lines:
        pico += line.cost_pico_usd
        atto += line.charge_atto_usd
    assert pico % PICO_PER_NANO == 0
    assert atto % ATTO_PER_NANO == 0
    return pico // PICO_PER_NANO, atto // ATTO_PER_NANO
