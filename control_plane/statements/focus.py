"""Lines by kind as FOCUS 1.4 (the FinOps Open Cost and Usage Specification), Cost and Usage, CSV.

Rules:

1. A row is a day, workflow, key, model, kind and rate. Its cost is unit price times quantity,
   exactly: rates are whole pico-dollars and quantities whole units, so no decimal is rounded.
2. What has no unit price (a sum that the provider told, an estimate) is priced by the dollar: its
   pricing unit is USD and its unit price 1.
3. What rounding to whole nano-dollars added is an Adjustment, one row a day; what a month's
   allowance covers is a Credit. So rows sum to the ledger, to the nano-dollar.
4. The provider's view says what the agency owes providers. The client's view says what the client
   is charged, and nothing from which the agency's margin could be read.
5. Columns of our own begin with x_ and stand behind. Names that the draft of 1.5 gives to details
   of models are written with x_ too: `_DETAILS` is the one place to change.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from control_plane.core.cost_lines import (
    CALL_FEE,
    CREDIT,
    ROUNDING,
    RUN_FEE,
    WHOLE_CALL,
    Line,
    LineKey,
    LineSum,
)
from control_plane.core.usage import local_day
from control_plane.statements.figures import decimal_text, utc_text
from control_plane.statements.spreadsheet import written
from protos.values import quantities as kinds

VERSION: Final = "1.4"
COLUMNS: Final = (
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingAccountType",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "HostProviderName",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ServiceCategory",
    "ServiceName",
    "ServiceProviderName",
    "ServiceSubcategory",
    "SkuId",
    "SkuMeter",
    "SkuPriceDetails",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "SubAccountType",
    "Tags",
    "x_CallCount",
    "x_Estimated",
    "x_KeyId",
    "x_PriceVersion",
    "x_WorkflowId",
)
_DETAILS: Final = {
    "model": "x_ModelId",
    "direction": "x_TokenDirection",
    "cache": "x_TokenCacheAction",
    "tier": "x_ServiceTier",
}
_TOKENS: Final = kinds.INPUT_KINDS | kinds.OUTPUT_KINDS
_MILLION: Final = 1_000_000
_PIECES: Final[Mapping[str, str]] = {
    kinds.IMAGES: "Images",
    kinds.MILLISECONDS: "Milliseconds",
    kinds.CHARACTERS: "Characters",
    kinds.CALLS: "Calls",
    kinds.TOOL_CALLS: "Tool Calls",
    kinds.WEB_SEARCH: "Searches",
    kinds.FILE_SEARCH: "Searches",
    kinds.CONTAINER: "Sessions",
    kinds.GROUNDING: "Queries",
}
_CACHE: Final[Mapping[str, str]] = {
    kinds.CACHED: "Read",
    kinds.CACHED_AUDIO: "Read",
    kinds.CACHED_IMAGE: "Read",
    kinds.CACHE_WRITE: "Write",
    kinds.CACHE_WRITE_LONG: "Write",
}
_PICO_PLACES, _ATTO_PLACES = 12, 18
_PROVIDERS: Final[Mapping[str, str]] = {
    "openai": "OpenAI",
    "anthropic": "Anthropic",
    "google": "Google",
    "azure": "Microsoft Azure",
    "xai": "xAI",
    "mistral": "Mistral AI",
    "openrouter": "OpenRouter",
    "groq": "Groq",
    "deepseek": "DeepSeek",
    "perplexity": "Perplexity",
}


@dataclass(frozen=True, slots=True)
class Period:
    """A billing period, and the zone of its days."""

    start_unix_ms: int
    end_unix_ms: int
    time_zone: str


@dataclass(frozen=True, slots=True)
class Names:
    """What ids are called."""

    agency: str
    clients: Mapping[str, str]
    """Of projects."""


@dataclass(frozen=True, slots=True)
class _Amounts:
    """One line's numbers as decimals; empty where there is none."""

    cost: str
    unit_price: str = ""
    quantity: str = ""
    unit: str = ""


def render_focus(lines: Iterable[Line], period: Period, names: Names, *, client: bool) -> str:
    """The file: all rows of a billing period, in the provider's or the client's view."""
    rows = [[row[column] for column in COLUMNS] for row in rows_of(lines, period, names, client)]
    return written([list(COLUMNS), *rows])


