"""One message to one receiver, whatever it is."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from control_plane.core.channels import ChannelKind, MailServer, Target
from control_plane.core.deliveries import Delivery, Outcome, Part, Purpose
from control_plane.notify import layouts, mail, web
from control_plane.notify.attempts import Attempt, Doors, arrived, failed


@dataclass(frozen=True, slots=True)
class Route:
    """How a message gets to its receiver, with all secrets open."""

    kind: ChannelKind
    target: Target
    server: MailServer | None = None
    """For mail."""
    password: str = field(default="", repr=False)


async def send(
    delivery: Delivery, route: Route, parts: Sequence[Part], doors: Doors, now_unix_ms: int
) -> Attempt:
    """Send a message once, and say what came of it. Never raises for what the world does."""
    address = route.target.address
    match route.kind:
        case ChannelKind.MAIL:
            if route.server is None:
                return failed(Outcome.NOT_SENT, "no mail server is set")
            made = mail.compose(route.server, address, delivery, parts)
            return await asyncio.to_thread(
                mail.send, route.server, route.password, address, made, doors.trust
            )
        case ChannelKind.SLACK:
            return await web.post_json(address, layouts.slack(delivery), doors)
        case ChannelKind.TEAMS:
            return await web.post_json(address, layouts.teams(delivery), doors)
        case ChannelKind.PAGERDUTY:
            return await _pagerduty(delivery, address, doors)
        case ChannelKind.WEBHOOK:
            body = layouts.webhook(delivery)
            headers = {
                "Bursar-Delivery": delivery.delivery_id,
                "Bursar-Signature": layouts.signature(
                    body, route.target.signing_secret, now_unix_ms
                ),
            }
            return await web.post(address, body, headers, doors)


async def _pagerduty(delivery: Delivery, routing_key: str, doors: Doors) -> Attempt:
    body = layouts.pagerduty(delivery, routing_key)
    attempt = await web.post_json(doors.pagerduty_url, body, doors)
    if attempt.arrived and delivery.purpose is Purpose.TEST:
        # A test leaves no incident behind.
        over = layouts.pagerduty(replace(delivery, purpose=Purpose.OVER), routing_key)
        attempt = await web.post_json(doors.pagerduty_url, over, doors)
    if attempt.outcome is Outcome.LOST_SIGHT:
        # An event that is repeated under its key is the same event.
        return failed(Outcome.NOT_SENT, attempt.error)
    return arrived(str(body["dedup_key"])) if attempt.arrived else attempt
