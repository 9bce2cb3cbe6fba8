"""A call goes through its table, and its hold ends exactly once."""

import pytest

from sidecar.core.calls import Outcome
from sidecar.core.exchange import TABLE, Ending, Event, Exchange, State


def test_every_way_through_the_table_ends_a_hold_exactly_once() -> None:
    seen = set()

    def walk(state: State, ended: int, path: tuple[str, ...]) -> None:
        if state is State.CLOSED:
            assert ended == 1, path
            return
        for (at, event), row in TABLE.items():
            assert row.state >= at, "no way leads back"
            if at is state:
                seen.add((at, event))
                walk(row.state, ended + (row.ending is not None), (*path, event.name))

    walk(State.WAITING, 0, ())
    assert seen == set(TABLE), "every row is on some way"


@pytest.mark.parametrize(("at", "row"), TABLE.items(), ids=str)
def test_a_row_ends_a_hold_if_and_only_if_it_closes(
    at: tuple[State, Event], row: tuple[State, Ending | None, Outcome | None]
) -> None:
    state, ending, outcome = row
    assert (ending is not None) is (state is State.CLOSED)
    assert (outcome is not None) is (ending not in (None, Ending.NONE))


def test_nothing_happens_to_a_closed_call() -> None:
    assert not [at for at, _ in TABLE if at is State.CLOSED]
    exchange = Exchange()
    exchange.step(Event.REFUSAL)
    assert exchange.closed
    with pytest.raises(AssertionError):
        exchange.step(Event.HOLD)


@pytest.mark.parametrize(
    "state", [State.HELD, State.SENT, State.REFUSING, State.FAILING, State.ANSWERING, State.METERED]
)
@pytest.mark.parametrize("event", [Event.HANG_UP, Event.TIMEOUT])
def test_a_held_call_can_be_broken_off_anywhere(state: State, event: Event) -> None:
    assert TABLE[state, event].state is State.CLOSED


def test_before_the_request_was_sent_nothing_is_charged_and_after_it_silence_is() -> None:
    for event in (Event.UNSENT, Event.HANG_UP, Event.TIMEOUT):
        assert TABLE[State.HELD, event].ending is Ending.VOID
    for event in (Event.BREAK, Event.HANG_UP, Event.TIMEOUT):
        assert TABLE[State.SENT, event].ending is Ending.WORST
        assert TABLE[State.FAILING, event].ending is Ending.WORST
        assert TABLE[State.REFUSING, event].ending is Ending.VOID
        assert TABLE[State.ANSWERING, event].ending is Ending.SEEN
        assert TABLE[State.METERED, event].ending is Ending.USED
