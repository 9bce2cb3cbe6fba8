"""The bill against numbers worked out by hand."""

from dataclasses import astuple
from fractions import Fraction
from pathlib import Path

import pytest

from clients.rehearsal.bill import NOTHING, Bill, Call, Quantities, Subject, cost_nano_usd
from clients.rehearsal.prices import MODELS, NO_MEDIA, TEXT, TIERS, Model, find

SUBJECT = Subject(
    request_id="req_1",
    provider="openai",
    path="/v1/chat/completions",
    model="gpt-4o-mini",
    streamed=False,
    tier="default",
    key_hint="...",
    tag="",
    prompt="",
)


def model(name: str) -> Model:
    found = find(name, "anthropic" if name.startswith("claude") else "openai")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "used", "multiplier", "nano_usd"),
    [
        # 1,000 x $0.15/M = $0.00015; 500 x $0.60/M = $0.0003
        ("gpt-4o-mini", Quantities(input_tokens=1_000, output_tokens=500), "1", 450_000),
        # 600 x 150 + 400 x 75 + 500 x 600 nano-USD
        ("gpt-4o-mini", Quantities(600, 400, output_tokens=500), "1", 420_000),
        # 3 x 250 + 7 x 25 + 1 x 2,000
        ("gpt-5-mini", Quantities(3, 7, output_tokens=1), "1", 2_925),
        # 10 x 200 + 20 x 20 + 30 x 250 + 40 x 1,200
        ("gpt-5.6-luna", Quantities(10, 20, 30, output_tokens=40), "1", 57_900),
        # 1 x 4,000 + 1 x 200 + 1 x 5,000 + 1 x 8,000 + 1 x 20,000
        ("claude-opus-5-5", Quantities(1, 1, 1, 1, 1), "1", 37_200),
        # the same in fast mode
        ("claude-opus-5-5", Quantities(1, 1, 1, 1, 1), "2", 74_400),
        # 1 x 5 x 11/10 = 5.5 rounds up
        ("gpt-5-nano", Quantities(cached_tokens=1), "11/10", 6),
        ("text-embedding-3-small", Quantities(input_tokens=7), "1", 140),
        ("rehearsal-cent", Quantities(input_tokens=123_456, output_tokens=10), "1", 10_000_000),
        ("claude-rehearsal-cent", Quantities(input_tokens=9, output_tokens=40), "1", 40_000_000),
    ],
)
def test_a_call_costs_what_a_person_works_out(
    name: str, used: Quantities, multiplier: str, nano_usd: int
) -> None:
    assert cost_nano_usd(model(name), used, Fraction(multiplier)) == nano_usd


def test_a_cost_is_rounded_up_once_and_not_kind_by_kind() -> None:
    half_priced = Quantities(cached_tokens=1, output_tokens=1)
    # 0.5 x (5 + 400) = 202.5; rounded kind by kind it would be 3 + 200 = 203 as well,
    # so take three quarters: 0.75 x 5 + 0.75 x 400 = 303.75
    assert cost_nano_usd(model("gpt-5-nano"), half_priced, Fraction(3, 4)) == 304
    # 7 cached tokens of gpt-5-mini: 7 x 25 = 175; a tenth of it is 17.5
    assert cost_nano_usd(model("gpt-5-mini"), Quantities(0, 7), Fraction(1, 10)) == 18


def test_overbilling_raises_each_quantity_rounded_up() -> None:
    used = Quantities(10, 0, 0, 0, 7, 3)
    assert used.overbilled(100_000) == Quantities(11, 0, 0, 0, 8, 4)
    assert used.overbilled(0) == used


def test_the_table_is_whole() -> None:
    assert len({each.name for each in MODELS}) == len(MODELS)
    for each in MODELS:
        assert each.provider in TIERS
        writes = not (each.embeds or each.moderates)
        assert writes == (each.max_output_tokens > 0) or each.serves != TEXT
        for price in (each.input, each.cached_input, each.cache_write, each.output):
            assert price is None or Fraction(price) >= 0


def opened(bill: Bill, worst_nano_usd: int = 50, planned_nano_usd: int = 30) -> Call:
    return bill.open(SUBJECT, worst_nano_usd, planned_nano_usd, now_ns=5_000_000)


