"""Rate cards on the wire."""

from control_plane.core.rate_cards import RateCard
from control_plane.rpc.wire.instants import instant_to_wire
from protos.bursar.admin import v1


def rate_card_to_wire(card: RateCard) -> v1.RateCard:
    """A rate card."""
    return v1.RateCard(
        project_id=card.project_id,
        version=card.version,
        valid_from_time=instant_to_wire(card.valid_from_unix_ms),
        markup_ppm=card.markup_ppm,
        per_call_nano_usd=card.per_call_nano_usd,
        per_execution_nano_usd=card.per_execution_nano_usd,
        included_nano_usd=card.included_nano_usd,
    )


def rate_card_from_wire(message: v1.RateCard) -> RateCard:
    """What is asked for; version and begin are made by the control plane."""
    return RateCard(
        project_id=message.project_id,
        version="",
        valid_from_unix_ms=0,
        markup_ppm=message.markup_ppm,
        per_call_nano_usd=message.per_call_nano_usd,
        per_execution_nano_usd=message.per_execution_nano_usd,
        included_nano_usd=message.included_nano_usd,
    )
