"""Amounts of money: whole nano-dollars, never floats.

One nano-USD is 1e-9 US dollars; int64 holds 9.2 billion dollars of them. Rates are whole
pico-dollars per unit (1 pico-USD per token = 1 micro-USD per million tokens), so every published
price is exact. A cost is rounded up to whole nano-dollars once per call, see `rates.cost_nano_usd`.
"""

import re
from decimal import Decimal, InvalidOperation

NANO_PER_USD = 1_000_000_000
PICO_PER_NANO = 1_000
PICO_PER_USD_PER_MILLION = 1_000_000
"""A price of one dollar per million units, in pico-dollars per unit."""
MONEY_MAX_NANO_USD = 2**63 - 1
"""The largest amount: what a signed 64-bit column holds."""
_DIGITS_MAX = 28
"""Digits that decimal arithmetic keeps exactly; more would be rounded in silence."""
_NUMBER = re.compile(
    r"[+-]?\$?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)?(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?"
)
_COMMAS = "commas stand between thousands only, and a point before cents"


def _decimal(text: str) -> Decimal:
    """Read digits with an optional sign, dollar sign and thousands commas; NaN for all else.

    A comma elsewhere may be meant as a decimal sign (12,50), so it is never dropped in silence.
    """
    cleaned = text.strip()
    if not _NUMBER.fullmatch(cleaned):
        return Decimal("NaN")
    try:
        number = Decimal(cleaned.replace(",", "").replace("$", ""))
    except InvalidOperation:
        return Decimal("NaN")
    return number if len(number.as_tuple().digits) <= _DIGITS_MAX else Decimal("NaN")


def usd_to_nano(text: str) -> int:
    """Read a person's dollar amount, such as "300", "$1,250.50" or "0.000000001".

    Raises ValueError when the text is no amount, is finer than a nano-dollar, or does not fit.
    """
    amount = _decimal(text)
    if not amount.is_finite():
        message = f"{text!r} is not an amount in dollars, such as 300 or 12.50"
        message += f": {_COMMAS}" if "," in text else ""
        raise ValueError(message)
    # A product of what is far too large is none; and nobody waits for a million digits.
    if amount.adjusted() > _DIGITS_MAX or abs(amount) * NANO_PER_USD > MONEY_MAX_NANO_USD:
        message = f"{text!r} is more than this program can hold ($9,223,372,036)"
        raise ValueError(message)
    nano = amount.scaleb(9)
    if nano != nano.to_integral_value():
        message = f"{text!r} is finer than a billionth of a dollar"
        raise ValueError(message)
    return int(nano)


def usd_per_million_to_pico(text: str) -> int:
    """Read a price in dollars per million units, such as "0.25", as pico-dollars per unit.

    Raises ValueError when the text is no price, is negative, or is finer than a pico-dollar.
    """
    price = _decimal(text)
    if not price.is_finite() or price < 0 or price > MONEY_MAX_NANO_USD:
        message = f"{text!r} is not a price in dollars per million, such as 0.25"
        message += f": {_COMMAS}" if "," in text else ""
        raise ValueError(message)
    pico = price.scaleb(6)
    if pico != pico.to_integral_value():
        message = f"{text!r} is finer than a millionth of a dollar per million"
        raise ValueError(message)
    return int(pico)


def nano_to_usd(amount_nano_usd: int, *, digits_min: int = 2) -> str:
    """Show an amount exactly, as "$1,250.50" or "-$0.000000001".

    Trailing zeros are cut down to `digits_min` places; no digit that is not zero is ever cut.
    """
    sign = "-" if amount_nano_usd < 0 else ""
    whole, rest = divmod(abs(amount_nano_usd), NANO_PER_USD)
    places = f"{rest:09d}".rstrip("0").ljust(digits_min, "0")
    return f"{sign}${whole:,}" + (f".{places}" if places else "")


def pico_to_usd_per_million(rate_pico_usd: int) -> str:
    """Show a rate exactly as dollars per million units, such as "$0.25"."""
    whole, rest = divmod(rate_pico_usd, PICO_PER_USD_PER_MILLION)
    return f"${whole:,}.{f'{rest:06d}'.rstrip('0').ljust(2, '0')}"
