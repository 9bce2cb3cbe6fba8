"""What a store is: transactions of plain functions, and the ways in which one fails.

A use case is a function of a transaction. `write` runs it in a transaction of its own that is
durable before the future resolves; `read` runs it on a snapshot that cannot write. A function must
be safe to run and be rolled back: it touches nothing but its transaction and values of its own.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from control_plane.store.dialect import Dialect
from control_plane.store.watermark_file import WatermarkFile
from protos.values.errors import UnavailableError

Value = str | int | bytes | None
"""What a column holds. No floats: nothing here is measured in them."""
Params = Mapping[str, Value]
"""Values by parameter name; extra ones are allowed, missing ones are an error."""
T = TypeVar("T")

NO_PARAMS: Params = {}


class Row(Protocol):
    """One row of an answer: by column name, or in order where there are many, which is quicker."""

    def __getitem__(self, name: str, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]:
        """The values, in the order of the columns."""
        ...

    def keys(self) -> list[str]:
        """The column names."""
        ...


class Tx(Protocol):
    """One transaction."""

    @property
    def dialect(self) -> Dialect:
        """What the database calls things."""
        ...

    @property
    def watermark(self) -> WatermarkFile:
        """The second place, which outlives a restored database."""
        ...

    @property
    def rows_changed(self) -> int:
        """How many rows were changed so far: where it is the same, what was read is so still."""
        ...

    def rows(self, sql: str, params: Params = NO_PARAMS) -> Sequence[Row]:
        """All rows of a query, bounded by limits.READ_ROWS_MAX."""
        ...

    def row(self, sql: str, params: Params = NO_PARAMS) -> Row | None:
        """The only row of a query, or None."""
        ...

    def run(self, sql: str, params: Params = NO_PARAMS) -> int:
        """Change rows; how many were changed."""
        ...

    def many(self, sql: str, params: Sequence[Params]) -> int:
        """Run one statement for each of the parameters; how many rows were changed in all."""
        ...

    def savepoint(self) -> AbstractContextManager[None]:
        """A part that is undone as a whole when an exception leaves it."""
        ...


class Store(Protocol):
    """A database that runs functions of a transaction."""

    def write(self, fn: Callable[[Tx], T]) -> Future[T]:
        """Run in a writing transaction; the future resolves after its COMMIT is durable."""
        ...

    def read(self, fn: Callable[[Tx], T]) -> Future[T]:
        """Run on a consistent snapshot; limited in time."""
        ...

    def backup(self, target: Path) -> Future[int]:
        """Copy the whole database to a new file, while it is used; how many bytes it has."""
        ...

    def close(self) -> None:
        """Finish what was accepted, then close. Accepts nothing more."""
        ...


class ConflictError(Exception):
    """A constraint of the schema refused a change: a key that exists, or a money truth."""


class QueryError(Exception):
    """A statement is wrong: our mistake, not the world's."""


class StoreClosedError(UnavailableError):
    """The store takes nothing more: it is closed, or an I/O error made it unsafe to go on."""


class StoreBusyError(UnavailableError):
    """Too much waits for the store already."""


class StoreFullError(UnavailableError):
    """There is no room on the disk. Nothing was written, and nothing that was written is lost."""


class ReadTooLongError(UnavailableError):
    """A read was interrupted at its time limit: ask for less."""


class StoreOpenError(Exception):
    """The data folder cannot be used; the message says what to do."""
