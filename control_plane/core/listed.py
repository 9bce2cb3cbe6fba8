"""Which part of a list is shown that is put in order anew each time it is looked at.

A page of it is named by its number: clients change places by what they spend, so no row is a place
to go on from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from control_plane import limits

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of a list."""

    page: int
    """From 1 on; 0 where the list is not cut."""
    count: int
    """Rows of the list."""

    @staticmethod
    def of(page: int, count: int) -> "Listed":
        """A page of so many rows; the last one where there are fewer pages."""
        return Listed(min(page, max(1, -(-count // limits.DESK_ROWS))), count)

    @property
    def first(self) -> int:
        """The number of its first row, from 1 on."""
        return max(0, self.page - 1) * limits.DESK_ROWS + 1

    @property
    def last(self) -> int:
        """The number of its last row."""
        return min(self.count, self.page * limits.DESK_ROWS) if self.page else self.count

    @property
    def before(self) -> int:
        """The page before; 0 for none."""
        return max(0, self.page - 1)

    @property
    def after(self) -> int:
        """The page after; 0 for none."""
        return self.page + 1 if self.last < self.count else 0

    def cut(self, rows: Sequence[T]) -> Sequence[T]:
        """Of all rows those of the page."""
        return rows[self.first - 1 : self.last]
