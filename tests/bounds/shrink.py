"""Makes a case that breaks the bound as small as it can be while it still does."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tests.bounds.cases import Case, Version

TRIES_MAX = 4_000
Breaks = Callable[[Case], bool]


def smallest(case: Case, breaks: Breaks) -> Case:
    """The smallest case on the way down that still breaks; every step leaves something out."""
    tries = 0
    shrunk = True
    while shrunk:
        shrunk = False
        for smaller in _smaller(case):
            tries += 1
            if tries > TRIES_MAX:
                return case
            if _breaks(smaller, breaks):
                case, shrunk = smaller, True
                break
    return case


def _breaks(case: Case, breaks: Breaks) -> bool:
    try:
        return breaks(case)
    except (KeyError, IndexError, TypeError, ValueError, AssertionError):
        # It lacks what the truth or the product needs of a request.
        return False


def _smaller(case: Case) -> Iterator[Case]:
    for at in range(len(case.versions)):
        if len(case.versions) > 1:
            yield replace(case, versions=case.versions[:at] + case.versions[at + 1 :])
        for version in _smaller_versions(case.versions[at]):
            rest = (*case.versions[:at], version, *case.versions[at + 1 :])
            yield replace(case, versions=rest)
    if case.clamp is not None:
        yield replace(case, clamp=None)
    if case.escaped:
        yield replace(case, escaped=False)
    for value in _smaller_values(dict(case.value)):
        yield replace(case, value=value)


def _smaller_versions(version: Version) -> Iterator[Version]:
    for name in version.variants:
        left = {key: tiers for key, tiers in version.variants.items() if key != name}
        yield replace(version, variants=left)
    if len(version.tiers) > 1:
        yield replace(version, tiers=version.tiers[:-1])
    for at, (above, rates) in enumerate(version.tiers):
        for kind in rates:
            fewer = {key: rate for key, rate in rates.items() if key != kind}
            tiers = (*version.tiers[:at], (above, fewer), *version.tiers[at + 1 :])
            yield replace(version, tiers=tiers)


def _smaller_values(value: Any) -> Iterator[Any]:
    """Values with one thing less: a member, an item, or the half of a text."""
    if type(value) is dict:
        for name in value:
            yield {key: member for key, member in value.items() if key != name}
        for name, member in value.items():
            for less in _smaller_values(member):
                yield {**value, name: less}
    elif type(value) is list:
        for at, item in enumerate(value):
            if len(value) > 1:
                yield [*value[:at], *value[at + 1 :]]
            for less in _smaller_values(item):
                yield [*value[:at], less, *value[at + 1 :]]
    elif type(value) is str and len(value) > 1:
        yield value[: len(value) // 2]
        yield value[len(value) // 2 :]
