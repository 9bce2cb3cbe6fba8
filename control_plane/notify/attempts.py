"""What an attempt to send comes to, and what it is allowed to reach."""

import ssl
from dataclasses import dataclass, field

from control_plane import limits
from control_plane.config import Config
from control_plane.core.channels import IpNetwork
from control_plane.core.deliveries import Outcome
from protos.values.keys import redact

PAGERDUTY_URL = "https://events.pagerduty.com/v2/enqueue"


@dataclass(frozen=True, slots=True)
class Doors:
    """What the operator lets messages reach."""

    networks: tuple[IpNetwork, ...] = ()
    """Private networks with receivers; none by default."""
    pagerduty_url: str = PAGERDUTY_URL
    """Where PagerDuty takes events; its European service has another address."""
    trust: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    """Whose certificates are believed."""


def doors_of(config: Config) -> Doors:
    """What messages of an installation may reach."""
    return Doors(networks=config.receivers, pagerduty_url=config.pagerduty_url or PAGERDUTY_URL)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of sending one message."""

    outcome: Outcome
    error: str = ""
    """What went wrong, in the other side's words; bounded, and without secrets."""
    remote_id: str = ""
    """What the other side calls the message."""

    @property
    def arrived(self) -> bool:
        return self.outcome is Outcome.ARRIVED


def arrived(remote_id: str = "") -> Attempt:
    """The other side took it."""
    return Attempt(Outcome.ARRIVED, remote_id=_plain(remote_id)[:100])


def failed(outcome: Outcome, error: object) -> Attempt:
    """It did not arrive, or nobody knows."""
    text = _plain(redact(str(error) or type(error).__name__))
    return Attempt(outcome, text[: limits.DELIVERY_ERROR_CHARACTERS_MAX])


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
