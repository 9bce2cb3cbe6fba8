"""Cuts a failing plan to the fewest steps that still fail in the same way (delta debugging)."""

import time
from collections.abc import Callable, Sequence

from tests.simulation.plan import Plan, Step

Fails = Callable[[Plan], bool]
"""Whether a plan still breaks the same invariant."""


def shrink(plan: Plan, fails: Fails, *, seconds: float) -> Plan:
    """The smallest failing part of a plan that is found within a time.

    Steps that make the scene are tried last and one by one: most plans need most of them.
    """
    deadline = time.monotonic() + seconds
    scene = tuple(step for step in plan if step.at_ms == 0)
    acts = tuple(step for step in plan if step.at_ms > 0)
    acts = _minimal(acts, lambda part: fails(scene + part), deadline)
    for step in scene:
        if time.monotonic() > deadline:
            break
        fewer = tuple(each for each in scene if each is not step)
        if fails(fewer + acts):
            scene = fewer
    return scene + acts


def _minimal(steps: Plan, fails: Fails, deadline: float) -> Plan:
    """ddmin: drop ever smaller pieces for as long as what is left fails."""
    pieces = 2
    while len(steps) >= 2 and time.monotonic() < deadline:
        size = -(-len(steps) // pieces)
        for begin in range(0, len(steps), size):
            if time.monotonic() > deadline:
                return steps
            fewer = steps[:begin] + steps[begin + size :]
            if fails(fewer):
                steps = fewer
                pieces = max(2, pieces - 1)
                break
        else:
            if size == 1:
                break
            pieces = min(len(steps), 2 * pieces)
    if len(steps) == 1 and fails(()):
        return ()
    return steps


def as_source(steps: Sequence[Step]) -> str:
    """A plan as Python text, to be pasted into a test."""
    return "(\n" + "".join(f"    {step!r},\n" for step in steps) + ")"
