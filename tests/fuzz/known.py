"""Finds that are reported and not mended yet: an exception, and the function that it comes out of.

A find that is mended leaves this table. It is for reports only; nothing new may go in unreported.
"""

from types import TracebackType

OPEN: frozenset[tuple[str, str]] = frozenset()


def place_of(traceback: TracebackType | None) -> str:
    """The product's innermost function on the way to an exception."""
    found = ""
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if "/sidecar/" in code.co_filename and "/tests/" not in code.co_filename:
            found = code.co_name
        traceback = traceback.tb_next
    return found


def is_open(error: Exception) -> bool:
    """Whether this find is known."""
    return (type(error).__name__, place_of(error.__traceback__)) in OPEN
