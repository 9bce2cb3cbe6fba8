"""Where a call goes that asks for a name: values and pure decisions.

A target is a model at a provider. A name that has a route goes to the first of its targets that can
be used; what its caller wrote stays with the call as its alias.
"""

from dataclasses import dataclass
from typing import Final

NOT_ROUTED: Final = ""
"""The call went to the model that it named."""
ALIAS: Final = "alias"
"""It named an alias of the agency's own."""


@dataclass(frozen=True, slots=True)
class Target:
    """A model at a provider."""

    provider: str
    model: str
    """As the provider is asked for it: an id, an alias of a price, or a deployment."""


@dataclass(frozen=True, slots=True)
class ModelRoute:
    """Where calls go that ask for a name. All targets speak one API."""

    project_id: str
    """The project that it is for; empty for all. A project's own stands above one for all."""
    name: str
    """The model that callers name."""
    targets: tuple[Target, ...]
    """Where calls go: to the first that can be used."""
