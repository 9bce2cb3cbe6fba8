"""Rows of sums that grow: their columns, and the statements that let them."""

from collections.abc import Sequence

SUMMED = (
    "call_count",
    "failed_count",
    "estimated_count",
    "input_count",
    "output_count",
    "cost_nano_usd",
    "charge_nano_usd",
    "charged_cost_nano_usd",
    "held_nano_usd",
    "held_cost_nano_usd",
)
"""The columns that are sums, in every table of them."""
_BOUNDED = ("input_count", "output_count", *(name for name in SUMMED if name.endswith("_usd")))


def upsert(table: str, key: Sequence[str], beside: Sequence[str] = ()) -> str:
    """Lets one row grow by parameters of its columns' names; `:most` is where sums stop."""
    columns = (*key, *beside, *SUMMED)
    values = ", ".join(f":{name}" for name in columns)
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values}) {_grown(table, key)}"  # noqa: S608 - names of the store's modules


def upsert_from(table: str, key: Sequence[str], source: str) -> str:
    """Lets rows grow by those of a query, which ends in WHERE or GROUP BY; `:most` as above."""
    columns = (*key, *SUMMED)
    return f"INSERT INTO {table} ({', '.join(columns)}) {source} {_grown(table, key)}"


def _grown(table: str, key: Sequence[str]) -> str:
    """Sums that could leave 64 bits stop at a bound."""
    grown = [
        f"{name} = CASE WHEN {table}.{name} > :most - excluded.{name} THEN :most "
        f"ELSE {table}.{name} + excluded.{name} END"
        if name in _BOUNDED
        else f"{name} = {table}.{name} + excluded.{name}"
        for name in SUMMED
    ]
    return f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {', '.join(grown)}"
