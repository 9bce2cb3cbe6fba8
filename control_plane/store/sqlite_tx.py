"""One transaction on a connection to SQLite: its statements, its savepoints, what its errors mean.

Where a transaction begins and ends is decided in sqlite.py.
"""

import sqlite3
from collections.abc import Sequence
from typing import cast

from sqlite_utils import Database

from control_plane import limits
from control_plane.store import dialect, watermark
from control_plane.store.engine import (
    NO_PARAMS,
    ConflictError,
    Params,
    QueryError,
    Row,
    Value,
)
from control_plane.store.watermark_file import WatermarkFile

_DIALECT = dialect.Sqlite()


class SqliteTx:
    """One transaction on a connection; the connection's transaction is handled outside."""

    def __init__(self, database: Database, second_place: WatermarkFile | None = None) -> None:
        self._database = database
        self._connection = database.conn
        self._watermark = second_place or watermark.none_here()

    @property
    def watermark(self) -> WatermarkFile:
        return self._watermark

    @property
    def dialect(self) -> dialect.Dialect:
        return _DIALECT

    @property
    def rows_changed(self) -> int:
        return self._connection.total_changes

    def rows(self, sql: str, params: Params = NO_PARAMS) -> Sequence[Row]:
        try:
            cursor = self._connection.execute(sql, cast("dict[str, Value]", params))
            found = cursor.fetchmany(limits.READ_ROWS_MAX + 1)
        except sqlite3.Error as error:
            _tell_apart(error)
            raise
        if len(found) > limits.READ_ROWS_MAX:
            raise QueryError(f"a query returned more than {limits.READ_ROWS_MAX} rows: page it")
        return found

    def row(self, sql: str, params: Params = NO_PARAMS) -> Row | None:
        try:
            found = self._connection.execute(sql, cast("dict[str, Value]", params)).fetchmany(2)
        except sqlite3.Error as error:
            _tell_apart(error)
            raise
        if len(found) > 1:
            raise QueryError("a query for one row found several")
        return cast(Row, found[0]) if found else None

    def run(self, sql: str, params: Params = NO_PARAMS) -> int:
        try:
            return self._connection.execute(sql, cast("dict[str, Value]", params)).rowcount
        except sqlite3.Error as error:
            _tell_apart(error)
            raise

    def many(self, sql: str, params: Sequence[Params]) -> int:
        if not params:
            return 0
        try:
            return self._connection.executemany(sql, params).rowcount
        except sqlite3.Error as error:
            _tell_apart(error)
            raise

    def savepoint(self) -> "_Savepoint":
        assert self._connection.in_transaction, "a savepoint lives inside a transaction"
        return _Savepoint(self._connection, self._watermark)


class _Savepoint:
    """What is done within is undone when something is raised.

    All have one name, of which SQLite takes the innermost. sqlite-utils gives each a new name, so
    that each is a statement to be compiled, and pushes one out of the statement cache.
    """

    def __init__(self, connection: sqlite3.Connection, second_place: WatermarkFile) -> None:
        self._connection = connection
        self._watermark = second_place
        self._begun = second_place.begun

    def __enter__(self) -> None:
        """Begin."""
        self._connection.execute("SAVEPOINT inner")

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None and self._watermark.begun is not self._begun:
            self._watermark.withdraw()
        # An error such as a full disk may have ended the whole transaction.
        if error is not None and self._connection.in_transaction:
            self._connection.execute("ROLLBACK TO SAVEPOINT inner")
            self._connection.execute("RELEASE SAVEPOINT inner")
        elif error is None:
            self._connection.execute("RELEASE SAVEPOINT inner")


def _tell_apart(error: sqlite3.Error) -> None:
    """Raise what refused data and wrong statements are; a failing database is none of them."""
    if isinstance(error, sqlite3.IntegrityError):
        raise ConflictError(str(error)) from error
    if isinstance(error, (sqlite3.ProgrammingError, sqlite3.InterfaceError)):
        raise QueryError(str(error)) from error
    if isinstance(error, sqlite3.OperationalError) and primary_code(error) == sqlite3.SQLITE_ERROR:
        raise QueryError(str(error)) from error


def primary_code(error: BaseException) -> int | None:
    """SQLite's primary result code of an error; None when it is not SQLite's."""
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None
