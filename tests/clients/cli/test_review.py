"""The monthly review, as the command tells it."""

from typing import Any


def test_a_review_has_its_totals_its_clients_and_what_people_did(run: Any, run_json: Any) -> None:
    run("client", "add", "Reviewed Dental", "--cap", "300")
    run("budget", "set", "Reviewed Dental", "--cap", "400", "--reason", "launch week")
    found = run_json("review")["review"]
    [client] = [one for one in found["clients"] if one["display_name"] == "Reviewed Dental"]
    assert client["sums"]["cost_nano_usd"] == "0"
    raised = [one for one in found["raises"] if one["project_id"] == client["project_id"]]
    assert [(one["new_nano_usd"], one["reason"]) for one in raised] == [
        (str(400 * 10**9), "launch week")
    ]
    total = run_json("usage", "--month", found["month"])["total"]
    assert found["total"]["cost_nano_usd"] == total["cost_nano_usd"]
    text = run("review", "--month", found["month"]).stdout
    assert "Reviewed Dental" in text
    assert "launch week" in text


def test_a_month_that_has_not_begun_is_refused(run: Any) -> None:
    assert "has not begun" in run("review", "--month", "2999-01", code=2).stderr


def test_a_task_is_said_and_taken_back(run: Any, run_json: Any) -> None:
    run("client", "add", "Tasked")
    assert (
        "leads does summaries"
        in run("workflow", "task", "set", "Tasked", "leads", "summaries").stdout
    )
    run("workflow", "task", "remove", "Tasked", "leads")
    assert "nobody said" in run("workflow", "task", "remove", "Tasked", "leads", code=3).stderr
    found = run_json("model", "matrix")["matrix"]
    assert found["cells"] == []
    assert found["knows_moves"] is True
    assert "20 calls" in run("model", "matrix").stderr
