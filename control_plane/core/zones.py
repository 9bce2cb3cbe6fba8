"""Time zones from the pinned `tzdata` package, never from the host.

The rules of a zone decide when a client's money turns, so two hosts, or one host before and after
an update of its operating system, must not disagree about them. The package's files are read
directly: `zoneinfo`'s own search path is global state that anything else in the process may set.
"""

from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

from control_plane import limits
from protos.values.errors import InvalidArgumentError


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Every name that the pinned package knows."""
    listed = resources.files("tzdata").joinpath("zones").read_text(encoding="ascii")
    return frozenset(listed.split())


@lru_cache(maxsize=limits.CACHED_ZONES_MAX)
def load_zone(name: str) -> ZoneInfo:
    """The rules of a zone such as "Europe/Berlin". Raises KeyError for a name that is unknown."""
    if name not in zone_names():
        raise KeyError(name)
    path = resources.files("tzdata.zoneinfo").joinpath(*name.split("/"))
    with path.open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def check_zone(name: str, field: str) -> str:
    """The name itself, when it is a zone; else InvalidArgumentError naming the field."""
    if len(name) > limits.ZONE_CHARACTERS_MAX or name not in zone_names():
        shown = name[: limits.ZONE_CHARACTERS_MAX]
        raise InvalidArgumentError(
            f"{shown!r} is not a time zone: use an IANA name such as Europe/Berlin or UTC",
            field=field,
        )
    return name
