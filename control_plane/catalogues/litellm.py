"""Reads litellm's table of prices and limits (MIT): limits, tiers and places; no dates.

Rules:
1. Amounts are dollars per unit, read as decimals: "4e-07" is exactly 400,000 pico-dollars.
2. A cost's key is its base, then what it holds above, then how it is served:
   input_cost_per_token_above_272k_tokens_priority. A row with a cost whose base is not known here
   is passed over: what this table adds to a dated catalogue need not be whole.
3. Multipliers for a speed or a place count for tokens, and not for fees.
4. What is not well-formed in one row spoils that row; what is not well-formed as a whole is an
   error that says where.
"""

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import partial
from importlib.resources import files
from typing import Any, Final

from control_plane import limits
from control_plane.core import fields
from control_plane.core.offers import Listing, Rates, rate_pico_usd, tiers_at, times
from protos.values import quantities as kinds
from protos.values.rates import STANDARD, Tier, variant_of

SHIPPED: Final = "litellm_2026_11.json"
"""The extract that comes with the software: the rows and keys that are read here."""
SHIPPED_SOURCE: Final = "litellm 1.109.1"
"""What the extract is called where it is shown."""
GIVEN_SOURCE: Final = "litellm, as given"
"""What a file that somebody brought is called."""
_BASES: Final[Mapping[str, tuple[str, int]]] = {
    "input_cost_per_token": (kinds.INPUT, 1),
    "cache_read_input_token_cost": (kinds.CACHED, 1),
    "cache_creation_input_token_cost": (kinds.CACHE_WRITE, 1),
    "cache_creation_input_token_cost_above_1hr": (kinds.CACHE_WRITE_LONG, 1),
    "cache_creation_input_token_cost_above_12hr": (kinds.CACHE_WRITE_LONG, 1),
    "output_cost_per_token": (kinds.OUTPUT, 1),
    "output_cost_per_reasoning_token": (kinds.OUTPUT, 1),
    "input_cost_per_audio_token": (kinds.AUDIO_INPUT, 1),
    "cache_read_input_audio_token_cost": (kinds.CACHED_AUDIO, 1),
    "output_cost_per_audio_token": (kinds.AUDIO_OUTPUT, 1),
    "input_cost_per_image_token": (kinds.IMAGE_INPUT, 1),
    "cache_read_input_image_token_cost": (kinds.CACHED_IMAGE, 1),
    "output_cost_per_image_token": (kinds.IMAGE_OUTPUT, 1),
    "input_cost_per_video_token": (kinds.VIDEO_INPUT, 1),
    "input_cost_per_character": (kinds.CHARACTERS, 1),
}
_BY_SECOND: Final = "input_cost_per_second"
_PER_SECOND_MS: Final = 1_000
_KEY: Final = re.compile(
    r"(?P<base>.+?)(?:_above_(?P<above>\d+)k_tokens)?(?:_(?P<served>priority|flex|batches|ultrafast))?"
)
_SERVED: Final = {"batches": "batch"}
_CONTAINER: Final = "code_interpreter_cost_per_session"
_GROUNDED: Final = frozenset({"gemini"})
_SPEEDS_AND_PLACES: Final = ("fast", "us", "eu")
_OTHER_KEYS: Final = frozenset(
    (
        *("litellm_provider", "mode", "max_input_tokens", "max_output_tokens"),
        *("supports_reasoning", "search_context_cost_per_query", "provider_specific_entry"),
        *(_BY_SECOND, _CONTAINER),
    )
)
_TOKENS: Final = kinds.INPUT_KINDS | kinds.OUTPUT_KINDS
_MODES: Final = frozenset(
    ("chat", "responses", "completion", "embedding", "image_generation", "image_edit")
) | frozenset(("audio_speech", "audio_transcription"))


def shipped() -> Mapping[str, Any]:
    """The table that comes with the software."""
    packed = files(__package__).joinpath(SHIPPED).read_bytes()
    return _table(packed)


def given(packed: bytes) -> Mapping[str, Any]:
    """A table that somebody brought, gzipped. Refuses what is none, and what is too large."""
    inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = inflate.decompress(packed, limits.CATALOGUE_BYTES_MAX)
    except zlib.error:
        raise fields.invalid("litellm_gzip", "it is not gzipped") from None
    if inflate.unconsumed_tail:
        raise fields.invalid("litellm_gzip", f"it has more than {limits.CATALOGUE_BYTES_MAX} bytes")
    return _table(plain)


