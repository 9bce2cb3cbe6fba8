"""Counters count, histograms sort into buckets, and neither grows without bound."""

import pytest

from protos.telemetry.instruments import (
    Counter,
    Distribution,
    Histogram,
    Kind,
    Metric,
    Reading,
    gauge,
)

CALLS = Metric("bursar.calls", Kind.COUNTER, "{call}", "Calls.", ("who", "what"))
WAIT = Metric("bursar.wait", Kind.HISTOGRAM, "s", "Waits.", ("who",), (0, 10, 20), 1_000)
NOW = Metric("bursar.now", Kind.GAUGE, "1", "Now.", ("who",))


def points(reading: Reading) -> dict[tuple[str, ...], int | Distribution]:
    return dict(reading.points)


def test_a_counter_adds_up_by_its_labels() -> None:
    counter = Counter(CALLS)
    cell = counter.at("acme", "ok")
    cell.value += 2
    counter.add(3, "acme", "ok")
    counter.add(5, "acme", "bad")
    assert points(counter.read()) == {("acme", "ok"): 5, ("acme", "bad"): 5}


def test_what_was_read_does_not_change_any_more() -> None:
    counter, histogram = Counter(CALLS), Histogram(WAIT)
    counter.add(1, "acme", "ok")
    histogram.at("acme").note(5)
    read = points(counter.read()), points(histogram.read())
    counter.add(1, "acme", "ok")
    histogram.at("acme").note(5)
    assert read[0] == {("acme", "ok"): 1}
    assert read[1] == {("acme",): Distribution((0, 1, 0, 0), 5)}


@pytest.mark.parametrize(
    ("value", "bucket"), [(0, 0), (1, 1), (10, 1), (11, 2), (20, 2), (21, 3), (10**12, 3)]
)
def test_a_bound_belongs_to_the_bucket_below_it(value: int, bucket: int) -> None:
    histogram = Histogram(WAIT)
    histogram.at("acme").note(value)
    counts = [0, 0, 0, 0]
    counts[bucket] = 1
    assert points(histogram.read()) == {("acme",): Distribution(tuple(counts), value)}


def test_labels_beyond_the_bound_are_counted_together_and_none_is_lost() -> None:
    counter, histogram = Counter(CALLS, series_max=3), Histogram(WAIT, series_max=3)
    for number in range(100):
        counter.add(1, f"client-{number}", "ok")
        histogram.at(f"client-{number}").note(number)
    counter.add(1, "client-1", "ok")
    read = points(counter.read())
    assert len(read) == 4
    assert read[("other", "other")] == 97
    assert read[("client-1", "ok")] == 2
    assert len(points(histogram.read())) == 4


def test_a_gauge_is_bounded_too() -> None:
    read = gauge(NOW, {(f"b-{number}",): 1 for number in range(10)}, series_max=2)
    assert dict(read.points) == {("b-0",): 1, ("b-1",): 1, ("other",): 8}


def test_a_long_label_is_cut() -> None:
    counter = Counter(CALLS)
    counter.add(1, "x" * 1_000, "ok")
    counter.add(1, "x" * 2_000, "ok")
    assert points(counter.read()) == {("x" * 128, "ok"): 2}