def rows_of(
    lines: Iterable[Line],
    period: Period,
    names: Names,
    client: bool,  # noqa: FBT001 - one of two views
) -> Iterator[dict[str, str]]:
    """The rows by column."""
    for key, line in lines:
        amounts = _client_amounts(key, line) if client else _provider_amounts(key, line)
        if amounts is not None:
            yield _row(key, line, period, names, amounts, client=client)


def _provider_amounts(key: LineKey, line: LineSum) -> _Amounts | None:
    if key.kind in (CREDIT, CALL_FEE, RUN_FEE) or (key.kind == ROUNDING and not line.cost_pico_usd):
        return None
    cost = decimal_text(line.cost_pico_usd, _PICO_PLACES)
    if key.kind == ROUNDING:
        return _Amounts(cost)
    if key.kind == WHOLE_CALL:
        return _Amounts(cost, "1", cost, "USD")
    return _priced(key, line, cost, key.rate_pico_usd, _PICO_PLACES)


def _client_amounts(key: LineKey, line: LineSum) -> _Amounts | None:
    if key.kind == ROUNDING and not line.charge_atto_usd:
        return None
    cost = decimal_text(line.charge_atto_usd, _ATTO_PLACES)
    if key.kind in (CREDIT, ROUNDING):
        return _Amounts(cost)
    if key.kind in (CALL_FEE, RUN_FEE):
        price = decimal_text(line.charge_atto_usd // line.quantity, _ATTO_PLACES)
        return _Amounts(cost, price, str(line.quantity), "Calls")
    if key.kind == WHOLE_CALL:
        return _Amounts(cost, "1", cost, "USD")
    # Every part bears the same markup, so the quotient is exact; what costs nothing bears none.
    share = line.charge_atto_usd // line.cost_pico_usd if line.cost_pico_usd else 0
    assert share * line.cost_pico_usd == line.charge_atto_usd
    return _priced(key, line, cost, key.rate_pico_usd * share, _ATTO_PLACES)


def _priced(key: LineKey, line: LineSum, cost: str, rate: int, places: int) -> _Amounts:
    if key.kind in _TOKENS:
        price = decimal_text(rate * _MILLION, places)
        return _Amounts(cost, price, decimal_text(line.quantity, 6), "1000000 Tokens")
    return _Amounts(cost, decimal_text(rate, places), str(line.quantity), _unit_of(key.kind))


def _unit_of(kind: str) -> str:
    return "Tokens" if kind in _TOKENS else _PIECES.get(kind, "Calls")


def _row(
    key: LineKey, line: LineSum, period: Period, names: Names, amounts: _Amounts, *, client: bool
) -> dict[str, str]:
    day = local_day(period.time_zone, key.start_unix_ms)
    usage = key.kind not in (ROUNDING, CREDIT)
    provider = names.agency or "Agency" if client else _provider_name(key.provider)
    host = _provider_name(key.provider) if key.provider else provider
    customer = names.clients.get(key.project_id, key.project_id)
    account = (key.project_id, customer, "Client") if client else _agency_account(names, key)
    sku = _sku(key) if usage else ""
    consumed = usage and amounts.unit_price != ""
    return {
        "BilledCost": amounts.cost,
        "BillingAccountId": account[0],
        "BillingAccountName": account[1],
        "BillingAccountType": account[2],
        "BillingCurrency": "USD",
        "BillingPeriodEnd": utc_text(period.end_unix_ms),
        "BillingPeriodStart": utc_text(period.start_unix_ms),
        "ChargeCategory": _category(key.kind),
        "ChargeClass": "",
        "ChargeDescription": _description(key),
        "ChargeFrequency": "Usage-Based" if usage else "One-Time",
        "ChargePeriodEnd": utc_text(day.end_unix_ms),
        "ChargePeriodStart": utc_text(day.start_unix_ms),
        "ConsumedQuantity": _consumed(key, line) if consumed else "",
        "ConsumedUnit": _consumed_unit(key.kind) if consumed else "",
        "ContractedCost": amounts.cost,
        "ContractedUnitPrice": amounts.unit_price,
        "EffectiveCost": amounts.cost,
        "HostProviderName": host,
        "InvoiceIssuerName": provider,
        "ListCost": amounts.cost,
        "ListUnitPrice": amounts.unit_price,
        "PricingCategory": _pricing_category(key) if usage else "",
        "PricingQuantity": amounts.quantity,
        "PricingUnit": amounts.unit,
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": f"{host} API" if key.provider else "AI usage",
        "ServiceProviderName": provider,
        "ServiceSubcategory": "Generative AI",
        "SkuId": sku,
        "SkuMeter": _meter(key.kind) if usage else "",
        "SkuPriceDetails": _details(key) if usage and key.model else "",
        "SkuPriceId": _sku_price(key, sku) if usage else "",
        "SubAccountId": key.project_id,
        "SubAccountName": customer,
        "SubAccountType": "Project",
        "Tags": json.dumps(
            {"client": customer, "workflow": key.workflow}, ensure_ascii=False, sort_keys=True
        ),
        "x_CallCount": str(line.call_count),
        "x_Estimated": "true" if key.estimated else "false",
        "x_KeyId": key.key_id,
        "x_PriceVersion": "" if client else key.price_version,
        "x_WorkflowId": key.workflow,
    }


def _agency_account(names: Names, key: LineKey) -> tuple[str, str, str]:
    name = _provider_name(key.provider) if key.provider else "all providers"
    return key.provider or "providers", f"{names.agency or 'Agency'} at {name}", "Provider account"


def _provider_name(provider: str) -> str:
    return _PROVIDERS.get(provider, provider) or "Providers"


def _category(kind: str) -> str:
    return {ROUNDING: "Adjustment", CREDIT: "Credit"}.get(kind, "Usage")


def _pricing_category(key: LineKey) -> str:
    return "Other" if key.variant or key.kind == WHOLE_CALL else "Standard"


def _consumed(key: LineKey, line: LineSum) -> str:
    return str(line.call_count if key.kind == WHOLE_CALL else line.quantity)


def _consumed_unit(kind: str) -> str:
    return "Calls" if kind in (WHOLE_CALL, CALL_FEE, RUN_FEE) else _unit_of(kind)


def _meter(kind: str) -> str:
    if kind == WHOLE_CALL:
        return "Calls"
    if kind in (CALL_FEE, RUN_FEE):
        return "Call Fee" if kind == CALL_FEE else "Run Fee"
    # Whether a token was cached changes its price, not what is metered.
    plain = {kinds.CACHED: kinds.INPUT, kinds.CACHE_WRITE: kinds.INPUT}.get(kind, kind)
    plain = {kinds.CACHE_WRITE_LONG: kinds.INPUT, kinds.CACHED_AUDIO: kinds.AUDIO_INPUT}.get(
        kind, plain
    )
    words = plain.replace("_", " ").title()
    return f"{words} Tokens" if kind in _TOKENS else words


def _sku(key: LineKey) -> str:
    meter = _meter(key.kind).lower().replace(" ", "-")
    return "/".join(part for part in (key.provider, key.model, meter) if part)


def _sku_price(key: LineKey, sku: str) -> str:
    parts = [sku, key.kind, *([key.variant] if key.variant else [])]
    if key.kind in (CALL_FEE, RUN_FEE):
        parts.append(key.rate_card_version)
    return "/".join(parts)


def _details(key: LineKey) -> str:
    found = {_DETAILS["model"]: key.model}
    if key.kind in _TOKENS:
        output = key.kind in kinds.OUTPUT_KINDS
        found[_DETAILS["direction"]] = "Output" if output else "Input"
        if not output:
            found[_DETAILS["cache"]] = _CACHE.get(key.kind, "Uncached")
    if key.variant:
        found[_DETAILS["tier"]] = key.variant
    return json.dumps(found, ensure_ascii=False, sort_keys=True)


def _description(key: LineKey) -> str:
    if key.kind == ROUNDING:
        return "Rounding of each call to whole nano-dollars"
    if key.kind == CREDIT:
        return "Usage that the month includes"
    if key.kind in (CALL_FEE, RUN_FEE):
        return f"{_meter(key.kind)}, {key.workflow or 'without a workflow'}"
    if key.kind == WHOLE_CALL:
        return f"Calls, {key.model}, as {'estimated' if key.estimated else 'billed'}"
    cache = _CACHE.get(key.kind)
    text = f"{_meter(key.kind)}{f', cache {cache.lower()}' if cache else ''}, {key.model}"
    return f"{text}, {key.variant}" if key.variant else text
