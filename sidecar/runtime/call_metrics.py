"""What a sidecar counts: its calls, what they used and cost, how long they took, what was refused.

One look-up finds all that one call raises; nothing here waits, allocates more than a tuple, or
reads a clock.
"""

from typing import Final

from protos.telemetry.instruments import Cell, Counter, Histogram, Kind, Metric, Reading
from protos.telemetry.limits import SERIES_MAX
from protos.values.quantities import Quantities
from protos.values.selectors import Attributes
from sidecar.core.calls import Hold, Outcome, Settlement
from sidecar.core.instants import Now
from sidecar.core.refusals import Refusal
from sidecar.providers import conventions
from sidecar.providers.conventions import ERROR, OPERATION, PROVIDER, REQUEST_MODEL, TOKEN_TYPE

PROJECT: Final = "bursar.project_id"
OUTCOME: Final = "bursar.outcome"
_SECONDS_MS: Final = tuple(10 << power for power in range(14))
"""The conventions' bounds, 0.01 s to 81.92 s, in milliseconds."""
_FIRST_MS: Final = (
    1,
    5,
    10,
    20,
    40,
    60,
    80,
    100,
    250,
    500,
    750,
    1_000,
    2_500,
    5_000,
    7_500,
    10_000,
)
_TOKENS: Final = tuple(4**power for power in range(14))

CALLS = Metric(
    "bursar.calls",
    Kind.COUNTER,
    "{call}",
    "Calls that ended, by how they ended.",
    (PROJECT, PROVIDER, REQUEST_MODEL, OUTCOME),
)
COST = Metric(
    "bursar.cost.nano_usd",
    Kind.COUNTER,
    "{nano_usd}",
    "What providers charge for calls, in billionths of a dollar; estimated ones apart.",
    (PROJECT, PROVIDER, REQUEST_MODEL, "bursar.estimated"),
)
QUANTITIES = Metric(
    "bursar.quantities",
    Kind.COUNTER,
    "{unit}",
    "What calls used, by kind: tokens of each kind, images, milliseconds, characters.",
    (PROJECT, PROVIDER, REQUEST_MODEL, "bursar.kind"),
)
REFUSALS = Metric(
    "bursar.refusals", Kind.COUNTER, "{call}", "Refused calls.", (PROJECT, "bursar.reason")
)
WAIT = Metric(
    "bursar.call.wait",
    Kind.HISTOGRAM,
    "s",
    "How long calls waited for money before they were admitted.",
    (PROJECT,),
    (0, *_SECONDS_MS),
    1_000,
)
FIRST_BYTE = Metric(
    "bursar.call.first_byte",
    Kind.HISTOGRAM,
    "s",
    "From a whole request at the provider to the first byte of its answer.",
    (PROVIDER, REQUEST_MODEL),
    _SECONDS_MS,
    1_000,
)
DURATION = Metric(
    "gen_ai.client.operation.duration",
    Kind.HISTOGRAM,
    "s",
    "From the admission of a call to its settlement.",
    (OPERATION, PROVIDER, REQUEST_MODEL, ERROR),
    _SECONDS_MS,
    1_000,
)
FIRST_CHUNK = Metric(
    "gen_ai.client.operation.time_to_first_chunk",
    Kind.HISTOGRAM,
    "s",
    "The time to the first byte, of streams alone.",
    (OPERATION, PROVIDER, REQUEST_MODEL),
    _FIRST_MS,
    1_000,
)
USAGE = Metric(
    "gen_ai.client.token.usage",
    Kind.HISTOGRAM,
    "{token}",
    "Billed tokens of a call.",
    (OPERATION, PROVIDER, REQUEST_MODEL, TOKEN_TYPE),
    _TOKENS,
)
_Key = tuple[str, str, str, str, Outcome]


class _Row:
    """All that the calls of one project, provider, model, surface and outcome raise."""

    __slots__ = (
        *("calls", "cost", "duration", "estimated", "first_byte", "first_chunk", "quantities"),
        *("usage_in", "usage_out", "wait"),
    )

    def __init__(self, counters: "CallMetrics", key: _Key) -> None:
        project, provider, model, surface, outcome = key
        name, operation = conventions.provider_of(provider), conventions.operation_of(surface)
        error = "" if outcome is Outcome.OK else outcome.value
        self.calls = counters.calls.at(project, name, model, outcome.value)
        self.cost = counters.cost.at(project, name, model, "false")
        self.estimated = counters.cost.at(project, name, model, "true")
        self.wait = counters.wait.at(project)
        self.duration = counters.duration.at(operation, name, model, error)
        self.first_byte = counters.first_byte.at(name, model)
        self.first_chunk = counters.first_chunk.at(operation, name, model)
        self.usage_in = counters.usage.at(operation, name, model, "input")
        self.usage_out = counters.usage.at(operation, name, model, "output")
        self.quantities: dict[str, Cell] = {}


class CallMetrics:
    """The counters of a sidecar's calls."""

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self.calls = Counter(CALLS)
        self.cost = Counter(COST)
        self._quantities = Counter(QUANTITIES)
        self._refusals = Counter(REFUSALS)
        self.wait = Histogram(WAIT)
        self.first_byte = Histogram(FIRST_BYTE)
        self.duration = Histogram(DURATION)
        self.first_chunk = Histogram(FIRST_CHUNK)
        self.usage = Histogram(USAGE)
        self._rows: dict[_Key, _Row] = {}

    def ended(self, hold: Hold, settlement: Settlement, now: Now) -> None:
        """Count a call that held money and ended."""
        call = hold.call
        attributes = call.attributes
        key = (
            attributes.project_id,
            call.provider,
            attributes.model,
            call.surface,
            settlement.outcome,
        )
        row = self._rows.get(key) or self._row(key)
        row.calls.value += 1
        (row.estimated if settlement.estimated else row.cost).value += settlement.cost_nano_usd
        row.wait.note(hold.waited_ms)
        row.duration.note(max(0, now.unix_ms - hold.started_unix_ms))
        if settlement.first_byte_ms:
            row.first_byte.note(settlement.first_byte_ms)
            if call.streamed:
                row.first_chunk.note(settlement.first_byte_ms)
        used = settlement.quantities
        if used:
            self._count(used, row, key)

    def _count(self, used: Quantities, row: _Row, key: _Key) -> None:
        tokens_in = tokens_out = 0
        for kind, count in used.items():
            if kind in conventions.INPUT:
                tokens_in += count
            elif kind in conventions.OUTPUT:
                tokens_out += count
            cell = row.quantities.get(kind)
            if cell is None:
                project, provider, model = key[:3]
                name = conventions.provider_of(provider)
                cell = row.quantities[kind] = self._quantities.at(project, name, model, kind)
            cell.value += count
        if tokens_in:
            row.usage_in.note(tokens_in)
        if tokens_out:
            row.usage_out.note(tokens_out)

    def refused(self, refusal: Refusal, attributes: Attributes) -> None:
        """Count a refused call."""
        self._refusals.add(1, attributes.project_id, refusal.reason.value)

    def _row(self, key: _Key) -> _Row:
        if len(self._rows) >= SERIES_MAX:
            self._rows.clear()  # What they counted stays: they only find it again.
        row = self._rows[key] = _Row(self, key)
        return row

    def read(self) -> list[Reading]:
        """Everything as it is now."""
        counters = (self.calls, self.cost, self._quantities, self._refusals)
        histograms = (self.wait, self.first_byte, self.duration, self.first_chunk, self.usage)
        return [each.read() for each in (*counters, *histograms)]
