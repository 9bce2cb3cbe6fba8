"""One message on its way: its states as a table, when it is tried again, and when it is given up.

A message is claimed before it is sent, in a transaction of its own: two processes or two turns
never send the same. What nobody can know is what became of it when the process died, or the line
broke, between the last byte and the answer: no mail or chat server offers exactly-once. So each
says what to do then. An alert is sent again, with the same Message-ID and dedup key by which the
other side can recognise it, for one that is read twice costs less than one that nobody reads. A
statement is not: it is shown as UNKNOWN until a person decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from control_plane.core.alerts import HOUR_MS, MINUTE_MS, Severity

FIRST_WAIT_MS: Final = MINUTE_MS
LONGEST_WAIT_MS: Final = HOUR_MS
RETRIED_FOR_MS: Final = 24 * HOUR_MS
"""What did not arrive within so long is given up, with an alert through other channels."""


class DeliveryState(StrEnum):
    """Where a message stands."""

    QUEUED = "QUEUED"
    """It waits for its time."""
    SENDING = "SENDING"
    """A process has it in hand."""
    SENT = "SENT"
    """The other side took it."""
    FAILED = "FAILED"
    """The other side will not take it, or did not for too long."""
    UNKNOWN = "UNKNOWN"
    """It may have arrived; a person decides whether it is sent again."""


class Outcome(StrEnum):
    """What came of an attempt."""

    ARRIVED = "ARRIVED"
    REFUSED = "REFUSED"
    """For good: trying again would not help."""
    NOT_SENT = "NOT_SENT"
    """It surely did not arrive, and may when it is tried again."""
    LOST_SIGHT = "LOST_SIGHT"
    """It may have arrived."""


class Purpose(StrEnum):
    """What a message is for."""

    ALERT = "ALERT"
    ANSWERED = "ANSWERED"
    """An alert was acknowledged; only services that keep incidents of their own hear of it."""
    OVER = "OVER"
    """An alert is over."""
    TEST = "TEST"
    STATEMENT = "STATEMENT"


@dataclass(frozen=True, slots=True)
class Part:
    """A file that goes with a mail."""

    file_name: str
    media_type: str
    """Such as application/pdf."""
    content: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be said; each kind of channel lays it out in its own way."""

    subject: str
    """One line."""
    what: str
    """The first sentence."""
    lines: tuple[tuple[str, str], ...] = ()
    """Label and sentence, in order; an empty label makes a paragraph."""
    link: str = ""
    html: str = ""
    """A mail's own layout; empty for one made of the lines."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one receiver."""

    delivery_id: str
    purpose: Purpose
    message: Message
    created_unix_ms: int
    channel_id: str = ""
    """Where it goes; empty for a mail to an address of its own."""
    address: str = ""
    """The mail address when there is no channel."""
    project_id: str = ""
    alert_id: str = ""
    """The alert that it tells of; of several the first."""
    severity: Severity = Severity.P3
    thread: str = ""
    """What keeps mails together and incidents apart; empty for none."""
    once: str = ""
    """No second message with this text is ever queued; empty for no such promise."""
    repeats: bool = True
    """Whether it is sent again when nobody knows whether it arrived."""
    state: DeliveryState = DeliveryState.QUEUED
    attempt_count: int = 0
    lost_sight_count: int = 0
    """Attempts of which nobody knows what came."""
    next_unix_ms: int = 0
    """Not before."""
    changed_unix_ms: int = 0
    error: str = ""
    """The last thing that went wrong, as the other side said it; never a secret."""
    remote_id: str = ""
    """What the other side calls it."""
    position: int = 0
    """Its place among all messages, by which they are sent and listed."""


TRANSITIONS: Final[Mapping[tuple[DeliveryState, Outcome, bool], DeliveryState]] = {
    (DeliveryState.SENDING, Outcome.ARRIVED, True): DeliveryState.SENT,
    (DeliveryState.SENDING, Outcome.ARRIVED, False): DeliveryState.SENT,
    (DeliveryState.SENDING, Outcome.REFUSED, True): DeliveryState.FAILED,
    (DeliveryState.SENDING, Outcome.REFUSED, False): DeliveryState.FAILED,
    (DeliveryState.SENDING, Outcome.NOT_SENT, True): DeliveryState.QUEUED,
    (DeliveryState.SENDING, Outcome.NOT_SENT, False): DeliveryState.QUEUED,
    (DeliveryState.SENDING, Outcome.LOST_SIGHT, True): DeliveryState.QUEUED,
    (DeliveryState.SENDING, Outcome.LOST_SIGHT, False): DeliveryState.UNKNOWN,
}
"""State, outcome and `repeats` to the next state; QUEUED becomes FAILED when it is too old."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What becomes of a message after an attempt."""

    state: DeliveryState
    next_unix_ms: int
    """When it is tried again; 0 when it is not."""


def settle(delivery: Delivery, outcome: Outcome, now_unix_ms: int) -> Settled:
    """What becomes of a message in hand."""
    state = TRANSITIONS[delivery.state, outcome, delivery.repeats]
    if state is not DeliveryState.QUEUED:
        return Settled(state, 0)
    again = now_unix_ms + wait_ms(delivery.attempt_count)
    if again - delivery.created_unix_ms > RETRIED_FOR_MS:
        # What may have arrived is not said to have failed.
        lost = outcome is Outcome.LOST_SIGHT
        return Settled(DeliveryState.UNKNOWN if lost else DeliveryState.FAILED, 0)
    return Settled(state, again)


def wait_ms(attempt_count: int) -> int:
    """How long after so many attempts: a minute, doubled each time, an hour at most."""
    assert attempt_count >= 1
    return min(LONGEST_WAIT_MS, FIRST_WAIT_MS << min(attempt_count - 1, 10))
