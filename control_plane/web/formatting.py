"""How amounts, shares and instants read on a page. Rounding is for eyes alone, half from zero."""

from datetime import UTC, datetime

from control_plane.core.zones import load_zone
from protos.values.money import NANO_PER_USD, nano_to_usd

_CENT = NANO_PER_USD // 100
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000


def usd(amount_nano_usd: int | None) -> str:
    """An amount to the cent, such as $2,914.20; below a cent to its first digits, as $0.00075."""
    if amount_nano_usd is None:
        return "no cap"
    size = abs(amount_nano_usd)
    if size >= _CENT or not size:
        return nano_to_usd(_rounded(amount_nano_usd, _CENT))
    step = 10 ** max(0, len(str(size)) - 2)
    return nano_to_usd(_rounded(amount_nano_usd, step))


def usd_short(amount_nano_usd: int | None) -> str:
    """An amount without cents where there are none, such as $250."""
    if amount_nano_usd is None:
        return "no cap"
    if amount_nano_usd % NANO_PER_USD:
        return usd(amount_nano_usd)
    return nano_to_usd(amount_nano_usd, digits_min=0)


def usd_fine(amount_nano_usd: int) -> str:
    """A small amount to three digits that count, such as $0.0123; from a dollar on to the cent."""
    if abs(amount_nano_usd) >= NANO_PER_USD:
        return usd(amount_nano_usd)
    step = int(10 ** max(0, len(str(abs(amount_nano_usd))) - 3))
    return nano_to_usd(_rounded(amount_nano_usd, step))


def usd_whole(amount_nano_usd: int | None) -> str:
    """An amount to the dollar from ten dollars on, for what is not exact anyway."""
    if amount_nano_usd is None:
        return "no cap"
    if abs(amount_nano_usd) < 10 * NANO_PER_USD:
        return usd(amount_nano_usd)
    return nano_to_usd(_rounded(amount_nano_usd, NANO_PER_USD), digits_min=0)


def usd_exact(amount_nano_usd: int | None) -> str:
    """An amount to the nano-dollar."""
    return "no cap" if amount_nano_usd is None else nano_to_usd(amount_nano_usd)


def usd_field(amount_nano_usd: int | None) -> str:
    """An amount as it stands in a form."""
    if amount_nano_usd is None:
        return ""
    return usd_exact(amount_nano_usd).replace("$", "").replace(",", "")


def count(number: int) -> str:
    """A number with its thousands set apart."""
    return f"{number:,}"


def plural(number: int, one: str, many: str = "") -> str:
    """A number with its noun, such as "1 call" and "2 calls"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def percent(part_ppm: int) -> str:
    """Millionths as whole percent; never 100 for what is below, nor 0 for what is above."""
    whole = (part_ppm + 5_000) // 10_000
    if part_ppm < 1_000_000 and whole >= 100:
        return "99%"
    return "<1%" if part_ppm > 0 and not whole else f"{whole:,}%"


def success(calls: int, failed: int) -> str:
    """The share of calls that went well, to a tenth of a percent, cut off; a dash without calls."""
    if not calls:
        return "\N{EN DASH}"
    mille = (calls - failed) * 1_000 // calls
    return "100%" if mille == 1_000 else f"{mille // 10}.{mille % 10}%"


def change(now: int, before: int) -> str:
    """By how many percent something changed, such as "+6%"; "" where there was nothing before."""
    if before <= 0:
        return ""
    percents = ((now - before) * 200 + before) // (2 * before)
    return f"{percents:+,}%".replace("-", "\N{MINUS SIGN}") if percents else "±0%"


def share_of(part: int | None, whole: int) -> str:
    """A share to a tenth of a percent, cut off; a dash where there is no whole."""
    if part is None or not whole:
        return "\N{EN DASH}"
    mille = abs(part) * 1_000 // abs(whole)
    sign = "\N{MINUS SIGN}" if part < 0 else ""
    return f"{sign}{mille // 10}.{mille % 10}%"


def signed(amount_nano_usd: int) -> str:
    """An amount with its sign, such as +$12.40."""
    sign = "\N{MINUS SIGN}" if amount_nano_usd < 0 else "+" if amount_nano_usd else ""
    return sign + usd(abs(amount_nano_usd))


def local(instant_unix_ms: int, zone: str) -> datetime:
    """The local time of an instant."""
    moment = datetime.fromtimestamp(instant_unix_ms // 1_000, UTC)
    return moment.astimezone(load_zone(zone))


def clock(instant_unix_ms: int, zone: str) -> str:
    """The local time of day, such as 09:12."""
    return f"{local(instant_unix_ms, zone):%H:%M}"


def day(instant_unix_ms: int, zone: str) -> str:
    """The local date without its year, such as 26 Nov."""
    moment = local(instant_unix_ms, zone)
    return f"{moment.day} {moment:%b}"


def instant(instant_unix_ms: int, zone: str) -> str:
    """The local date and time, such as 26 Nov 2026, 09:12."""
    moment = local(instant_unix_ms, zone)
    return f"{moment.day} {moment:%b %Y, %H:%M}"


def when(instant_unix_ms: int, zone: str, now_unix_ms: int) -> str:
    """The time of day where it is today, else the date with it."""
    moment, now = local(instant_unix_ms, zone), local(now_unix_ms, zone)
    if moment.date() == now.date():
        return f"{moment:%H:%M}"
    same_year = moment.year == now.year
    return f"{moment.day} {moment:%b %H:%M}" if same_year else instant(instant_unix_ms, zone)


def month(instant_unix_ms: int, zone: str) -> str:
    """The local month, such as November 2026."""
    return f"{local(instant_unix_ms, zone):%B %Y}"


def machine_time(instant_unix_ms: int) -> str:
    """An instant for programs, in UTC."""
    return f"{datetime.fromtimestamp(instant_unix_ms // 1_000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def seconds(duration_ms: int | None) -> str:
    """A duration, such as "840 ms" and "6.2 s"; a dash where nothing is known."""
    if duration_ms is None:
        return "\N{EN DASH}"
    if duration_ms < 1_000:
        return f"{duration_ms} ms"
    return f"{duration_ms // 1_000}.{duration_ms % 1_000 // 100} s"


def ago(instant_unix_ms: int, now_unix_ms: int) -> str:
    """How long ago something was, such as "3 min ago"."""
    past = max(0, now_unix_ms - instant_unix_ms)
    if past < MINUTE_MS:
        return f"{past // 1_000} s ago"
    if past < HOUR_MS:
        return f"{past // MINUTE_MS} min ago"
    return f"{past // HOUR_MS} h ago" if past < DAY_MS else f"{past // DAY_MS} d ago"


def _rounded(amount: int, step: int) -> int:
    sign = -1 if amount < 0 else 1
    return sign * ((abs(amount) * 2 + step) // (2 * step)) * step
