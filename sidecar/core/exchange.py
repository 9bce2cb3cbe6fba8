"""A call as a table: where it stands, what may happen there, and how it is settled.

WAITING   nothing is held
HELD      money is held and OPEN is durable; the provider has not got the whole request
SENT      the provider has the whole request
FAILING   the provider answers with an error that it may bill
REFUSING  the provider answers with an error that it does not bill
ANSWERING the provider answers, and what it used is not known yet
METERED   the provider has said what it used
CLOSED    settled, voided, or never held

Every row that leaves for CLOSED says how the hold ends, and CLOSED has no rows: a hold ends
exactly once, or an assertion fails. Before SENT nothing can be billed; an error is not billed, but
for those that the provider's dialect names; from SENT on silence is charged at the worst case,
because nobody can prove otherwise.
"""

from enum import IntEnum, auto
from typing import NamedTuple

from sidecar.core.calls import Outcome

# IntEnum, because looking up an Enum in a table costs a Python call.


class State(IntEnum):
    """Where a call stands."""

    WAITING = auto()
    HELD = auto()
    SENT = auto()
    FAILING = auto()
    REFUSING = auto()
    ANSWERING = auto()
    METERED = auto()
    CLOSED = auto()


class Event(IntEnum):
    """What happens to a call."""

    HOLD = auto()
    """Admission let it pass."""
    REFUSAL = auto()
    """Admission did not."""
    UNSENT = auto()
    """No connection, or it broke before the whole request was written."""
    DISPATCH = auto()
    """The whole request was written."""
    ERROR_HEAD = auto()
    """The provider's status is not 2xx."""
    BILLED_HEAD = auto()
    """The provider's status is one of an error that it may bill."""
    UNBILLED = auto()
    """The error is one that the provider does not bill after all."""
    GOOD_HEAD = auto()
    """The provider's status is 2xx."""
    USAGE = auto()
    """The provider said what it used, for good."""
    END = auto()
    """The answer ended as it should."""
    HANG_UP = auto()
    """The caller is gone, or the sidecar ends."""
    BREAK = auto()
    """The provider broke off."""
    TIMEOUT = auto()
    """The longest call is over."""


class Ending(IntEnum):
    """How a hold ends."""

    NONE = auto()
    """There was none."""
    VOID = auto()
    """Nothing was billed."""
    USED = auto()
    """What the provider says it used."""
    SEEN = auto()
    """The input, and the output that was seen: an estimate."""
    WORST = auto()
    """The worst case: an estimate."""


class Row(NamedTuple):
    """What follows from an event in a state."""

    state: State
    ending: Ending | None = None
    """How the hold ends; only on the way to CLOSED."""
    outcome: Outcome | None = None
    """How the ledger calls it; None where no hold ends."""


_CLOSED = State.CLOSED
TABLE: dict[tuple[State, Event], Row] = {
    (State.WAITING, Event.HOLD): Row(State.HELD),
    (State.WAITING, Event.REFUSAL): Row(_CLOSED, Ending.NONE),
    (State.WAITING, Event.HANG_UP): Row(_CLOSED, Ending.NONE),
    (State.HELD, Event.UNSENT): Row(_CLOSED, Ending.VOID, Outcome.NOT_SENT),
    (State.HELD, Event.HANG_UP): Row(_CLOSED, Ending.VOID, Outcome.NOT_SENT),
    (State.HELD, Event.TIMEOUT): Row(_CLOSED, Ending.VOID, Outcome.NOT_SENT),
    (State.HELD, Event.DISPATCH): Row(State.SENT),
    (State.SENT, Event.ERROR_HEAD): Row(State.REFUSING),
    (State.SENT, Event.BILLED_HEAD): Row(State.FAILING),
    (State.SENT, Event.GOOD_HEAD): Row(State.ANSWERING),
    (State.SENT, Event.HANG_UP): Row(_CLOSED, Ending.WORST, Outcome.CLIENT_GONE),
    (State.SENT, Event.BREAK): Row(_CLOSED, Ending.WORST, Outcome.BROKEN),
    (State.SENT, Event.TIMEOUT): Row(_CLOSED, Ending.WORST, Outcome.TIMEOUT),
    (State.REFUSING, Event.USAGE): Row(State.METERED),
    (State.REFUSING, Event.END): Row(_CLOSED, Ending.VOID, Outcome.PROVIDER_ERROR),
    (State.REFUSING, Event.HANG_UP): Row(_CLOSED, Ending.VOID, Outcome.PROVIDER_ERROR),
    (State.REFUSING, Event.BREAK): Row(_CLOSED, Ending.VOID, Outcome.PROVIDER_ERROR),
    (State.REFUSING, Event.TIMEOUT): Row(_CLOSED, Ending.VOID, Outcome.PROVIDER_ERROR),
    (State.FAILING, Event.UNBILLED): Row(State.REFUSING),
    (State.FAILING, Event.USAGE): Row(State.METERED),
    (State.FAILING, Event.END): Row(_CLOSED, Ending.WORST, Outcome.PROVIDER_ERROR),
    (State.FAILING, Event.HANG_UP): Row(_CLOSED, Ending.WORST, Outcome.PROVIDER_ERROR),
    (State.FAILING, Event.BREAK): Row(_CLOSED, Ending.WORST, Outcome.PROVIDER_ERROR),
    (State.FAILING, Event.TIMEOUT): Row(_CLOSED, Ending.WORST, Outcome.PROVIDER_ERROR),
    (State.ANSWERING, Event.USAGE): Row(State.METERED),
    (State.ANSWERING, Event.END): Row(_CLOSED, Ending.SEEN, Outcome.OK),
    (State.ANSWERING, Event.HANG_UP): Row(_CLOSED, Ending.SEEN, Outcome.CLIENT_GONE),
    (State.ANSWERING, Event.BREAK): Row(_CLOSED, Ending.SEEN, Outcome.BROKEN),
    (State.ANSWERING, Event.TIMEOUT): Row(_CLOSED, Ending.SEEN, Outcome.TIMEOUT),
    (State.METERED, Event.END): Row(_CLOSED, Ending.USED, Outcome.OK),
    (State.METERED, Event.HANG_UP): Row(_CLOSED, Ending.USED, Outcome.CLIENT_GONE),
    (State.METERED, Event.BREAK): Row(_CLOSED, Ending.USED, Outcome.BROKEN),
    (State.METERED, Event.TIMEOUT): Row(_CLOSED, Ending.USED, Outcome.TIMEOUT),
}


class Exchange:
    """One call on its way through the table."""

    __slots__ = ("state",)

    def __init__(self) -> None:
        """Begin where nothing is held."""
        self.state = State.WAITING

    def step(self, event: Event) -> Row:
        """Go on; a step that the table does not know is our own mistake."""
        row = TABLE.get((self.state, event))
        assert row is not None, f"{event.name} cannot happen in {self.state.name}"
        self.state = row.state
        return row

    @property
    def closed(self) -> bool:
        """Whether its hold has ended, or never was."""
        return self.state is State.CLOSED
