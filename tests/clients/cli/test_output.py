"""Amounts stay exact in JSON, and no name steers a terminal."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from rich.console import Console

from clients.cli.output import (
    duration_text,
    instant_text,
    json_text,
    quoted,
    safe,
    share,
    table,
    to_json,
    usd,
)


@dataclass(frozen=True, slots=True)
class Sample:
    cap_nano_usd: int | None
    spent_nano_usd: int
    when: datetime
    rates_pico_usd: dict[str, int]


SAMPLE = Sample(
    None, 9_007_199_254_740_993, datetime(2026, 11, 23, 9, 30, tzinfo=UTC), {"input": 250_000}
)


def test_an_amount_stands_twice_exactly_and_for_reading() -> None:
    made = json.loads(json_text(SAMPLE))
    assert made["spent_nano_usd"] == "9007199254740993"
    assert made["spent_usd"] == "$9,007,199.254740993"
    assert made["cap_nano_usd"] is None
    assert made["cap_usd"] is None


def test_rates_are_strings_too() -> None:
    made = to_json(SAMPLE)
    assert made["rates_pico_usd"] == {"input": "250000"}
    assert made["rates_usd_per_million"] == {"input": "$0.25"}


def test_instants_are_rfc_3339_in_utc() -> None:
    assert to_json(SAMPLE)["when"] == "2026-11-23T09:30:00Z"
    assert instant_text(SAMPLE.when) == "2026-11-23 09:30 UTC"
    assert instant_text(SAMPLE.when.replace(second=5)) == "2026-11-23 09:30:05 UTC"
    assert instant_text(None, none="never") == "never"


def test_a_line_is_one_line() -> None:
    assert "\n" not in json_text({"a": "x\ny"}, line=True)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("Acme", "Acme"),
        ("Zahnärzte 🦷", "Zahnärzte 🦷"),
        ("a\x1b[31mb", "a�[31mb"),
        ("a\nb", "a�b"),
        ("a\u202eb", "a�b"),
    ],
)
def test_control_characters_never_reach_a_terminal(given: str, shown: str) -> None:
    assert safe(given) == shown


def test_markup_in_a_name_is_only_text() -> None:
    console = Console(width=80, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(table("", ["Name"], [["[bold]x[/bold]"]]))
    assert "[bold]x[/bold]" in capture.get()


@pytest.mark.parametrize(
    ("duration_ms", "shown"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1_500, "1.5 s"),
        (60_000, "60 s"),
        (300_000, "5 min"),
        (7_200_000, "2 h"),
        (3 * 86_400_000, "3 d"),
    ],
)
def test_lengths_of_time_are_read_at_a_glance(duration_ms: int, shown: str) -> None:
    assert duration_text(duration_ms) == shown


@pytest.mark.parametrize(
    ("spent", "cap", "shown"),
    [(0, 100, "0%"), (799, 1000, "79%"), (1000, 1000, "100%"), (5, None, "-"), (5, 0, "all")],
)
def test_a_share_is_rounded_down(spent: int, cap: int | None, shown: str) -> None:
    assert share(spent, cap).plain == shown


def test_no_cap_has_words_of_its_own() -> None:
    assert usd(None, none="no cap") == "no cap"
    assert usd(1) == "$0.000000001"


def test_a_name_is_typed_into_a_shell_as_one_word() -> None:
    assert quoted("O'Neil & Co") == "'O'\"'\"'Neil & Co'"
