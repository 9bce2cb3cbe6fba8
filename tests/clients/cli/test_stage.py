"""Who answers calls: real providers when any has a secret, else the rehearsal."""

from datetime import UTC, datetime
from fractions import Fraction

import pytest

from clients.admin import Provider
from clients.cli.providers import REHEARSAL_SECRET, is_stand_in
from clients.cli.stage import Cast, Standing, _rehearsal_price
from clients.rehearsal import prices as rehearsal_prices
from protos.values import quantities


def provider(name: str, base_url: str, hint: str) -> Provider:
    return Provider(
        provider=name,
        family=name,
        base_url=base_url,
        secret_hint=hint,
        secret_version=1,
        update_time=datetime(2026, 1, 1, tzinfo=UTC),
        etag="1",
    )


REAL = provider("openai", "https://api.openai.com", "abcd")
STAND_IN = provider("openai", "http://127.0.0.1:7260", REHEARSAL_SECRET[-4:])
LOCAL = provider("openai", "http://127.0.0.1:11434", "xxxx")


@pytest.mark.parametrize(
    ("existing", "secret", "rehearse", "standing"),
    [
        (None, "", True, "stand-in"),
        (None, "", False, "missing"),
        (None, "sk-1", False, "real"),
        (REAL, "", True, "real"),
        (REAL, "", False, "real"),
        (STAND_IN, "", True, "stand-in"),
        (STAND_IN, "", False, "missing"),
        (STAND_IN, "sk-1", False, "real"),
        (LOCAL, "", True, "real"),
    ],
)
def test_who_answers_for_a_provider(
    existing: Provider | None, secret: str, rehearse: bool, standing: Standing
) -> None:
    chosen = Cast(
        existing={"openai": existing} if existing else {},
        secrets={"openai": secret} if secret else {},
        rehearse=rehearse,
    )
    assert chosen.standing("openai") == standing


def test_secrets_do_not_show() -> None:
    assert "sk-1" not in repr(Cast({}, {"openai": "sk-1"}, rehearse=False))


def test_a_local_model_server_is_no_stand_in() -> None:
    assert is_stand_in(STAND_IN)
    assert not is_stand_in(LOCAL)
    assert not is_stand_in(REAL)


@pytest.mark.parametrize("model", rehearsal_prices.MODELS, ids=lambda model: model.name)
def test_the_price_set_for_a_rehearsal_model_is_the_one_it_bills(
    model: rehearsal_prices.Model,
) -> None:
    price = _rehearsal_price(model)
    rates = price.tiers[0].rates_pico_usd
    assert Fraction(rates[quantities.INPUT]) == Fraction(model.input) * 10**6
    assert Fraction(rates[quantities.OUTPUT]) == Fraction(model.output) * 10**6
    assert price.output_max_count == model.max_output_tokens
