"""Models that providers retire."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from clients.admin.instants import instant_from_wire, instant_to_wire
from clients.admin.limits import PAGE_ITEMS
from clients.admin.wire import Wire
from protos.bursar.admin import v1


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirement:
    """A model that a provider will not serve any more."""

    provider: str
    model: str
    retire_time: datetime
    """From when on calls with it fail."""
    replacement: str = ""
    """The model that is to take its place."""
    source: str = ""
    """Where that stands."""


class Retirements:
    """Notes when models are retired; clients who use them are told of in time."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.PriceServiceStub(wire.channel)

    def set(self, retirement: Retirement, *, request_id: str = "") -> Retirement:
        """Note when a model is retired; one of the same model is replaced."""
        request = v1.SetRetirementRequest(
            request_id=request_id or self._wire.request_id(),
            retirement=v1.Retirement(
                provider=retirement.provider,
                model=retirement.model,
                retire_time=instant_to_wire(retirement.retire_time),
                replacement=retirement.replacement,
                source=retirement.source,
            ),
        )
        return _from_wire(self._wire.ask(self._stub.SetRetirement, request))

    def list(self) -> Iterator[Retirement]:
        """Yield models that are retired, the next one first."""

        def fetch(token: str) -> v1.ListRetirementsResponse:
            request = v1.ListRetirementsRequest(page_size=PAGE_ITEMS, page_token=token)
            return self._wire.ask(self._stub.ListRetirements, request)

        return self._wire.pages(fetch, lambda page: map(_from_wire, page.retirements))

    def remove(self, provider: str, model: str, *, request_id: str = "") -> None:
        """Take back that a model is retired."""
        request = v1.RemoveRetirementRequest(
            request_id=request_id or self._wire.request_id(), provider=provider, model=model
        )
        self._wire.ask(self._stub.RemoveRetirement, request)


def _from_wire(wire: v1.Retirement) -> Retirement:
    return Retirement(
        provider=wire.provider,
        model=wire.model,
        retire_time=instant_from_wire(wire.retire_time),
        replacement=wire.replacement,
        source=wire.source,
    )
