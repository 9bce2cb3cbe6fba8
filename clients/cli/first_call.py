"""Waits until the first call of a client is booked, and shows what it cost and what is left."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from rich.text import Text

from clients.admin import Budget, Call, Project
from clients.cli import clock
from clients.cli.limits import FIRST_CALL_POLL_MS, LIST_ITEMS
from clients.cli.output import count_text, duration_text, quoted, safe, usd
from clients.cli.session import Session
from protos.values.errors import BursarError


@dataclass(frozen=True, slots=True)
class FirstCall:
    """A client's first call, and the budget that paid for it."""

    call: Call
    budget: Budget

    @property
    def left_nano_usd(self) -> int | None:
        """What is left of the cap; None without one."""
        cap, period = self.budget.cap_nano_usd, self.budget.current_period
        if period is not None:
            cap = period.cap_nano_usd
        if cap is None:
            return None
        return max(0, cap - (0 if period is None else period.spent_nano_usd))

    @property
    def input_count(self) -> int:
        """Tokens that were read, from a cache or not."""
        kinds = ("input", "cached", "cache_write")
        return sum(self.call.quantities.get(kind, 0) for kind in kinds)


def wait(session: Session, project: Project, budget_id: str, wait_s: int) -> FirstCall | None:
    """Wait for at most so many seconds; None when no call came, or the waiting was ended.

    It says so then, and what to do. Never raises for a control plane that is away: the client is
    made by then, and whoever asked must see its key.
    """
    name = quoted(project.display_name)
    session.say(f"\nWaiting up to {duration_text(wait_s * 1_000)} for the first call (Ctrl-C ends)")
    ends_ms = clock.monotonic_ms() + wait_s * 1_000
    refusal = ""
    with suppress(KeyboardInterrupt):
        while True:
            try:
                found = _look(session, project, budget_id)
                if found is not None:
                    return found
                refusal = _tell_refusal(session, project, refusal)
            except BursarError as error:
                session.warn(f"It could not be looked for: {error.message}")
                break
            if clock.monotonic_ms() >= ends_ms:
                break
            clock.pause_ms(FIRST_CALL_POLL_MS)
    session.warn(f"No call was seen yet. Go on watching with: bursar tail {name} --after 1")
    return None


def shown(found: FirstCall) -> Sequence[Text]:
    """The call for people."""
    call, left = found.call, found.left_nano_usd
    model = call.answered_model or call.requested_model
    tokens = (
        f"{count_text(found.input_count)} in, {count_text(call.quantities.get('output', 0))} out"
    )
    return (
        Text("\nFirst call", style="bold"),
        Text(f"  Model     {safe(model)} ({call.provider}), {call.outcome}"),
        Text(f"  Workflow  {safe(call.workflow) or 'none named'}"),
        Text(f"  Tokens    {tokens}"),
        Text(f"  Cost      {usd(call.cost_nano_usd)}" + (" (estimated)" if call.estimated else "")),
        Text("  Left      " + ("no cap" if left is None else f"{usd(left)} of the cap")),
    )


def to_json(found: FirstCall | None) -> dict[str, Any]:
    """The call for programs; nothing in it when none came."""
    if found is None:
        return {"first_call": None, "left_nano_usd": None}
    return {"first_call": found.call, "left_nano_usd": found.left_nano_usd}


def _look(session: Session, project: Project, budget_id: str) -> FirstCall | None:
    listed = islice(session.bursar.calls.list(project_id=project.project_id), LIST_ITEMS)
    first = min(listed, key=lambda call: call.position, default=None)
    return None if first is None else FirstCall(first, session.bursar.budgets.get(budget_id))


def _tell_refusal(session: Session, project: Project, told: str) -> str:
    """Say why a call was refused, once for each reason: it is what a first call meets most."""
    newest = next(iter(session.bursar.calls.refusals(project_id=project.project_id)), None)
    if newest is None or newest.reason == told:
        return told
    session.say(f"A call was refused ({newest.reason}): {safe(newest.sample)}")
    return newest.reason
