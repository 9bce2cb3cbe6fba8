"""When the price book no longer says what a provider charges, and how often that is told.

Two signs: a provider tells in money what a call cost, and the price book makes something else of
the same tokens; or a model answers that the price book does not know. Neither changes what a call
is charged: what is told in money is charged as it is told, and an unknown model by the price of the
one that was asked for. So somebody has to look.
"""

from collections import OrderedDict
from collections.abc import Hashable

PRICE_DRIFT = "price_drift"
"""What a call's record says when the money that was told is not the price book's."""
UNPRICED_MODEL = "unpriced_model"
"""What it says when the model that answered has no price."""
UNPRICED_USAGE = "unpriced_usage"
"""What it says when something was used that has none."""
THRESHOLD_PERCENT = 5
"""A difference up to this is no drift: fees of a gateway, or a price that changes in the call."""
LEAST_NANO_USD = 1_000
"""Nor is one of less than a millionth of a dollar: sums are rounded in other places."""
TOLD_AGAIN_MS = 3_600_000
"""The same alarm is raised once in so long."""
REMEMBERED_MAX = 256
"""Alarms that are remembered; of more the oldest may be raised again."""


def drifts(told_nano_usd: int, book_nano_usd: int) -> bool:
    """Whether what was told differs from what the price book says by more than is usual."""
    difference = abs(told_nano_usd - book_nano_usd)
    return difference >= LEAST_NANO_USD and difference * 100 > book_nano_usd * THRESHOLD_PERCENT


def ratio_text(told_nano_usd: int, book_nano_usd: int) -> str:
    """How many times the price book's sum was told, cut to hundredths."""
    if not book_nano_usd:
        return "something, and not"
    whole, hundredths = divmod(100 * told_nano_usd // book_nano_usd, 100)
    return f"{whole}.{hundredths:02d} times"


class Alarms:
    """Which alarms were raised lately."""

    def __init__(self) -> None:
        """Begin with none."""
        self._raised: OrderedDict[Hashable, int] = OrderedDict()

    def due(self, what: Hashable, boot_ms: int) -> bool:
        """Whether an alarm is to be raised now; then it counts as raised."""
        last = self._raised.get(what)
        if last is not None and boot_ms - last < TOLD_AGAIN_MS:
            return False
        self._raised[what] = boot_ms
        self._raised.move_to_end(what)
        if len(self._raised) > REMEMBERED_MAX:
            self._raised.popitem(last=False)
        return True
