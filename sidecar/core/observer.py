"""Who watches what becomes of calls, for people outside; nothing here rests on it."""

from collections.abc import Mapping
from typing import Protocol

from protos.telemetry.traces import Started
from protos.values.selectors import Attributes
from sidecar.core.calls import Hold, NewCall, Settlement
from sidecar.core.instants import Now
from sidecar.core.refusals import Refusal


class Observer(Protocol):
    """Is told of each call and each refusal, as it happens; must be quick and raise nothing."""

    def begin(self, values: Mapping[bytes, bytes]) -> Started | None:
        """A call came with these headers: the span to record of it, or None."""
        ...

    def ended(self, hold: Hold, settlement: Settlement, now: Now) -> None:
        """A call that held money ended."""
        ...

    def refused(self, refusal: Refusal, attributes: Attributes) -> None:
        """A call was refused, by the proxy or by admission; unknown attributes are empty."""
        ...

    def turned_away(self, call: NewCall, refusal: Refusal, waited_ms: int, now: Now) -> None:
        """Admission refused a call of which a span is recorded."""
        ...


class Nobody:
    """Watches nothing."""

    __slots__ = ()

    def begin(self, values: Mapping[bytes, bytes]) -> Started | None:  # noqa: ARG002 - nobody looks
        """Record nothing."""
        return None

    def ended(self, hold: Hold, settlement: Settlement, now: Now) -> None:
        """Look away."""

    def refused(self, refusal: Refusal, attributes: Attributes) -> None:
        """Look away."""

    def turned_away(self, call: NewCall, refusal: Refusal, waited_ms: int, now: Now) -> None:
        """Look away."""
