"""How rates are written: dollars per million tokens, and by the piece, thousand or minute."""

import re
from decimal import Decimal

import click

from protos.values import quantities
from protos.values.money import nano_to_usd, pico_to_usd_per_million, usd_per_million_to_pico

_TOKENS = quantities.INPUT_KINDS | quantities.OUTPUT_KINDS
_PER = {
    "1M": 1_000_000,
    "1k": 1_000,
    "1": 1,
    "s": 1_000,
    "min": 60_000,
    "h": 3_600_000,
}
"""Units that one amount is for; a second and longer are for milliseconds only."""
_TIMES = frozenset(("s", "min", "h"))
_RATE = re.compile(r"(?P<kind>[a-z_]+)=(?P<usd>[^/]+)(?:/(?P<per>1M|1k|1|s|min|h))?")


def read_rate(text: str) -> tuple[str, int]:
    """Read KIND=USD per million, or KIND=USD/1, /1k, /1M, /s, /min, /h: the kind, pico-dollars.

    Raises BadParameter. What is not counted in tokens must say for how many: "images=0.04" would
    be a price per million images.
    """
    priced = [one for one in quantities.KINDS if one not in quantities.INFORMATIVE]
    match = _RATE.fullmatch(text)
    if match is None or match["kind"] not in priced:
        raise click.BadParameter(
            f"{text!r} is no rate: write KIND=USD with one of {', '.join(priced)}"
        )
    kind, per = match["kind"], match["per"] or ""
    if not per and kind not in _TOKENS:
        example = "0.006/min" if kind == quantities.MILLISECONDS else "10/1k"
        raise click.BadParameter(f"{text!r} must say for how many, such as {kind}={example}")
    if (per in _TIMES) and kind != quantities.MILLISECONDS:
        raise click.BadParameter(f"{text!r}: {kind} is not counted in time")
    try:
        if per in {"", "1M"}:
            return kind, usd_per_million_to_pico(match["usd"])
        return kind, _by_piece_pico_usd(match["usd"], _PER[per])
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _by_piece_pico_usd(usd: str, pieces: int) -> int:
    """Dollars for so many pieces, as pico-dollars for one. Raises ValueError."""
    per_million = usd_per_million_to_pico(usd)
    pico, rest = divmod(per_million * 1_000_000, pieces)
    if rest:
        raise ValueError(f"{usd!r} for {pieces:,} is finer than a pico-dollar for one")
    return pico


def rate_text(kind: str, rate_pico_usd: int | None) -> str:
    """A rate for reading; empty for none."""
    if rate_pico_usd is None:
        return ""
    if kind in _TOKENS or kind == quantities.CHARACTERS:
        return pico_to_usd_per_million(rate_pico_usd)
    if kind == quantities.MILLISECONDS:
        return f"{_usd(rate_pico_usd * 60_000)} a minute"
    return f"{_usd(rate_pico_usd)} each"


def _usd(amount_pico_usd: int) -> str:
    if amount_pico_usd % 1_000:
        return f"${Decimal(amount_pico_usd).scaleb(-12):f}"
    return nano_to_usd(amount_pico_usd // 1_000)