def test_what_is_open_is_in_flight_at_its_worst_until_it_is_settled() -> None:
    bill = Bill(10, 0)
    first, second = opened(bill), opened(bill)
    summary = bill.summary()
    assert (summary["in_flight"], summary["in_flight_worst_nano_usd"]) == (2, "100")
    bill.settle(first, 7_000_000, "done", Quantities(1), 30)
    bill.settle(second, 8_000_000, "error", NOTHING, 0)
    summary = bill.summary()
    assert summary["total_nano_usd"] == "30"
    assert (summary["in_flight"], summary["in_flight_worst_nano_usd"]) == (0, "0")
    assert (summary["in_flight_peak"], summary["in_flight_worst_peak_nano_usd"]) == (2, "100")
    assert summary["by_outcome"] == {"done": 1, "error": 1, "hung_up": 0, "client_gone": 0}
    assert summary["by_model"] == {"gpt-4o-mini": {"calls": 1, "cost_nano_usd": "30"}}


def test_a_call_is_settled_once() -> None:
    bill = Bill(10, 0)
    call = opened(bill)
    bill.settle(call, 1, "done", NOTHING, 1)
    with pytest.raises(AssertionError):
        bill.settle(call, 2, "done", NOTHING, 1)


def test_old_rows_go_but_totals_stay() -> None:
    bill = Bill(3, 0)
    for cost in range(1, 6):
        bill.settle(opened(bill), 0, "done", NOTHING, cost)
    page = bill.page(0, 100)
    assert page["total_nano_usd"] == "15"
    assert [row["seq"] for row in page["calls"]] == [3, 4, 5]
    assert [row["cost_nano_usd"] for row in page["calls"]] == ["3", "4", "5"]
    assert (page["dropped"], page["more"], page["next_since"]) == (2, False, 5)


def test_pages_lead_on_to_the_end() -> None:
    bill = Bill(100, 0)
    for _ in range(7):
        bill.settle(opened(bill), 0, "done", NOTHING, 1)
    seen: list[int] = []
    since, more = 0, True
    while more:
        page = bill.page(since, 3)
        seen += [row["seq"] for row in page["calls"]]
        since, more = page["next_since"], page["more"]
    assert seen == [1, 2, 3, 4, 5, 6, 7]
    assert bill.page(since, 3)["calls"] == []


def test_the_log_tells_billed_and_in_flight_after_each_event() -> None:
    bill = Bill(10, 1_000_000)
    first = opened(bill)
    second = opened(bill, worst_nano_usd=7)
    bill.settle(first, 9_000_000, "hung_up", Quantities(1), 20)
    bill.settle(second, 9_500_000, "client_gone", Quantities(1), 6)
    told = [
        (
            event["event"],
            event["call"],
            event["at_ms"],
            event["billed_nano_usd"],
            event["in_flight"],
            event["in_flight_worst_nano_usd"],
        )
        for event in bill.log(0, 10)["events"]
    ]
    assert told == [
        ("start", 1, 4, "0", 1, "50"),
        ("start", 2, 4, "0", 2, "57"),
        ("end", 1, 8, "20", 1, "7"),
        ("end", 2, 8, "26", 0, "0"),
    ]
    assert bill.log(0, 10)["events"][2]["at_monotonic_ns"] == 9_000_000


def test_a_call_from_before_a_reset_is_not_counted_when_it_ends() -> None:
    bill = Bill(10, 0)
    old = opened(bill)
    bill.reset(1)
    bill.settle(old, 2, "done", NOTHING, 9)
    summary = bill.summary()
    assert (summary["total_nano_usd"], summary["in_flight"]) == ("0", 0)
    assert bill.page(0, 10)["calls"] == []


def test_the_readme_shows_the_price_table_as_it_is() -> None:
    readme = Path(__file__).parents[3] / "clients" / "rehearsal" / "README.md"
    shown = set(readme.read_text(encoding="utf-8").splitlines())
    for each in MODELS:
        prices = (each.input, each.cached_input, each.cache_write, each.cache_write_1h)
        cells = [
            price or "-" for price in (*prices, each.output if each.max_output_tokens else None)
        ]
        cells += [f"{each.max_input_tokens:,}", f"{each.max_output_tokens:,}"]
        assert f"| `{each.name}` | {' | '.join(cells)} |" in shown
        if each.media != NO_MEDIA:
            rates = " | ".join(rate or "-" for rate in astuple(each.media))
            assert f"| `{each.name}` | {rates} |" in shown
