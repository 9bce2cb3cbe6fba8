"""How values look: as JSON for programs, as tables and plain words for people.

In JSON an amount stands twice: `x_nano_usd` is the exact number as a string, for no program may
round it on the way, and `x_usd` is the same for reading. Names that come from outside never reach a
terminal with control characters in them.
"""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from protos.values.money import nano_to_usd, pico_to_usd_per_million

NONE_TEXT = "-"
"""What stands where there is nothing."""


def to_json(value: object) -> Any:
    """Turn a value into what JSON can hold."""
    if is_dataclass(value) and not isinstance(value, type):
        return _object_to_json(fields_of(value))
    if isinstance(value, Mapping):
        return _object_to_json(value)
    if isinstance(value, datetime):
        return instant_to_json(value)
    if isinstance(value, str | int | bool | None):
        return value
    if isinstance(value, Iterable):
        return [to_json(item) for item in value]
    return str(value)


def fields_of(value: Any) -> dict[str, Any]:
    """The fields of a value by name, to put others beside them."""
    return {one.name: getattr(value, one.name) for one in fields(value)}


def _object_to_json(named: Mapping[str, object]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in named.items():
        if name.endswith("_nano_usd"):
            assert value is None or isinstance(value, int)
            made[name] = None if value is None else str(value)
            made[f"{name.removesuffix('_nano_usd')}_usd"] = (
                None if value is None else nano_to_usd(value)
            )
        elif name == "rates_pico_usd" and isinstance(value, Mapping):
            made[name] = {kind: str(rate) for kind, rate in value.items()}
            made["rates_usd_per_million"] = {
                kind: pico_to_usd_per_million(rate) for kind, rate in value.items()
            }
        else:
            made[name] = to_json(value)
    return made


def json_text(value: object, *, line: bool = False) -> str:
    """A value as JSON text, on one line or indented."""
    made = to_json(value)
    if line:
        return json.dumps(made, ensure_ascii=False, separators=(",", ":"))
    return json.dumps(made, ensure_ascii=False, indent=2)


def instant_to_json(instant: datetime) -> str:
    """An instant as RFC 3339 in UTC, such as 2026-11-23T09:30:00Z."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def instant_text(instant: datetime | None, *, none: str = NONE_TEXT) -> str:
    """An instant for reading, in UTC, to the second; a full minute without seconds."""
    if instant is None:
        return none
    clock_format = "%H:%M:%S" if instant.second else "%H:%M"
    return instant.astimezone(UTC).strftime(f"%Y-%m-%d {clock_format} UTC")


def usd(amount_nano_usd: int | None, *, none: str = NONE_TEXT) -> str:
    """An amount for reading, exact to the last digit that is not zero."""
    return none if amount_nano_usd is None else nano_to_usd(amount_nano_usd)


def count_text(count: int) -> str:
    """A count for reading, such as 1,234."""
    return f"{count:,}"


def duration_text(duration_ms: int) -> str:
    """A length of time for reading, such as 1.5 s or 3 min."""
    if duration_ms < 1_000:
        return f"{duration_ms} ms"
    if duration_ms < 120_000:
        whole, rest = divmod(duration_ms, 1_000)
        return f"{whole}.{rest // 100} s" if rest >= 100 else f"{whole} s"
    if duration_ms < 2 * 3_600_000:
        return f"{duration_ms // 60_000} min"
    if duration_ms < 2 * 86_400_000:
        return f"{duration_ms // 3_600_000} h"
    return f"{duration_ms // 86_400_000} d"


def safe(text: str) -> str:
    """The text with everything that could steer a terminal replaced."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def quoted(text: str) -> str:
    """A name as it is typed into a shell."""
    return shlex.quote(safe(text))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """A table; a column whose name begins with ">" is set flush right."""
    made = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        right = column.startswith(">")
        made.add_column(
            column.removeprefix(">"),
            justify="right" if right else "left",
            overflow="fold",
            no_wrap=right or column.casefold().split()[-1:] == ["id"],
        )
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(safe(cell)) for cell in row))
    return made


def share(part_nano_usd: int, whole_nano_usd: int | None) -> Text:
    """How much of a cap is used, in whole percent rounded down, coloured by how near it is."""
    if not whole_nano_usd:
        return Text(NONE_TEXT if whole_nano_usd is None else "all")
    percent = part_nano_usd * 100 // whole_nano_usd
    style = "red" if percent >= 100 else "yellow" if percent >= 80 else "green"
    return Text(f"{percent}%", style=style)
