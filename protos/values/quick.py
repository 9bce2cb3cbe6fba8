"""Frozen values that are cheap to make, for those that every call makes anew.

`@dataclass(frozen=True)` sets each field through `object.__setattr__`: a value of a dozen fields
takes three times as long to make as one that is not frozen, and a call through a sidecar makes a
dozen such values. Under `@quick` the type checker still holds them frozen, and so does every
reader; only the interpreter does not. They compare, hash, print and are replaced as before.
"""

from dataclasses import MISSING, field, fields, make_dataclass
from typing import Any, TypeVar

T = TypeVar("T")


def quick(made: type[T]) -> type[T]:
    """Let a frozen dataclass set its fields plainly; it stands above `@dataclass`."""
    assert not hasattr(made, "__post_init__"), "it would not be called any more"
    plain = make_dataclass(
        made.__name__,
        [(each.name, each.type, _as_it_was(each)) for each in fields(made)],  # type: ignore[arg-type]  # it is one
    )
    made.__init__ = plain.__init__  # type: ignore[method-assign, misc]  # the same parameters
    for guard in ("__setattr__", "__delattr__"):
        delattr(made, guard)
    return made


def _as_it_was(each: Any) -> Any:
    if each.default_factory is not MISSING:
        return field(default_factory=each.default_factory, kw_only=each.kw_only)
    return field(default=each.default, kw_only=each.kw_only)
