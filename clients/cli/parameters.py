"""What may stand on the command line: dollars, time zones, instants, lengths of time, labels."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from zoneinfo import ZoneInfo, available_timezones

import click

from clients.cli import clock
from protos.values import ids, mailboxes
from protos.values.money import usd_per_million_to_pico, usd_to_nano

_DURATION = re.compile(r"(\d{1,6})\s*(ms|s|m|min|h|d|w)\Z")
_UNITS_MS = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "min": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "w": 7 * 86_400_000,
}
_MONTH = re.compile(r"(\d{4})-(\d{2})\Z")


class Dollars(click.ParamType[int]):
    """An amount in dollars, read as nano-dollars; never below zero."""

    name = "USD"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        if isinstance(value, int):
            return value
        try:
            amount_nano_usd = usd_to_nano(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if amount_nano_usd < 0:
            self.fail(f"{value} is negative; a cap is zero dollars or more", param, ctx)
        return amount_nano_usd


class Rate(click.ParamType[int]):
    """A price in dollars per million units, read as pico-dollars per unit."""

    name = "USD/MTOK"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        if isinstance(value, int):
            return value
        try:
            return usd_per_million_to_pico(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Percent(click.ParamType[int]):
    """A share such as 20%, in millionths."""

    name = "percent"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read a percentage, exact to a ten-thousandth of a percent."""
        if isinstance(value, int):
            return value
        try:
            ppm = Decimal(str(value).strip().removesuffix("%")) * 10_000
        except InvalidOperation:
            ppm = Decimal("NaN")
        if not ppm.is_finite() or ppm != ppm.to_integral_value():
            self.fail(f"{value!r} is no percentage, such as 20 or 12.5%", param, ctx)
        return int(ppm)


class TimeZone(click.ParamType[str]):
    """An IANA time zone; "" stands for the default."""

    name = "ZONE"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        text = str(value)
        zones = available_timezones()
        if text and text not in zones:
            near = _near(text, zones)
            hint = f"; did you mean {near}?" if near else "; write it like Europe/Berlin or UTC"
            self.fail(f"{text!r} is no time zone that is known here{hint}", param, ctx)
        return text


class Length(click.ParamType[timedelta]):
    """A length of time, such as 90s, 20m, 24h or 7d."""

    name = "TIME"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):
            return value
        if str(value) == "0":
            return timedelta()
        match = _DURATION.match(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is no length of time: write 90s, 20m, 24h or 7d", param, ctx)
        return timedelta(milliseconds=int(match[1]) * _UNITS_MS[match[2]])


class Moment(click.ParamType[datetime]):
    """A date, a date and time, or a length of time from now (or back from now)."""

    name = "WHEN"

    def __init__(self, *, back: bool = False) -> None:
        """Count lengths of time forward, or back; back also leaves it open where a date begins."""
        self._back = back

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        text = str(value).strip()
        length = _DURATION.match(text)
        if length is not None:
            away = timedelta(milliseconds=int(length[1]) * _UNITS_MS[length[2]])
            return clock.now() - away if self._back else clock.now() + away
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            example = "2026-11-01, 2026-11-01T09:30+01:00 or 7d"
            self.fail(f"{value!r} is no date and no length of time: write {example}", param, ctx)
        if moment.tzinfo is not None or self._back:
            return moment
        return moment.replace(tzinfo=UTC)


class Month(click.ParamType[tuple[int, int]]):
    """A month, such as 2026-11."""

    name = "YYYY-MM"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        match = _MONTH.match(str(value))
        if match is None or not 1 <= int(match[2]) <= 12 or int(match[1]) < 1970:
            self.fail(f"{value!r} is no month: write it like 2026-11", param, ctx)
        return int(match[1]), int(match[2])


class Label(click.ParamType[str]):
    """A workflow's label; "" stands for none."""

    name = "LABEL"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        text = str(value)
        if text and not ids.is_label(text):
            cleaned = ids.label_from_text(text)
            hint = f"; write {cleaned!r}" if cleaned else ""
            self.fail(
                f"{text!r} is no label: 1 to {ids.LABEL_CHARACTERS_MAX} letters, digits, spaces"
                f" and . _ @ / -, beginning with a letter or digit{hint}",
                param,
                ctx,
            )
        return text


class Url(click.ParamType[str]):
    """The address of a server: scheme, host, perhaps a path; a bare /v1 goes without saying."""

    name = "URL"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        text = str(value).rstrip("/")
        if re.fullmatch(r"https?://[^/]+/v1", text) is not None:
            text = text.removesuffix("/v1")
        if re.fullmatch(r"https?://[^\s/?#@]+(?:/[^\s?#]*)?", text) is None:
            self.fail(f"{value!r} is no URL: write it like https://ai.example.com", param, ctx)
        return text


class MailAddress(click.ParamType[str]):
    """A mail address that a statement can be sent to."""

    name = "ADDRESS"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        if not mailboxes.is_public(str(value)):
            self.fail(
                f"{value!r} is no mail address: write it like {mailboxes.EXAMPLE}", param, ctx
            )
        return str(value)


def month_bounds(month: tuple[int, int], time_zone: str) -> tuple[datetime, datetime]:
    """The first instants of a month and of the next, in a time zone."""
    zone = ZoneInfo(time_zone)
    year, number = month
    following = (year + 1, 1) if number == 12 else (year, number + 1)
    return (
        datetime(year, number, 1, tzinfo=zone).astimezone(UTC),
        datetime(*following, 1, tzinfo=zone).astimezone(UTC),
    )


def in_zone(moment: datetime, time_zone: str) -> datetime:
    """The instant that a date without a zone means in a time zone."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=ZoneInfo(time_zone))


def _near(text: str, known: set[str]) -> str:
    """The one that was probably meant: same letters, or the same last part."""
    folded = text.casefold().replace(" ", "_")
    for name in sorted(known):
        if name.casefold() == folded or name.casefold().split("/")[-1] == folded.split("/")[-1]:
            return name
    close = get_close_matches(text, known, n=1)
    return close[0] if close else ""


USD = Dollars()
RATE = Rate()
PERCENT = Percent()
TIME_ZONE = TimeZone()
LENGTH = Length()
LATER = Moment()
EARLIER = Moment(back=True)
MONTH = Month()
LABEL = Label()
URL = Url()
MAIL_ADDRESS = MailAddress()
