"""Which cap to propose when one is to be raised."""

from typing import Final

from protos.values.money import NANO_PER_USD

_CENT: Final = NANO_PER_USD // 100
_FIRST_NANO_USD: Final = 10 * NANO_PER_USD
"""What is proposed where the cap is nothing: there is no share of nothing."""
_STEPS_CENTS: Final = sorted(
    {part * 10**power for power in range(11) for part in (1, 5, 25)}  # 25 is 2.5 of the next ten
)
"""1, 5, 10, 25, 50, 100, 250 … cents: what people call round."""
_PARTS: Final = 20
"""A step is at most one part in so many of what is wanted, so that rounding up adds little."""


def proposed_cap_nano_usd(cap_nano_usd: int, spent_nano_usd: int, forecast_nano_usd: int) -> int:
    """The smallest round amount that lasts: a quarter above the cap, a tenth above the forecast.

    `forecast_nano_usd` is 0 where nothing is forecast. What is spent already counts as a forecast.
    """
    assert cap_nano_usd >= 0
    expected = max(spent_nano_usd, forecast_nano_usd)
    wanted = max(-(-cap_nano_usd * 5 // 4), -(-expected * 11 // 10)) or _FIRST_NANO_USD
    step = _step_nano_usd(wanted)
    return -(-wanted // step) * step


def _step_nano_usd(wanted_nano_usd: int) -> int:
    """The largest round step that is a small part of the amount; never below a cent."""
    most = wanted_nano_usd // _PARTS // _CENT
    return max((step for step in _STEPS_CENTS if step <= most), default=1) * _CENT
