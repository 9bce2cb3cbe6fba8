"""The steps from an empty file to the schema that this program expects.

A step is a module of `control_plane.store.migrations` named m0001_…, with STATEMENTS: SQL in the
shared subset, written with BIGINT, TEXT and BLOB. Steps are applied in the order of their names,
each in a transaction of its own, under the lock that keeps other processes out.
"""

import importlib
import pkgutil
import re
from dataclasses import dataclass

from control_plane.store import migrations

_STEP = re.compile(r"m\d{4}_[a-z0-9_]+\Z")


@dataclass(frozen=True, slots=True)
class Step:
    """One numbered step."""

    name: str
    """The module's name, such as m0001_leasing."""
    statements: tuple[str, ...]
    """SQL in the shared subset."""


def steps() -> tuple[Step, ...]:
    """All steps, first to last; the numbers have no gap."""
    names = sorted(module.name for module in pkgutil.iter_modules(migrations.__path__))
    found = []
    for name in names:
        assert _STEP.match(name), f"{name} is no name for a migration"
        module = importlib.import_module(f"{migrations.__name__}.{name}")
        found.append(Step(name, tuple(module.STATEMENTS)))
    assert [int(step.name[1:5]) for step in found] == list(range(1, len(found) + 1))
    return tuple(found)
