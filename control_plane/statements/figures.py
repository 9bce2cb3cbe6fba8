"""How amounts, counts and times read on a statement: rounded to the nearest, ties to even."""

from datetime import UTC, datetime, timedelta
from typing import Final

from control_plane.core.zones import load_zone

NOTHING: Final = "\N{EN DASH}"
"""Stands where there is no figure."""
_NANO_PER_CENT = 10_000_000
_NANO_PER_TENTH_OF_MILL = 100_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def rounded(amount: int, unit: int) -> int:
    """An amount in units, to the nearest; halves to the even one."""
    whole, rest = divmod(amount, unit)
    return whole + (2 * rest > unit or (2 * rest == unit and whole % 2 == 1))


def money(nano_usd: int) -> str:
    """Dollars and cents; what is less than a cent with four digits, so that it is not nothing."""
    sign, size = ("-" if nano_usd < 0 else ""), abs(nano_usd)
    if 0 < size < _NANO_PER_CENT:
        mills = rounded(size, _NANO_PER_TENTH_OF_MILL)
        return f"{sign}${mills // 10_000}.{mills % 10_000:04}" if mills else f"{sign}<$0.0001"
    cents = rounded(size, _NANO_PER_CENT)
    return f"{sign}${cents // 100:,}.{cents % 100:02}"


def money_short(nano_usd: int) -> str:
    """Whole dollars, for a picture; less than ten with cents."""
    if abs(nano_usd) < 10_000_000_000:
        return money(nano_usd) if nano_usd else "$0"
    return f"{'-' if nano_usd < 0 else ''}${rounded(abs(nano_usd), 1_000_000_000):,}"


def money_exact(nano_usd: int) -> str:
    """Dollars to the nano-dollar, without a sign of the currency: for programs."""
    return decimal_text(nano_usd, 9)


def decimal_text(amount: int, places: int) -> str:
    """A whole number of the smallest unit as a decimal, without needless zeros."""
    sign, digits = ("-" if amount < 0 else ""), str(abs(amount)).rjust(places + 1, "0")
    if not places:
        return sign + digits
    whole, part = digits[:-places], digits[-places:].rstrip("0")
    return f"{sign}{whole}.{part}" if part else sign + whole


def count(number: int) -> str:
    """A whole number with thousands."""
    return f"{number:,}"


def percent_of(part: int, whole: int) -> str:
    """A share in whole percent."""
    return f"{rounded(100 * part, whole)}%" if whole else NOTHING


def mille_text(mille: int | None) -> str:
    """A share of a thousand as percent with one digit."""
    return NOTHING if mille is None else f"{mille // 10}.{mille % 10}%"


def change(now: int, before: int) -> str:
    """By how many percent something grew; empty when there was nothing before."""
    if not before:
        return ""
    percent = rounded(100 * (now - before), before)
    return f"{percent:+,}%" if percent else "±0%"


def duration(milliseconds: int) -> str:
    """How long something took."""
    if milliseconds < 1_000:
        return f"{milliseconds} ms"
    if milliseconds < 60_000:
        tenths = rounded(milliseconds, 100)
        return f"{tenths // 10}.{tenths % 10} s"
    minutes, seconds = divmod(rounded(milliseconds, 1_000), 60)
    return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"


def spell_seconds(seconds: int) -> str:
    """How long work takes by hand, such as "3 minutes" or "120 hours"."""
    for size, name in ((3_600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            tenths = rounded(10 * seconds, size)
            text = f"{tenths // 10:,}" + (f".{tenths % 10}" if tenths % 10 else "")
            return f"{text} {name}" if tenths == 10 else f"{text} {name}s"
    return "0 seconds"


def month_name(name: str) -> str:
    """2026-10 as "October 2026"."""
    return f"{MONTHS[int(name[5:7]) - 1]} {name[:4]}"


def month_short(name: str) -> str:
    """2026-10 as "Oct"."""
    return MONTHS[int(name[5:7]) - 1][:3]


def day_text(iso: str) -> str:
    """2026-03-02 as "2 Mar 2026"."""
    year, month, day = iso.split("-")
    return f"{int(day)} {MONTHS[int(month) - 1][:3]} {year}"


def date_at(instant_unix_ms: int, zone: str) -> str:
    """The date where the client is, such as "24 Oct 2026"."""
    at = (_EPOCH + timedelta(milliseconds=instant_unix_ms)).astimezone(load_zone(zone))
    return day_text(at.date().isoformat())


def utc_text(instant_unix_ms: int) -> str:
    """An instant for programs, in UTC and whole seconds."""
    at = _EPOCH + timedelta(milliseconds=instant_unix_ms)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
