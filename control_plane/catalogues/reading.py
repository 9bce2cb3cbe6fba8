"""Reads the catalogues for the providers that somebody asks about."""

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Final

from control_plane.catalogues import litellm
from control_plane.core import fields
from control_plane.core.offers import Catalogue

_IDS: Final[Mapping[str, tuple[str, str]]] = {
    "gemini": ("google", "gemini"),
    "google": ("google", "gemini"),
    "xai": ("x-ai", "xai"),
    "x-ai": ("x-ai", "xai"),
    "moonshot": ("moonshotai", "moonshot"),
    "together": ("together", "together_ai"),
    "fireworks": ("fireworks", "fireworks_ai"),
}
"""What the catalogues call a provider that they do not call as we do: the dated one, the table."""


def sources(litellm_gzip: bytes) -> list[str]:
    """What is read, with versions."""
    table = litellm.GIVEN_SOURCE if litellm_gzip else litellm.SHIPPED_SOURCE
    return [f"genai-prices {version('genai-prices')}", table]


def read(
    providers: Iterable[str], litellm_gzip: bytes, now_unix_ms: int, *, named: bool
) -> dict[str, Catalogue]:
    """What the catalogues say of each provider. It takes a second or two.

    A provider that they do not know is passed over, or refused when it was named.
    """
    from control_plane.catalogues import genai  # noqa: PLC0415 - loads pydantic; few ever ask

    table = litellm.given(litellm_gzip) if litellm_gzip else litellm.shipped()
    found: dict[str, Catalogue] = {}
    for provider in providers:
        dated, undated = _IDS.get(provider, (provider, provider))
        entries = genai.entries(dated, now_unix_ms)
        if entries:
            found[provider] = Catalogue(entries, litellm.listings(table, undated))
        elif named:
            raise fields.invalid("providers", f"no catalogue knows {provider!r}")
    if not found:
        raise fields.invalid(
            "providers", "no catalogue knows a provider that calls may be sent to: name one"
        )
    return found
