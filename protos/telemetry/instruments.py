"""Counters and histograms as plain numbers: cheap to raise, read when somebody asks.

An OpenTelemetry instrument costs several microseconds each time that it is told something, and has
no histogram that is only read. These cost a look-up and an addition. Rules:

1. Only one thread raises and reads them; what was read is a copy, which any thread may have.
2. Quantities are integers: calls, tokens, nano-dollars, milliseconds. What is exported in seconds
   is divided only then.
3. An instrument has a bounded number of series. Labels beyond it are counted in one more, whose
   labels all say "other".
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from protos.telemetry.limits import LABEL_CHARACTERS_MAX, SERIES_MAX

Labels = tuple[str, ...]
OTHER = "other"


class Kind(Enum):
    """What the numbers of a metric are."""

    COUNTER = "counter"
    """A sum that only grows."""
    GAUGE = "gauge"
    """How something is now."""
    HISTOGRAM = "histogram"
    """How many values lie below which bounds."""


@dataclass(frozen=True, slots=True)
class Metric:
    """What a metric is called and means."""

    name: str
    """As OpenTelemetry writes it: words with dots."""
    kind: Kind
    unit: str
    """UCUM: "s", "{token}", "{call}"."""
    says: str
    """One sentence for people."""
    labels: tuple[str, ...] = ()
    """Names of its labels, as OpenTelemetry writes them."""
    bounds: tuple[int, ...] = ()
    """Upper bounds (inclusive) of a histogram's buckets, in the unit that is counted in."""
    divisor: int = 1
    """What is counted, over this, is in the unit: 1,000 for milliseconds told as seconds."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram's series as it was read."""

    counts: tuple[int, ...]
    """Values in each bucket; the last lies above all bounds."""
    total: int
    """The sum of all values, in the unit that is counted in."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A metric as it was read."""

    metric: Metric
    points: Mapping[Labels, int | Distribution]


class Cell:
    """One number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        """Begin at nothing."""
        self.value = 0


class Buckets:
    """One series of a histogram."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[int, ...]) -> None:
        """Begin with no values."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0

    def note(self, value: int) -> None:
        """Take a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Counter:
    """Sums by label."""

    def __init__(self, metric: Metric, series_max: int = SERIES_MAX) -> None:
        """Begin with no series."""
        assert metric.kind is Kind.COUNTER
        self.metric = metric
        self._series_max = series_max
        self._cells: dict[Labels, Cell] = {}

    def at(self, *labels: str) -> Cell:
        """The number with these labels, to be raised."""
        cell = self._cells.get(labels)
        if cell is None:
            labels = _bounded(labels, self.metric, len(self._cells) < self._series_max)
            cell = self._cells.setdefault(labels, Cell())
        return cell

    def add(self, amount: int, *labels: str) -> None:
        """Raise the number with these labels."""
        self.at(*labels).value += amount

    def read(self) -> Reading:
        """All series as they are now."""
        return Reading(self.metric, {labels: cell.value for labels, cell in self._cells.items()})


class Histogram:
    """Distributions by label."""

    def __init__(self, metric: Metric, series_max: int = SERIES_MAX) -> None:
        """Begin with no series."""
        assert metric.kind is Kind.HISTOGRAM
        assert metric.bounds == tuple(sorted(set(metric.bounds)))
        self.metric = metric
        self._series_max = series_max
        self._series: dict[Labels, Buckets] = {}

    def at(self, *labels: str) -> Buckets:
        """The series with these labels, to take values."""
        series = self._series.get(labels)
        if series is None:
            labels = _bounded(labels, self.metric, len(self._series) < self._series_max)
            series = self._series.setdefault(labels, Buckets(self.metric.bounds))
        return series

    def read(self) -> Reading:
        """All series as they are now."""
        return Reading(
            self.metric,
            {
                labels: Distribution(tuple(each.counts), each.total)
                for labels, each in self._series.items()
            },
        )


def gauge(metric: Metric, points: Mapping[Labels, int], series_max: int = SERIES_MAX) -> Reading:
    """How something is now, by labels; what is beyond the bound is added up as "other"."""
    assert metric.kind is not Kind.HISTOGRAM
    bounded: dict[Labels, int] = {}
    for labels, value in points.items():
        place = _bounded(labels, metric, len(bounded) < series_max or labels in bounded)
        bounded[place] = bounded.get(place, 0) + value
    return Reading(metric, bounded)


def _bounded(labels: Labels, metric: Metric, room: bool) -> Labels:  # noqa: FBT001 - as its callers count
    assert len(labels) == len(metric.labels), metric.name
    if not room:
        return (OTHER,) * len(labels)
    return tuple(label[:LABEL_CHARACTERS_MAX] for label in labels)


Read = Callable[[], list[Reading]]
"""Reads everything that a process counts."""
