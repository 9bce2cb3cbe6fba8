"""Histories for forecasts are the roll-ups, by the hour, of one selector."""

from control_plane.core.forecast import HISTORY_DAYS, HOUR_MS, History
from control_plane.core.ledger import RollupKey, RollupSum
from control_plane.store import rollups, spending
from protos.values.selectors import Selector
from tests.control_plane.desk import DAY_MS, NOON, Desk

QUARTER_MS = HOUR_MS // 4


def spend(
    desk: Desk, at_unix_ms: int, cost: int, *, project: str = "prj_a", workflow: str = "w"
) -> None:
    key = RollupKey(at_unix_ms, project, "key_1", workflow, "gpt-4o", "openai", "ok")
    desk.do_alone(lambda tx: rollups.add(tx, {key: RollupSum(cost_nano_usd=cost)}))


def history(desk: Desk, selector: dict[str, str] | None = None, *, now: int = NOON) -> History:
    wanted = Selector(**({"project_id": "prj_a"} | (selector or {})))
    return desk.read(lambda tx: spending.hourly(tx, wanted, "UTC", now))


def test_quarters_become_hours_without_gaps_and_the_running_hour_is_left_out(desk: Desk) -> None:
    spend(desk, NOON - 3 * HOUR_MS, 5)
    spend(desk, NOON - 3 * HOUR_MS + QUARTER_MS, 7)
    spend(desk, NOON - HOUR_MS, 1)
    spend(desk, NOON, 1_000)
    assert history(desk, now=NOON + QUARTER_MS) == History(NOON - 3 * HOUR_MS, (12, 0, 1), "UTC")


def test_a_selector_narrows_and_an_empty_one_takes_all(desk: Desk) -> None:
    spend(desk, NOON - HOUR_MS, 1)
    spend(desk, NOON - HOUR_MS, 10, workflow="other")
    spend(desk, NOON - HOUR_MS, 100, project="prj_b")
    cases: list[tuple[dict[str, str], tuple[int, ...]]] = [
        ({}, (11,)),
        ({"workflow": "w"}, (1,)),
        ({"project_id": ""}, (111,)),
        ({"model": "gpt-5"}, ()),
        ({"region": "eu"}, ()),
    ]
    for selector, expected in cases:
        assert history(desk, selector).hourly_nano_usd == expected, selector


def test_what_is_older_than_a_history_is_not_read(desk: Desk) -> None:
    spend(desk, NOON - HISTORY_DAYS * DAY_MS - HOUR_MS, 1)
    assert history(desk).hourly_nano_usd == ()
    spend(desk, NOON - HISTORY_DAYS * DAY_MS, 1)
    assert len(history(desk).hourly_nano_usd) == HISTORY_DAYS * 24


def test_one_project_is_read_by_its_own_index(desk: Desk) -> None:
    plan = desk.read(
        lambda tx: tx.rows(
            """EXPLAIN QUERY PLAN SELECT bucket_unix_ms / 3600000, SUM(cost_nano_usd) FROM rollup
               WHERE bucket_unix_ms >= 1 AND bucket_unix_ms < 2 AND project_id = 'x'
               GROUP BY bucket_unix_ms / 3600000"""
        )
    )
    assert "rollup_by_project" in plan[0]["detail"]
