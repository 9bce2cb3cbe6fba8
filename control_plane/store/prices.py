"""Price books in the database."""

import json
from collections.abc import Iterable, Mapping

from control_plane.core.pages import Slice
from control_plane.core.prices import Price
from control_plane.store.engine import Row, Tx
from protos.values.rates import ModelPrice, Tier, Variant


def insert(tx: Tx, price: Price, now_unix_ms: int) -> None:
    """Add a price."""
    of = price.model_price
    tx.run(
        """INSERT INTO price (provider, model, valid_from_unix_ms, version, aliases,
             input_max_count, output_max_count, tiers, cache_write_implicit, expands_text,
             hides_reasoning, source, created_unix_ms, variants)
           VALUES (:provider, :model, :valid_from, :version, :aliases, :input_max, :output_max,
             :tiers, :cache_write_implicit, :expands_text, :hides_reasoning, :source, :created,
             :variants)""",
        {
            "provider": of.provider,
            "model": of.model,
            "valid_from": price.valid_from_unix_ms,
            "version": of.version,
            "aliases": json.dumps(of.aliases),
            "input_max": of.input_max,
            "output_max": of.output_max,
            "tiers": json.dumps(_from_tiers(of.tiers)),
            "cache_write_implicit": int(of.cache_write_implicit),
            "expands_text": int(of.expands_text),
            "hides_reasoning": int(of.hides_reasoning),
            "source": price.source,
            "created": now_unix_ms,
            "variants": json.dumps(
                [[variant.name, _from_tiers(variant.tiers)] for variant in of.variants]
            ),
        },
    )


def everything(tx: Tx, *, provider: str = "") -> list[Price]:
    """All prices, replaced ones too, in order."""
    rows = tx.rows(
        """SELECT * FROM price WHERE :provider = '' OR provider = :provider
           ORDER BY provider, model, valid_from_unix_ms, version""",
        {"provider": provider},
    )
    return [_from_row(row) for row in rows]


def page(
    tx: Tx, asked: Slice, *, provider: str, show_history: bool, now_unix_ms: int
) -> list[Price]:
    """Prices by model; without history those in force and those to come."""
    after = asked.after or ("", "", 0, "")
    rows = tx.rows(
        """SELECT * FROM price
           WHERE (:provider = '' OR provider = :provider)
             AND (provider, model, valid_from_unix_ms, version) > (:p, :m, :at, :v)
             AND (:history = 1 OR NOT EXISTS (
               SELECT 1 FROM price AS later
               WHERE later.provider = price.provider AND later.model = price.model
                 AND later.valid_from_unix_ms <= :now
                 AND (later.valid_from_unix_ms, later.version)
                   > (price.valid_from_unix_ms, price.version)))
           ORDER BY provider, model, valid_from_unix_ms, version LIMIT :limit""",
        {
            "provider": provider,
            "history": int(show_history),
            "now": now_unix_ms,
            "p": after[0],
            "m": after[1],
            "at": after[2],
            "v": after[3],
            "limit": asked.limit,
        },
    )
    return [_from_row(row) for row in rows]


def of_version(tx: Tx, provider: str, version: str) -> ModelPrice | None:
    """The price of a version; None when there is none."""
    row = tx.row(
        "SELECT * FROM price WHERE provider = :provider AND version = :version LIMIT 1",
        {"provider": provider, "version": version},
    )
    return _from_row(row).model_price if row is not None else None


def count(tx: Tx) -> int:
    """How many prices there are."""
    row = tx.row("SELECT count(*) AS n FROM price")
    assert row is not None
    return int(row["n"])


_Tiers = list[tuple[int, Mapping[str, int]]]


def _from_tiers(tiers: Iterable[Tier]) -> _Tiers:
    return [(tier.above_input, dict(sorted(tier.rates_pico_usd.items()))) for tier in tiers]


def _to_tiers(stored: _Tiers) -> tuple[Tier, ...]:
    return tuple(Tier(above_input, rates) for above_input, rates in stored)


def _from_row(row: Row) -> Price:
    variants: list[tuple[str, _Tiers]] = json.loads(row["variants"])
    return Price(
        ModelPrice(
            provider=row["provider"],
            model=row["model"],
            aliases=tuple(json.loads(row["aliases"])),
            input_max=row["input_max_count"],
            output_max=row["output_max_count"],
            tiers=_to_tiers(json.loads(row["tiers"])),
            version=row["version"],
            cache_write_implicit=bool(row["cache_write_implicit"]),
            expands_text=bool(row["expands_text"]),
            hides_reasoning=bool(row["hides_reasoning"]),
            variants=tuple(Variant(name, _to_tiers(tiers)) for name, tiers in variants),
        ),
        valid_from_unix_ms=row["valid_from_unix_ms"],
        source=row["source"],
    )
