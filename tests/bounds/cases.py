"""A case: one request, where it goes, and every version of the price that its model has."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sidecar.http.surfaces import Surface

Rates = Mapping[str, int]
"""Pico-dollars per unit, by the ledger's name of the kind."""
Tiers = tuple[tuple[int, Rates], ...]
"""Each with the tokens of prompt above which it holds, rising from 0."""


@dataclass(frozen=True, slots=True)
class Version:
    """A price as the truth knows it: plain numbers, none of the product's types."""

    from_ms: int
    """When it comes into force, from the start of the call."""
    window: int
    writes: int
    """Tokens that one answer has at most."""
    tiers: Tiers
    variants: Mapping[str, Tiers]
    writes_cache_unasked: bool = False
    normalises: bool = False


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a form."""

    field: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Case:
    """One request."""

    label: str
    """What kind of request it is, for the count."""
    surface: Surface
    dialect: str
    """The provider's name, as the table of dialects has it."""
    model: str
    value: Mapping[str, Any]
    """Its JSON, or the texts of its form."""
    versions: tuple[Version, ...]
    files: tuple[Upload, ...] = ()
    escaped: bool = False
    """Whether its JSON escapes what is not ASCII."""
    clamp: int | None = None
    """The limit that admission puts on it, if its caller set none."""
