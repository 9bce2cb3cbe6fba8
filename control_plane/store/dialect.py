"""What differs between the databases that the one SQL runs on.

The SQL of the store keeps to what SQLite and PostgreSQL share: text ids, 64-bit integers, blobs,
`:name` parameters, ON CONFLICT DO UPDATE. Schemas are written with BIGINT, TEXT and BLOB and name
every constraint; a dialect turns them into its own words.
"""

import re
from dataclasses import dataclass
from typing import Protocol


class Dialect(Protocol):
    """One database's words."""

    @property
    def name(self) -> str:
        """The database's name."""
        ...

    @property
    def for_update(self) -> str:
        """Stands at the end of a SELECT whose rows must not change under this transaction."""
        ...

    def ddl(self, statement: str) -> str:
        """The statement of a schema in this database's words."""
        ...


_BIGINT = re.compile(r"\bBIGINT\b")
_CREATE_TABLE = re.compile(r"\s*CREATE\s+TABLE\b")


@dataclass(frozen=True, slots=True)
class Sqlite:
    """SQLite: STRICT tables; BEGIN IMMEDIATE already excludes every other writer."""

    name: str = "SQLite"
    for_update: str = ""

    def ddl(self, statement: str) -> str:
        """INTEGER is the 64-bit type of STRICT tables; WITHOUT ROWID keeps rows in their order."""
        words = _BIGINT.sub("INTEGER", statement).rstrip().rstrip(";")
        if not _CREATE_TABLE.match(words):
            return words
        return f"{words}, STRICT" if words.endswith("WITHOUT ROWID") else f"{words} STRICT"
