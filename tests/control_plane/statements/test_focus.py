"""The FOCUS file keeps the specification's own rules, and sums to the ledger to the nano-dollar.

The rules are those of FOCUS 1.4, dataset Cost and Usage, for the columns that are written.
"""

import csv
import json
import random
from collections import defaultdict
from decimal import Decimal, localcontext
from io import StringIO
from itertools import pairwise

import pytest

from control_plane.core.rate_cards import RateCard
from control_plane.statements.focus import COLUMNS, Names, Period, render_focus
from control_plane.store import rate_cards
from control_plane.usecases import statements
from tests.control_plane.desk import DAY_MS, HOUR_MS, Desk
from tests.control_plane.usecases.test_statements import (
    AUCKLAND,
    at,
    book,
    build,
    client,
    set_price,
    used,
    value_of,
)

MANDATORY = {
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ContractedCost",
    "EffectiveCost",
    "HostProviderName",
    "InvoiceIssuerName",
    "ListCost",
    "PricingQuantity",
    "PricingUnit",
    "ServiceCategory",
    "ServiceName",
    "ServiceProviderName",
    "ListUnitPrice",
}
NEVER_NULL = MANDATORY - {
    "ChargeClass",
    "PricingQuantity",
    "PricingUnit",
    "ListUnitPrice",
    "BillingAccountName",
}
ALLOWED = {
    "ChargeCategory": {"Usage", "Purchase", "Tax", "Credit", "Adjustment"},
    "ChargeClass": {"", "Correction"},
    "ChargeFrequency": {"One-Time", "Recurring", "Usage-Based"},
    "PricingCategory": {"", "Standard", "Dynamic", "Committed", "Other"},
    "ServiceCategory": {"AI and Machine Learning"},
    "ServiceSubcategory": {"Generative AI"},
    "BillingCurrency": {"USD"},
}
DECIMALS = (
    "BilledCost",
    "ConsumedQuantity",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "ListCost",
    "ListUnitPrice",
    "PricingQuantity",
)
INSTANTS = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")
Row = dict[str, str]


def a_month(desk: Desk, seed: int) -> tuple[list[Row], list[Row], int, int]:
    """The rows of both views, and what the ledger has: cost and charge in nano-dollars."""
    dice = random.Random(seed)
    set_price(desk)
    project = client(desk, AUCKLAND)
    card = RateCard(
        project.project_id, "card-1", 0, 237_119, 13, 1_000_003, dice.randrange(1_000_000)
    )
    desk.do_alone(lambda tx: rate_cards.insert(tx, card, desk.now))
    start = at(AUCKLAND, "2026-09-01T00:00:00")  # Clocks change on the 27th.
    odd = (
        {"estimated": True, "cost_nano_usd": 777},
        {"cost_told": True, "cost_nano_usd": 99},
        {"cost_nano_usd": 0, "quantities": {}},
        {"variant": "flex", "cost_nano_usd": 5},
    )
    booked = [
        used(
            number,
            project,
            start + dice.randrange(30 * DAY_MS - HOUR_MS),
            workflow=dice.choice(["", "one", "=cmd()"]),
            **(dice.choice(odd) if dice.random() < 0.2 else {}),
        )
        for number in range(120)
    ]
    book(desk, *booked)
    desk.clock.now_unix_ms = at(AUCKLAND, "2026-10-03T09:00:00")
    kept = build(desk, project, "2026-09")
    value = value_of(desk, kept)
    lines = desk.read(lambda tx: statements.get_statement_file(tx, kept.statement_id).lines)
    period = Period(value.month.start_unix_ms, value.month.end_unix_ms, AUCKLAND)
    names = Names("Northwind", {project.project_id: "Acme, Ltd"})
    files = [render_focus(lines, period, names, client=view) for view in (False, True)]
    provider, customer = (list(csv.DictReader(StringIO(text))) for text in files)
    return provider, customer, value.totals.cost_nano_usd, value.totals.charge_nano_usd


@pytest.fixture(params=range(3))
def month(request: pytest.FixtureRequest, desk: Desk) -> tuple[list[Row], list[Row], int, int]:
    return a_month(desk, request.param)


