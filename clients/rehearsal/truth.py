"""The endpoints under /rehearsal: what was billed, the prices, the knobs, a reset."""

import dataclasses
import json

from clients.rehearsal import limits
from clients.rehearsal.bill import Bill
from clients.rehearsal.incoming import Answer, Refusal, Request, parse
from clients.rehearsal.knobs import Knobs
from clients.rehearsal.prices import (
    FAST_SPEED,
    MODELS,
    SEARCH_USD_PER_THOUSAND,
    TIERS,
    US_INFERENCE,
)

PREFIX = "/rehearsal/"


def told(value: object, status: int = 200) -> Answer:
    """Return an answer for programs and for people with curl."""
    return Answer(status, json.dumps(value).encode("ascii") + b"\n")


def bill_answer(bill: Bill, request: Request) -> Answer:
    """Return a page of the calls that ended."""
    return told(bill.page(*_page_of(request)))


def log_answer(bill: Bill, request: Request) -> Answer:
    """Return a page of the events."""
    return told(bill.log(*_page_of(request)))


def knobs_answer(knobs: Knobs) -> Answer:
    """Return how the knobs stand."""
    return told(dataclasses.asdict(knobs))


def prices_answer() -> Answer:
    """Return the price table, prices as exact strings."""
    models = [
        {
            "model": model.name,
            "aliases": list(model.aliases),
            "provider": model.provider,
            "usd_per_million_tokens": {
                "input": model.input,
                "cached_input": model.cached_input,
                "cache_write": model.cache_write,
                "cache_write_1h": model.cache_write_1h,
                "output": model.output if model.max_output_tokens else None,
            },
            "usd_of_media": dataclasses.asdict(model.media),
            "usd_per_thousand_calls": SEARCH_USD_PER_THOUSAND
            if model.provider == "openai" and model.max_output_tokens
            else {},
            "max_input_tokens": model.max_input_tokens,
            "max_output_tokens": model.max_output_tokens,
        }
        for model in MODELS
    ]
    tiers = {
        provider: {name: str(multiplier) for name, multiplier in rows.items()}
        for provider, rows in TIERS.items()
    }
    return told(
        {
            "models": models,
            "tiers": tiers,
            "speed_fast": str(FAST_SPEED),
            "inference_geo_us": str(US_INFERENCE),
        }
    )


def changes_of(request: Request) -> object:
    """Return the knobs that a request wants to set."""
    return parse(request.body or b"{}")


def _page_of(request: Request) -> tuple[int, int]:
    since = _number(request, "since", 0, 2**63)
    rows = _number(request, "limit", limits.PAGE_ROWS_DEFAULT, limits.PAGE_ROWS_MAX)
    return since, rows


def _number(request: Request, name: str, default: int, highest: int) -> int:
    given = request.query.get(name)
    if given is None:
        return default
    if not given.isascii() or not given.isdecimal() or len(given) > 19 or int(given) > highest:
        raise Refusal(400, f"?{name}= takes a whole number up to {highest}")
    return int(given)
