"""Everything that grows has a bound, and the bound's name ends in its unit."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane import limits as taken
from sidecar import limits as sent
from tests.house import tree

LIMITS = [path for path in tree.modules() if path.name == "limits.py"]
# TOKENS_MAX and IDLE_MS_DEFAULT say which of several; the unit stands before that word.
QUALIFIERS = {"MAX", "MIN", "DEFAULT", "FIRST", "INLINE"}
# A unit is a plural (MS, S, BYTES, CALLS), or one of these.
SINGULAR_UNITS = {"USD", "PERCENT", "MILLE", "MILLION", "DEPTH", "SECOND", "KIB", "MIB"}


def unit(name: str) -> str:
    """The last word of a limit's name that is not a qualifier."""
    words = name.split("_")
    while words and words[-1] in QUALIFIERS:
        words.pop()
    return words[-1] if words else ""


def quantities(path: Path) -> Iterator[str]:
    """Every name at the top of a limits module that is given a number."""
    for node in tree.syntax(path).body:
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets, value = [node.target], node.value
        else:
            continue
        if any(isinstance(part, ast.Constant | ast.Name) for part in ast.walk(value)):
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def test_both_services_name_their_limits() -> None:
    assert {"control_plane", "sidecar"} <= {path.parts[0] for path in LIMITS}


@pytest.mark.parametrize("path", LIMITS, ids=str)
def test_a_limit_ends_in_its_unit(path: Path) -> None:
    names = list(quantities(path))
    assert names, "a limits module without limits"
    unitless = [
        name for name in names if not unit(name).endswith("S") and unit(name) not in SINGULAR_UNITS
    ]
    assert not unitless, "say the unit last: TIMEOUT_MS, QUEUE_CALLS_MAX"


@pytest.mark.parametrize("path", LIMITS, ids=str)
def test_relations_between_limits_are_asserted_where_they_stand(path: Path) -> None:
    assert any(isinstance(node, ast.Assert) for node in tree.syntax(path).body)


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (sent.SYNC_RECORDS_MAX, taken.SYNC_RECORDS_MAX),
        (sent.SYNC_RECORDS_BYTES, taken.SYNC_RECORD_BYTES_MAX),
        (sent.REPORTED_LEASES_MAX, taken.SYNC_LEASES_MAX),
        (sent.DEMANDS_MAX, taken.SYNC_DEMANDS_MAX),
        (sent.SENT_REFUSALS_MAX, taken.SYNC_REFUSALS_MAX),
        (sent.SENT_SECRET_USES_MAX, taken.SYNC_SECRET_USES_MAX),
        (sent.PATIENCE_MAX_MS, taken.PATIENCE_MAX_MS),
        (taken.SENT_MESSAGE_BYTES_MAX, sent.POLICY_BYTES_MAX),
        (taken.HEARTBEAT_MS * 2, sent.WATCH_SILENT_MS),
        (taken.HEARTBEAT_WAITING_MS * 2, sent.STREAM_SILENT_MS),
        (2 * sent.SYNC_MS + sent.SYNC_DEADLINE_MS, taken.DEMAND_LIFE_MS),
        (sent.SYNC_MS * 2, taken.SILENT_AFTER_MS),
        (sent.LONGEST_CALL_MS, taken.REPLACED_PRICE_KEPT_MS),
        (sent.UNCAPPED_AUTHORITY_MS, taken.UNCAPPED_AUTHORITY_MS),
    ],
)
def test_what_one_service_says_at_most_the_other_takes(said: int, heard: int) -> None:
    assert said <= heard
