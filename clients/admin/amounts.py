"""Amounts as callers give them: dollars as text, or nano-dollars as int, but not both."""

from protos.values.errors import InvalidArgumentError
from protos.values.money import usd_to_nano


def cap_from_caller(cap_usd: str | None, cap_nano_usd: int | None) -> int | None:
    """The cap in nano-dollars; None for no cap. Raises InvalidArgumentError."""
    if cap_usd is not None and cap_nano_usd is not None:
        raise InvalidArgumentError("give cap_usd or cap_nano_usd, not both", field="cap_nano_usd")
    if cap_usd is None:
        return cap_nano_usd
    try:
        return usd_to_nano(cap_usd)
    except ValueError as error:
        raise InvalidArgumentError(str(error), field="cap_usd") from None