def _table(plain: bytes) -> Mapping[str, Any]:
    try:
        table = json.loads(plain, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise fields.invalid("litellm_gzip", f"it is not JSON{where}") from None
    if type(table) is not dict or not any(
        type(row) is dict and "litellm_provider" in row for row in table.values()
    ):
        raise fields.invalid(
            "litellm_gzip",
            "no row has a litellm_provider: give model_prices_and_context_window.json",
        )
    return table


def is_read(key: str) -> bool:
    """Whether a key of a row says something here."""
    match = _KEY.fullmatch(key)
    return key in _OTHER_KEYS or (match is not None and match["base"] in _BASES)


def is_served(key: str, row: Mapping[str, Any]) -> bool:
    """Whether a row is of a model that calls can be made to, and not of a size or a region."""
    name = key.removeprefix(f"{row.get('litellm_provider')}/")
    return (row.get("mode") in _MODES and "/" not in name) or _CONTAINER in row


def listings(table: Mapping[str, Any], provider_id: str) -> dict[str, Listing]:
    """The models of one of the table's providers, by their ids at the provider."""
    session = table.get(f"{provider_id}/container")
    fee = _amount(session.get(_CONTAINER)) if type(session) is dict else None
    found: dict[str, Listing] = {}
    for key, row in table.items():
        if type(row) is not dict or row.get("litellm_provider") != provider_id:
            continue
        name = key.removeprefix(f"{provider_id}/")
        # A row by its plain id outranks the one with the provider before it.
        outranked = name in found and name != key
        if row.get("mode") in _MODES and is_served(key, row) and not outranked:
            found[name] = _listing(provider_id, row, fee)
    return found


def _listing(provider_id: str, row: Mapping[str, Any], session_fee: Decimal | None) -> Listing:
    costs = dict(_costs(row))
    fees: dict[str, int] = {}
    searches = row.get("search_context_cost_per_query")
    sizes = searches.values() if type(searches) is dict else ()
    known = [amount for amount in map(_amount, sizes) if amount is not None]
    if known:
        kind = kinds.GROUNDING if provider_id in _GROUNDED else kinds.WEB_SEARCH
        fees[kind] = rate_pico_usd(max(known), 1)
    if session_fee is not None:
        fees[kinds.CONTAINER] = rate_pico_usd(session_fee, 1)
    tiers, variants = _priced(costs, fees)
    if tiers:
        variants |= dict(_multiplied(row, tiers, variants))
    return Listing(
        input_max=_limit(row.get("max_input_tokens")) or 0,
        output_max=_limit(row.get("max_output_tokens")),
        reasons=row.get("supports_reasoning") is True,
        tiers=tiers,
        variants=variants,
    )


_Cost = tuple[str, int, str]
"""Kind, above so many tokens, and how it is served."""


def _costs(row: Mapping[str, Any]) -> Iterator[tuple[_Cost, int]]:
    for key, value in row.items():
        amount = _amount(value)
        match = _KEY.fullmatch(key)
        if amount is None or match is None:
            continue
        served = match["served"] or ""
        where = (int(match["above"] or 0) * 1000, variant_of(_SERVED.get(served, served)))
        if match["base"] in _BASES:
            kind, units = _BASES[match["base"]]
            yield (kind, *where), rate_pico_usd(amount, units)
        elif key == _BY_SECOND and "input_cost_per_token" not in row:
            yield (kinds.MILLISECONDS, *where), rate_pico_usd(amount, _PER_SECOND_MS)


def _priced(
    costs: Mapping[_Cost, int], fees: Mapping[str, int]
) -> tuple[tuple[Tier, ...], dict[str, tuple[Tier, ...]]]:
    bounds = {above for _, above, _ in costs}

    def rates(served: str, above: int) -> Rates:
        """What is said for this way of serving; what is not, as for the standard one.

        Where only the standard one has a cliff, the dearer of its rates above it and of ours below.
        """
        found = dict(fees)
        for bound in sorted(bound for bound in bounds if bound <= above):
            for (kind, at, way), rate in costs.items():
                if (at, way) == (bound, STANDARD) and (kind, bound, served) not in costs:
                    found[kind] = max(found.get(kind, 0), rate) if served else rate
            found |= {k: r for (k, at, way), r in costs.items() if (at, way) == (bound, served)}
        return found

    if not any(not above and not way for _, above, way in costs):
        return (), {}
    variants = {
        way: tiers_at(bounds, partial(rates, way))
        for way in sorted({way for _, _, way in costs if way})
    }
    return tiers_at(bounds, partial(rates, STANDARD)), variants


def _multiplied(
    row: Mapping[str, Any], tiers: tuple[Tier, ...], variants: Mapping[str, tuple[Tier, ...]]
) -> Iterator[tuple[str, tuple[Tier, ...]]]:
    """Variants by a multiplier: of a speed, of a place, and of both together with each variant."""
    entry = row.get("provider_specific_entry")
    if type(entry) is not dict:
        return
    served = {STANDARD: tiers, **variants}
    for word in _SPEEDS_AND_PLACES:
        factor = _amount(entry.get(word))
        if factor is None or factor < 1:
            continue
        made = {
            variant_of(name, word): times(base, factor, _TOKENS) for name, base in served.items()
        }
        served |= made
        yield from made.items()


def _amount(value: Any) -> Decimal | None:
    """A number that is none below nothing; None for all else."""
    if type(value) is int:
        value = Decimal(value)
    return value if type(value) is Decimal and value.is_finite() and value >= 0 else None


def _limit(value: Any) -> int | None:
    amount = _amount(value)
    if amount is None or amount != amount.to_integral_value():
        return None
    return int(amount) if amount <= limits.MODEL_TOKENS_MAX else None
