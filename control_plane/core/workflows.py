"""What a workflow is worth: a unit of work, how long it takes by hand, and who agreed to that."""

import re
from dataclasses import dataclass, replace
from typing import Final, Literal

from control_plane import limits
from control_plane.core import fields

Counts = Literal["execution", "call"]
COUNTS: Final[tuple[Counts, ...]] = ("execution", "call")
"""What makes a unit: a run of the workflow whose last call ended well, or each call that did."""
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Roi:
    """What was agreed on for one workflow."""

    project_id: str
    workflow: str
    unit: str
    """Such as lead."""
    units: str
    """Such as leads."""
    counts: str
    """One of COUNTS."""
    seconds_per_unit: int
    """Of a person's time, without the workflow."""
    agreed_by: str
    """Who at the client agreed."""
    agreed_on: str
    """On which date."""
    set_by: str = ""
    set_unix_ms: int = 0


def check_roi(wanted: Roi) -> Roi:
    """An agreement that is whole: without a person and a date there is none."""
    fields.check_label(wanted.workflow, "workflow")
    if not wanted.workflow:
        raise fields.invalid("workflow", "name one")
    unit = fields.check_name(wanted.unit, "unit")
    units = fields.check_name(wanted.units, "units") if wanted.units else f"{unit}s"
    if wanted.counts not in COUNTS:
        raise fields.invalid("counts", f"one of {', '.join(COUNTS)}")
    fields.check_between(wanted.seconds_per_unit, 1, limits.UNIT_SECONDS_MAX_S, "seconds_per_unit")
    agreed_by = fields.check_name(wanted.agreed_by, "agreed_by")
    if not _DATE.fullmatch(wanted.agreed_on):
        raise fields.invalid("agreed_on", "a date such as 2026-03-02")
    return replace(wanted, unit=unit, units=units, agreed_by=agreed_by)
