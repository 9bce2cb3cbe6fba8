"""Tells refused data, wrong statements and a failing database apart."""

import sqlite3

from control_plane.store.engine import ConflictError, QueryError

FATAL = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
    }
)
"""Errors after which nobody knows what the disk holds."""


class _Errors:
    """Tell refused data and wrong statements apart from a failing database.

    No generator: this surrounds every statement, dozens in each Sync.
    """

    def __enter__(self) -> None:
        """Nothing is kept: one serves all threads."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        if isinstance(error, sqlite3.IntegrityError):
            raise ConflictError(str(error)) from error
        if isinstance(error, (sqlite3.ProgrammingError, sqlite3.InterfaceError)):
            raise QueryError(str(error)) from error
        if (
            isinstance(error, sqlite3.OperationalError)
            and primary_code(error) == sqlite3.SQLITE_ERROR
        ):
            raise QueryError(str(error)) from error


ERRORS = _Errors()


def primary_code(error: BaseException) -> int | None:
    """What SQLite calls an error; None for an error that is not one of its own."""
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None