def test_both_views_sum_to_the_ledger(month: tuple[list[Row], list[Row], int, int]) -> None:
    provider, customer, cost, charge = month
    with localcontext(prec=60):
        billed = [
            sum((Decimal(row["BilledCost"]) for row in rows), Decimal(0)).scaleb(9)
            for rows in (provider, customer)
        ]
        assert billed == [cost, charge]
        assert cost
        assert charge > cost
    roundings = [row for row in provider if row["ChargeCategory"] == "Adjustment"]
    days = [row["ChargePeriodStart"] for row in roundings]
    assert len(days) == len(set(days)), "one row of rounding a day"


def test_every_row_keeps_the_rules(month: tuple[list[Row], list[Row], int, int]) -> None:
    for rows in month[:2]:
        for row in rows:
            check_row(row)


def check_row(row: Row) -> None:
    assert all(row[column] for column in NEVER_NULL), row
    for column, allowed in ALLOWED.items():
        assert row[column] in allowed, (column, row[column])
    for column in DECIMALS:
        if row[column]:
            assert "e" not in row[column].lower()
            Decimal(row[column])
    for column in INSTANTS:
        assert len(row[column]) == 20
        assert row[column].endswith("Z")
    assert row["BillingPeriodStart"] <= row["ChargePeriodStart"] < row["ChargePeriodEnd"]
    assert row["ChargePeriodEnd"] <= row["BillingPeriodEnd"]
    usage = row["ChargeCategory"] == "Usage"
    for column in (
        "SkuPriceId",
        "SkuId",
        "ListUnitPrice",
        "ContractedUnitPrice",
        "PricingQuantity",
        "PricingUnit",
        "PricingCategory",
        "ConsumedQuantity",
        "ConsumedUnit",
    ):
        assert bool(row[column]) is usage, (column, row)
    if usage:
        with localcontext(prec=60):
            for price, total in (
                ("ListUnitPrice", "ListCost"),
                ("ContractedUnitPrice", "ContractedCost"),
            ):
                product = Decimal(row[price]) * Decimal(row["PricingQuantity"])
                assert product == Decimal(row[total]), row
            assert Decimal(row["ListUnitPrice"]) >= 0
    assert isinstance(json.loads(row["Tags"]), dict)
    if row["SkuPriceDetails"]:
        assert all(name.startswith("x_") for name in json.loads(row["SkuPriceDetails"]))


def test_a_price_has_one_sku_and_days_tile_the_month(
    month: tuple[list[Row], list[Row], int, int],
) -> None:
    provider = month[0]
    parents = defaultdict(set)
    for row in provider:
        if row["SkuPriceId"]:
            parents[row["SkuPriceId"]].add(row["SkuId"])
    assert all(len(skus) == 1 for skus in parents.values())
    spans = sorted({(row["ChargePeriodStart"], row["ChargePeriodEnd"]) for row in provider})
    for (_, end), (start, _) in pairwise(spans):
        assert end <= start


def test_columns_are_those_of_the_specification_and_then_ours() -> None:
    assert set(COLUMNS) >= MANDATORY
    ours = [column for column in COLUMNS if column.startswith("x_")]
    assert list(COLUMNS) == [*sorted(set(COLUMNS) - set(ours)), *sorted(ours)]
    assert all(column.isalnum() for column in COLUMNS if column not in ours)


def test_the_client_reads_nothing_of_providers_prices(
    month: tuple[list[Row], list[Row], int, int],
) -> None:
    provider, customer, cost, charge = month
    dear = {row["ListUnitPrice"] for row in provider if row["PricingUnit"] == "1000000 Tokens"}
    shown = {row["ListUnitPrice"] for row in customer if row["PricingUnit"] == "1000000 Tokens"}
    assert shown
    assert not dear & shown
    assert all(not row["x_PriceVersion"] for row in customer)
    assert all(row["InvoiceIssuerName"] == "Northwind" for row in customer)
    assert cost != charge


def test_a_workflow_that_is_a_formula_is_none_in_the_file(
    month: tuple[list[Row], list[Row], int, int],
) -> None:
    for row in month[0]:
        assert not row["x_WorkflowId"].startswith("=")
