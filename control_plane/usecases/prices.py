"""Price books: the one that came with the software, and what operators set."""

from collections.abc import Iterable
from dataclasses import replace

from control_plane import limits
from control_plane.core import fields, pages
from control_plane.core.built_in_prices import BOOK
from control_plane.core.pages import Asked, Page
from control_plane.core.prices import (
    BUILT_IN,
    OPERATOR,
    Price,
    check_names_free,
    check_price,
    in_force,
)
from control_plane.core.windows import INSTANT_MAX_UNIX_MS
from control_plane.store import policy
from control_plane.store import prices as store
from control_plane.store.engine import Tx
from control_plane.usecases.acts import Act, record
from protos.values import ids
from protos.values.errors import LimitExceededError
from protos.values.rates import ModelPrice


def list_prices(
    tx: Tx, asked: Asked, *, provider: str, show_history: bool, now_unix_ms: int
) -> Page[Price]:
    """The prices in force and those to come; with history also those that were replaced."""
    filters = {"list": "prices", "provider": provider, "history": str(show_history)}
    wanted = pages.begin(asked, filters, (str, str, int, str))
    rows = store.page(
        tx, wanted, provider=provider, show_history=show_history, now_unix_ms=now_unix_ms
    )
    return pages.finish(rows, wanted, filters, lambda row: (*row.name, *row.order))


def set_price(
    tx: Tx, price: ModelPrice, valid_from_unix_ms: int | None, reason: str, act: Act
) -> Price:
    """Set the price of one model, from now or from a later instant on."""
    fields.check_reason(reason)
    others = store.everything(tx, provider=price.provider)
    return place(tx, price, valid_from_unix_ms, others, reason, act, source=OPERATOR)


def place(
    tx: Tx,
    price: ModelPrice,
    valid_from_unix_ms: int | None,
    others: Iterable[Price],
    reason: str,
    act: Act,
    *,
    source: str,
) -> Price:
    """Put a price into the book, from now or from a later instant on, with its audit entry.

    `others` are all prices of its provider.
    """
    check_price(price)
    begins = act.now_unix_ms if valid_from_unix_ms is None else valid_from_unix_ms
    if not act.now_unix_ms <= begins < INSTANT_MAX_UNIX_MS:
        raise fields.invalid(
            "price.valid_from_time",
            "lies in the past: calls of the past were charged. Leave it away for now",
        )
    check_names_free(price, others)
    if store.count(tx) >= limits.PRICES_MAX:
        raise LimitExceededError(
            f"there are {limits.PRICES_MAX} prices, which is all that fit",
            limit=str(limits.PRICES_MAX),
        )
    version = act.id(ids.PRICE_BOOK)
    placed = Price(replace(price, version=version), begins, source)
    store.insert(tx, placed, act.now_unix_ms)
    policy.bump(tx)
    record(
        tx,
        act,
        f"{price.provider}/{price.model}",
        version=version,
        valid_from_unix_ms=begins,
        rates_pico_usd=[
            f"{name}{tier.above_input}:{kind}={rate_pico_usd}"
            for name, tiers in (
                ("", price.tiers),
                *((f"{v.name}/", v.tiers) for v in price.variants),
            )
            for tier in tiers
            for kind, rate_pico_usd in sorted(tier.rates_pico_usd.items())
        ],
        source=source,
        reason=reason,
    )
    return placed


def install_built_in(tx: Tx, now_unix_ms: int, book: Iterable[ModelPrice] = BOOK) -> int:
    """Bring the price book that came with the software; how many prices are new.

    A price that an operator set stays in force. What a newer software says of a model whose price
    is still the built-in one holds from now on.
    """
    known = store.everything(tx)
    current = in_force(known, now_unix_ms)
    added = 0
    for price in book:
        before = current.get((price.provider, price.model))
        begins = 0
        if before is not None:
            same = replace(before.model_price, version=price.version) == price
            if before.source != BUILT_IN or same:
                continue
            begins = now_unix_ms
        store.insert(tx, Price(price, begins, BUILT_IN), now_unix_ms)
        added += 1
    if added:
        policy.bump(tx)
    return added
