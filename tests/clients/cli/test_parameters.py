"""What is typed is read exactly, or refused with what to write instead."""

from datetime import UTC, datetime, timedelta

import click
import pytest

from clients.cli import clock, parameters
from clients.cli.parameters import in_zone, month_bounds

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)


@pytest.mark.parametrize(
    ("kind", "typed", "read"),
    [
        (parameters.USD, "300", 300_000_000_000),
        (parameters.USD, "$1,250.50", 1_250_500_000_000),
        (parameters.USD, "0", 0),
        (parameters.USD, "0.000000001", 1),
        (parameters.RATE, "0.25", 250_000),
        (parameters.RATE, "0", 0),
        (parameters.TIME_ZONE, "Europe/Berlin", "Europe/Berlin"),
        (parameters.TIME_ZONE, "", ""),
        (parameters.LENGTH, "90s", timedelta(seconds=90)),
        (parameters.LENGTH, "20m", timedelta(minutes=20)),
        (parameters.LENGTH, "1500ms", timedelta(milliseconds=1500)),
        (parameters.LENGTH, "0", timedelta()),
        (parameters.LATER, "7d", NOW + timedelta(days=7)),
        (parameters.LATER, "2027-01-01", datetime(2027, 1, 1, tzinfo=UTC)),
        (parameters.EARLIER, "2h", NOW - timedelta(hours=2)),
        (parameters.EARLIER, "2026-11-01T00:00+01:00", datetime(2026, 10, 31, 23, tzinfo=UTC)),
        (parameters.MONTH, "2026-11", (2026, 11)),
        (parameters.LABEL, "lead-scoring", "lead-scoring"),
        (parameters.LABEL, "", ""),
        (parameters.URL, "https://ai.example.com/v1/", "https://ai.example.com"),
        (parameters.URL, "http://127.0.0.1:7250", "http://127.0.0.1:7250"),
    ],
)
def test_read_exactly(kind: click.ParamType[object], typed: str, read: object) -> None:
    assert kind.convert(typed, None, None) == read


@pytest.mark.parametrize(
    ("kind", "typed", "told"),
    [
        (parameters.USD, "-1", "negative"),
        (parameters.USD, "lots", "not an amount"),
        (parameters.USD, "nan", "not an amount"),
        (parameters.USD, "1e400", "not an amount|more than"),
        (parameters.USD, "0.0000000001", "finer than a billionth"),
        (parameters.RATE, "-1", "not a price"),
        (parameters.TIME_ZONE, "Europe/Berln", "did you mean Europe/Berlin"),
        (parameters.TIME_ZONE, "berlin", "did you mean Europe/Berlin"),
        (parameters.TIME_ZONE, "../etc/passwd", "no time zone"),
        (parameters.LENGTH, "soon", "write 90s"),
        (parameters.LENGTH, "-5m", "write 90s"),
        (parameters.LATER, "tomorrow", "no date"),
        (parameters.MONTH, "2026-13", "write it like 2026-11"),
        (parameters.LABEL, "läad scoring!", "write 'l-ad scoring"),
        (parameters.URL, "ai.example.com", "write it like https"),
        (parameters.URL, "https://user:pass@example.com", "write it like https"),
    ],
)
def test_refused_with_what_to_write(kind: click.ParamType[object], typed: str, told: str) -> None:
    with pytest.raises(click.BadParameter, match=told):
        kind.convert(typed, None, None)


def test_a_month_begins_and_ends_at_local_midnight() -> None:
    assert month_bounds((2026, 3), "Europe/Berlin") == (
        datetime(2026, 2, 28, 23, tzinfo=UTC),
        datetime(2026, 3, 31, 22, tzinfo=UTC),
    )
    assert month_bounds((2026, 12), "UTC")[1] == datetime(2027, 1, 1, tzinfo=UTC)


def test_a_date_without_a_zone_means_the_zone_of_the_report() -> None:
    typed = parameters.EARLIER.convert("2026-11-01", None, None)
    assert in_zone(typed, "Asia/Kathmandu") == datetime(2026, 10, 31, 18, 15, tzinfo=UTC)
