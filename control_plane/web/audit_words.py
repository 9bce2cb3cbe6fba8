"""An audit entry in words: what was changed, from what, to what. Pure.

An entry tells what it set. What was before stands beside it (`old_cap` and `new_cap`, `amount` and
`amount_before`), or in the entry before it that set the same of the same thing.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from control_plane.core.principals import AuditEntry
from control_plane.web import formatting
from protos.values.money import pico_to_usd_per_million

_NONE = "none"
_NO_CHANGE = frozenset(("reason", "note", "was"))
"""What says something of the change itself and is no part of what was changed."""
_WHOLE = ("Set", "Update")
"""How methods begin whose entries tell all that they set, so that the one before tells what was."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that an entry tells."""

    what: str
    """Such as "cap"."""
    before: str
    """What it was; empty when that is not known or there was nothing."""
    now: str
    """What it is."""


@dataclass(frozen=True, slots=True)
class Told:
    """An entry as it is shown."""

    entry: AuditEntry
    title: str
    """Such as "Set cap"."""
    lines: tuple[Line, ...]


def told(entries: Sequence[AuditEntry], zone: str, shown: int) -> list[Told]:
    """The newest of some entries in words; `entries` is the newest first, and may reach further."""
    details = [_detail(entry.detail_json) for entry in entries]
    made = []
    for place, entry in enumerate(entries[:shown]):
        before: dict[str, Any] = {}
        if entry.method.startswith(_WHOLE):
            for earlier in range(len(entries) - 1, place, -1):
                if entries[earlier].resource == entry.resource:
                    before |= details[earlier]
        made.append(Told(entry, title(entry.method), _lines(details[place], before, zone)))
    return made


def title(method: str) -> str:
    """A method in words, such as "Set cap" for SetCap."""
    return " ".join(re.findall(r"[A-Z][a-z0-9]*", method)).capitalize() or method


def _detail(text: str) -> dict[str, Any]:
    found = json.loads(text)
    return found if isinstance(found, dict) else {"detail": found}


def _lines(detail: Mapping[str, Any], before: Mapping[str, Any], zone: str) -> tuple[Line, ...]:
    pairs: list[tuple[str, Any, Any, bool]] = []
    for name, value in detail.items():
        if name.startswith("old_") and f"new_{name[4:]}" in detail:
            pairs.append((name[4:], value, detail[f"new_{name[4:]}"], True))
        elif name.endswith("_before") and name.removesuffix("_before") in detail:
            now = detail[name.removesuffix("_before")]
            pairs.append((name.removesuffix("_before"), value, now, value is not None))
        elif name.startswith("new_") and f"old_{name[4:]}" in detail:
            continue
        elif f"{name}_before" not in detail:
            known = name in before and name not in _NO_CHANGE
            if value in ("", None, []) and not known:
                continue  # nothing was said of it
            pairs.append((name, before.get(name), value, known))
    return tuple(
        Line(_name(name), _value(name, was, zone) if known else "", _value(name, now, zone))
        for name, was, now, known in pairs
        if not known or was != now
    )


def _name(name: str) -> str:
    for unit in ("_nano_usd", "_pico_usd", "_unix_ms", "_ppm", "_ms"):
        name = name.removesuffix(unit)
    return name.replace("_", " ")


def _value(name: str, value: Any, zone: str) -> str:
    if value is None or value in ("", []):
        return _NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        word = _rate if name == "rates_pico_usd" else str
        return ", ".join(map(word, value))
    if isinstance(value, int):
        return _quantity(name, value, zone)
    if name.endswith("_nano_usd") and re.fullmatch(r"-?\d+", str(value)):
        return formatting.usd_exact(int(value))
    return str(value)


def _quantity(name: str, value: int, zone: str) -> str:
    if name.endswith("_nano_usd"):
        return formatting.usd_exact(value)
    if name.endswith("_unix_ms"):
        return formatting.instant(value, zone) if value else _NONE
    if name.endswith("_ppm"):
        return f"{value // 10_000}.{value % 10_000:04}".rstrip("0").rstrip(".") + "%"
    if name.endswith("_ms"):
        return _length(value)
    return formatting.count(value)


def _rate(told: Any) -> str:
    """A rate as the price book writes it into the trail: [variant/]above_input:kind=pico_usd."""
    parts = re.fullmatch(r"(?:(.+)/)?(\d+):([^:=]+)=(\d+)", str(told))
    if parts is None:
        return str(told)
    variant, above, kind, rate_pico_usd = parts.groups()
    cost = f"{kind} {pico_to_usd_per_million(int(rate_pico_usd))} a million"
    cliff = f" above {formatting.count(int(above))}" if int(above) else ""
    return f"{cost}{cliff} ({variant})" if variant else f"{cost}{cliff}"


def _length(length_ms: int) -> str:
    """A length of time in the largest unit that leaves no rest."""
    units = ((86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second"))
    for unit_ms, word in units:
        if length_ms and length_ms % unit_ms == 0:
            return formatting.plural(length_ms // unit_ms, word)
    return f"{formatting.count(length_ms)} ms"
