"""Rate cards: what clients are charged, apart from what their calls cost."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from clients.admin.instants import instant_or_none_from_wire, instant_to_wire
from clients.admin.limits import PAGE_ITEMS
from clients.admin.wire import Wire
from protos.bursar.admin import v1


@dataclass(frozen=True, slots=True, kw_only=True)
class RateCard:
    """What one project is charged, from an instant on. A version never changes.

    A call is charged ceil((cost - included) x (1,000,000 + markup_ppm) / 1,000,000) and the fees.
    """

    project_id: str
    """The project."""
    markup_ppm: int = 0
    """What is added to the cost, in millionths of it; negative for a discount."""
    per_call_nano_usd: int = 0
    """A fee for each call that cost anything."""
    per_execution_nano_usd: int = 0
    """A fee for each run of a workflow, with its first such call."""
    included_nano_usd: int = 0
    """Cost of each month that is paid for otherwise."""
    valid_from_time: datetime | None = None
    """From when it holds; None for now."""
    version: str = ""
    """Made by the control plane; each charge names it."""


class RateCards:
    """Reads rate cards and sets them. Nothing is deleted: one holds until a later one begins."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.ProjectServiceStub(wire.channel)

    def list(self, project_id: str) -> Iterator[RateCard]:
        """Yield a project's rate cards in the order in which they begin."""

        def fetch(token: str) -> v1.ListRateCardsResponse:
            request = v1.ListRateCardsRequest(
                page_size=PAGE_ITEMS, page_token=token, project_id=project_id
            )
            return self._wire.ask(self._stub.ListRateCards, request)

        return self._wire.pages(fetch, lambda page: map(rate_card_from_wire, page.rate_cards))

    def set(self, card: RateCard, *, reason: str = "", request_id: str = "") -> RateCard:
        """Set what a project is charged, from now or from a later instant on."""
        request = v1.SetRateCardRequest(
            request_id=request_id or self._wire.request_id(),
            rate_card=v1.RateCard(
                project_id=card.project_id,
                valid_from_time=instant_to_wire(card.valid_from_time),
                markup_ppm=card.markup_ppm,
                per_call_nano_usd=card.per_call_nano_usd,
                per_execution_nano_usd=card.per_execution_nano_usd,
                included_nano_usd=card.included_nano_usd,
            ),
            reason=reason,
        )
        return rate_card_from_wire(self._wire.ask(self._stub.SetRateCard, request))


def rate_card_from_wire(wire: v1.RateCard) -> RateCard:
    """Read a rate card."""
    return RateCard(
        project_id=wire.project_id,
        markup_ppm=wire.markup_ppm,
        per_call_nano_usd=wire.per_call_nano_usd,
        per_execution_nano_usd=wire.per_execution_nano_usd,
        included_nano_usd=wire.included_nano_usd,
        valid_from_time=instant_or_none_from_wire(wire.valid_from_time),
        version=wire.version,
    )
