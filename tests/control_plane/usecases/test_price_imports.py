"""Prices from catalogues: shown first, accepted by a person or a rule, and never twice."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from control_plane.core.offers import Catalogue, Entry, Listing, Offer
from control_plane.core.prices import Price
from control_plane.core.proposals import Effect
from control_plane.usecases import price_imports
from control_plane.usecases.price_imports import Proposal
from protos.values import quantities as kinds
from protos.values.errors import FailedPreconditionError
from protos.values.rates import Tier
from tests.control_plane.desk import HOUR_MS, Desk
from tests.control_plane.usecases.test_prices import listed, price, put


def tiers(rate: int) -> tuple[Tier, ...]:
    return (Tier(0, {kinds.INPUT: rate, kinds.OUTPUT: 2 * rate}),)


def catalogue(model: str = "house-model", *rates: int, later: int = 0) -> dict[str, Catalogue]:
    offers = tuple(
        Offer(later if number else 0, tiers(rate), {}) for number, rate in enumerate(rates)
    )
    entry = Entry(model, True, (), lambda name: name == model, False, 0, offers)
    return {"openai": Catalogue([entry], {model: Listing(1_000, 100, False, (), {})})}


def proposed(desk: Desk, said: dict[str, Catalogue], models: Sequence[str] = ()) -> Proposal:
    return desk.read(lambda tx: price_imports.query_price_changes(tx, said, models, desk.now))


def accepted(
    desk: Desk,
    said: dict[str, Catalogue],
    models: Sequence[str] = (),
    *,
    dearer_only: bool = False,
    digest: str = "",
) -> list[Price]:
    digest = digest or proposed(desk, said, models).digest
    return desk.do(
        lambda tx, act: price_imports.accept_prices(
            tx, said, models, digest=digest, dearer_only=dearer_only, reason="monthly", act=act
        )
    )


def test_what_is_shown_is_what_is_set_and_then_nothing_is_left(desk: Desk) -> None:
    said = catalogue("house-model", 1_000, 5_000, later=desk.now + HOUR_MS)
    shown = proposed(desk, said)
    assert [change.effect for change in shown.changes] == [Effect.NEW, Effect.DEARER]
    now, later = accepted(desk, said)
    assert '"source": "import"' in desk.last_entry().detail_json
    assert listed(desk) == [now, later]
    assert (now.source, later.valid_from_unix_ms) == ("import", desk.now - 1 + HOUR_MS)
    assert now.model_price.version != later.model_price.version
    assert not proposed(desk, said).changes
    assert not accepted(desk, said)


def test_by_rule_only_what_is_dearer_is_accepted(desk: Desk) -> None:
    assert not accepted(desk, catalogue("house-model", 1_000), dearer_only=True)
    accepted(desk, catalogue("house-model", 1_000))
    assert not accepted(desk, catalogue("house-model", 900), dearer_only=True)
    [dearer] = accepted(desk, catalogue("house-model", 1_100), dearer_only=True)
    assert listed(desk) == [dearer]


def test_what_an_operator_set_is_replaced_only_by_name(desk: Desk) -> None:
    mine = put(desk, price(rate_pico_usd=10))
    said = catalogue("house-model", 1_000)
    assert not accepted(desk, said)
    assert listed(desk) == [mine]
    assert len(accepted(desk, said, ["house-model"])) == 1
    assert listed(desk) != [mine]


def test_what_changed_since_it_was_shown_is_shown_again(desk: Desk) -> None:
    digest = proposed(desk, catalogue("house-model", 1_000)).digest
    with pytest.raises(FailedPreconditionError, match="look again"):
        accepted(desk, catalogue("house-model", 999), digest=digest)
    put(desk, price(rate_pico_usd=10))
    with pytest.raises(FailedPreconditionError, match="look again"):
        accepted(desk, catalogue("house-model", 1_000), digest=digest)


def test_a_model_that_nobody_knows_is_told_by_name(desk: Desk) -> None:
    shown = proposed(desk, catalogue("house-model", 1_000), ["nobody"])
    assert not shown.changes
    assert [one.model for one in shown.left_out] == ["nobody"]


def test_what_could_not_be_applied_is_left_out(desk: Desk) -> None:
    said = catalogue("house model", 1_000)
    assert "no spaces" in proposed(desk, said).left_out[0].why
    said = catalogue("house-model", 1_000)
    [entry] = said["openai"].entries
    bad = replace(entry, offers=(Offer(0, (Tier(0, {kinds.CACHED: 1, kinds.OUTPUT: 1}),), {}),))
    shown = proposed(desk, {"openai": Catalogue([bad], said["openai"].listings)})
    assert "input is missing" in shown.left_out[0].why
