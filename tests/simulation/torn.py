"""Transactions that go wrong: cut short in the middle, or deciding on something that is old."""

import random
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, cast

from control_plane.store.dialect import Dialect
from control_plane.store.engine import NO_PARAMS, Params, Row, Tx


class KilledError(Exception):
    """The process ended in the middle of what it did."""


class _Passing:
    """A transaction that passes everything on."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    @property
    def dialect(self) -> Dialect:
        return self._tx.dialect

    @property
    def rows_changed(self) -> int:
        return self._tx.rows_changed

    def rows(self, sql: str, params: Params = NO_PARAMS) -> Sequence[Row]:
        return self._tx.rows(sql, params)

    def row(self, sql: str, params: Params = NO_PARAMS) -> Row | None:
        return self._tx.row(sql, params)

    def run(self, sql: str, params: Params = NO_PARAMS) -> int:
        return self._tx.run(sql, params)

    def many(self, sql: str, params: Sequence[Params]) -> int:
        return self._tx.many(sql, params)

    def savepoint(self) -> AbstractContextManager[None]:
        return self._tx.savepoint()


class TornTx(_Passing):
    """Ends the process at a change of the database, counted from the first."""

    def __init__(self, tx: Tx, changes: int) -> None:
        super().__init__(tx)
        self._left = changes

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise KilledError

    def run(self, sql: str, params: Params = NO_PARAMS) -> int:
        self._count()
        return self._tx.run(sql, params)

    def many(self, sql: str, params: Sequence[Params]) -> int:
        self._count()
        return self._tx.many(sql, params)


class FullTx(_Passing):
    """Finds no room at one change of the database, and room again at the next.

    Which one: counted from the first, or the first that moves a sidecar's cursor.
    """

    def __init__(self, tx: Tx, changes: int | None) -> None:
        super().__init__(tx)
        self._left = changes

    def _find_room(self, sql: str) -> None:
        if self._left is None:
            full = sql.startswith("UPDATE cursor")
            self._left = -1 if full else None
        else:
            full = self._left == 0
            self._left -= 1
        if full:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

    def run(self, sql: str, params: Params = NO_PARAMS) -> int:
        self._find_room(sql)
        return self._tx.run(sql, params)

    def many(self, sql: str, params: Sequence[Params]) -> int:
        self._find_room(sql)
        return self._tx.many(sql, params)


class StaleTx(_Passing):
    """Reads periods as if less were allocated, as where another instance wrote meanwhile.

    A decision that rests on something old may cost a grant, and never a cap: what is read here is
    old, and what is written is conditional all the same.
    """

    def __init__(self, tx: Tx, chance: random.Random) -> None:
        super().__init__(tx)
        self._chance = chance
        self.granting = True
        """Until the first grant: what is answered afterwards is read as it is."""

    def row(self, sql: str, params: Params = NO_PARAMS) -> Row | None:
        self._look_for_grant(sql)
        found = self._tx.row(sql, params)
        if found is None or not self.granting or not sql.startswith("SELECT * FROM period"):
            return found
        return self._older(found)

    def rows(self, sql: str, params: Params = NO_PARAMS) -> Sequence[Row]:
        found = self._tx.rows(sql, params)
        if not self.granting or not sql.startswith("SELECT p.* FROM lease l JOIN period p"):
            return found
        return [self._older(row) for row in found]

    def _older(self, found: Row) -> Row:
        told = {name: found[name] for name in found.keys()}  # noqa: SIM118 - a row is no mapping
        spare = told["allocated_nano_usd"] - told["spent_nano_usd"] - told["orphan_hold_nano_usd"]
        if spare > 0 and self._chance.random() < 0.5:
            told["allocated_nano_usd"] -= self._chance.randint(0, spare)
        return cast(Row, told)

    def run(self, sql: str, params: Params = NO_PARAMS) -> int:
        self._look_for_grant(sql)
        return self._tx.run(sql, params)

    def _look_for_grant(self, sql: str) -> None:
        if "granted_total_nano_usd = granted_total_nano_usd +" in sql:
            self.granting = False


Wrap = Callable[[Tx], Tx]
