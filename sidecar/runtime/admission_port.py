"""What the proxy may ask of admission, and nothing else of it."""

from collections.abc import Mapping
from typing import Protocol

from protos.telemetry.traces import Started
from protos.values.selectors import Attributes
from sidecar.core.calls import Hold, NewCall, Settlement
from sidecar.core.policy import Policy
from sidecar.core.refusals import Refusal
from sidecar.runtime.secrets import ProviderSecrets


class AdmissionPort(Protocol):
    """What the proxy may ask of admission."""

    @property
    def secrets(self) -> ProviderSecrets:
        """What calls are made with at providers."""
        ...

    @property
    def policy(self) -> Policy:
        """The snapshot in force."""
        ...

    def closed(self) -> Refusal | None:
        """What stops every call, whatever it asks for; None when nothing does."""
        ...

    async def open(self, call: NewCall, *, counts: bool = True) -> Hold:
        """Wait for the call's turn and hold its worst case from every matching lease.

        Returns only after the hold is durable. Raises Refused, and counts that unless it is told
        not to. Cancelled, it leaves nothing held.
        """
        ...

    def left_nano_usd(self, call: NewCall) -> int | None:
        """The least that is left in the call's budgets, as last heard; None when not known."""
        ...

    def may_start(self, hold: Hold) -> bool:
        """Whether a call that was opened a while ago may still go out."""
        ...

    def settle(self, hold: Hold, outcome: Settlement) -> None:
        """Book what the call cost and free the rest of its hold. Once per hold."""
        ...

    def void(self, hold: Hold, outcome: Settlement) -> None:
        """Free the hold of a call that cost nothing. Once per hold, instead of `settle`."""
        ...

    def traced(self, values: Mapping[bytes, bytes]) -> Started | None:
        """The span to record of a call that came with these headers; None for most calls."""
        ...

    def refused(self, refusal: Refusal, attributes: Attributes) -> None:
        """Count a refusal that the proxy made itself; unknown attributes are empty."""
        ...

    def is_above(self, attributes: Attributes, percent: int, beside_nano_usd: int) -> bool:
        """Whether a budget of a project is used up above a part of its cap, beside an amount."""
        ...
