"""Makes values that cannot change of plain classes, in processes that play thousands of worlds.

A frozen dataclass sets each of its fields by a call: ten times what a plain one takes, thirty
thousand times a world. This is imported before the code that is played. Values are equal and hash
as before. Only that somebody changes one is not noticed: the worlds of `make test` are played
without this, and notice.
"""

import dataclasses
from typing import Any

_dataclass: Any = dataclasses.dataclass


def _thawed(cls: Any = None, /, **options: Any) -> Any:
    if options.pop("frozen", False):
        options["unsafe_hash"] = options.get("eq", True)
    return _dataclass(cls, **options)


dataclasses.dataclass = _thawed
