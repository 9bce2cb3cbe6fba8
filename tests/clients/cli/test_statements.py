"""A month is built, looked at, approved and exported by the command."""

import base64
import csv
from io import StringIO
from pathlib import Path
from typing import Any

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
"""One black pixel."""


def test_a_statement_goes_from_draft_to_approved(run: Any, run_json: Any, tmp_path: Path) -> None:
    run("client", "add", "Stated", "--cap", "5")
    assert "no statement yet" in run("statement", "show", "Stated", code=3).stderr
    made = run_json("statement", "build", "Stated", "--month", "2026-01")["statement"]
    assert (made["state"], made["version"], made["month"]) == ("DRAFT", 1, "2026-01")
    assert run_json("statement", "build", "Stated", "--month", "2026-01")["statement"] == made
    pdf = tmp_path / "january.pdf"
    run("statement", "preview", "Stated", "-o", str(pdf))
    assert pdf.read_bytes().startswith(b"%PDF")
    noted = run_json("statement", "note", "Stated", "All well.")["statement"]
    assert noted["sha256"] != made["sha256"]
    assert "All well." in run("statement", "export", "Stated", "--format", "html").stdout
    done = run("statement", "approve", "Stated")
    assert "approved" in done.stdout
    assert "Nobody is named" in done.stderr
    assert "bursar statement settings" in run("statement", "send", "Stated", "-y", code=5).stderr
    named = ("statement", "settings", "Stated", "--to", "dana@example.com", "--day", "5")
    assert "going out to dana@example.com then: 2026-01" in run(*named, code=2).stderr
    run(*named, "-y")
    shown = run("statement", "settings", "Stated").stdout
    assert "day 5" in shown
    assert "dana@example.com" in shown
    assert run_json("statement", "send", "Stated", "-y")["statement"]["state"] == "APPROVED"
    assert "Stated" in run("statement", "list", "Stated").stdout


def test_a_month_that_is_not_over_is_refused_in_words(run: Any) -> None:
    run("client", "add", "Hasty")
    assert "is not over" in run("statement", "build", "Hasty", "--month", "2999-01", code=5).stderr
    assert "mail address" in run("statement", "settings", "Hasty", "--to", "nobody", code=2).stderr


def test_focus_has_its_columns_also_without_usage(run: Any) -> None:
    run("client", "add", "Focused")
    rows = list(
        csv.reader(StringIO(run("export", "focus", "Focused", "--month", "2026-01").stdout))
    )
    assert rows[0][0] == "BilledCost"
    assert len(rows) == 1
    run("export", "focus", "--month", "2026-01")
    assert "name it" in run("export", "focus", "--month", "2026-01", "--client-view", code=2).stderr


def test_what_was_agreed_is_kept_and_dropped(run: Any, run_json: Any) -> None:
    run("client", "add", "Agreed")
    asked = ("workflow", "roi", "set", "Agreed", "leads", "--unit", "lead", "--by-hand", "3min")
    kept = run_json(*asked, "--agreed", "Dr. Chen", "2026-03-02")["roi"]
    assert (kept["seconds_per_unit"], kept["units"]) == (180, "leads")
    assert "Dr. Chen" in run("workflow", "list", "Agreed").stdout
    assert "a date" in run(*asked, "--agreed", "X", "spring", code=2).stderr
    run("workflow", "roi", "remove", "Agreed", "leads")
    run("workflow", "roi", "remove", "Agreed", "leads", code=3)


def test_the_agency_shows_itself_as_it_wants(run: Any, run_json: Any, tmp_path: Path) -> None:
    logo = tmp_path / "logo.png"
    logo.write_bytes(PNG)
    made = run_json("branding", "set", "--agency", "Northwind", "--logo", str(logo))["branding"]
    assert (made["agency"], made["names_bursar"]) == ("Northwind", False)
    assert "Northwind" in run("branding", "show").stdout
    assert "a colour" in run("branding", "set", "--colour", "blue", code=2).stderr
    for broken in (b"GIF89a", PNG[:-30]):
        logo.write_bytes(broken)
        assert "PNG or a JPEG" in run("branding", "set", "--logo", str(logo), code=2).stderr
    run("branding", "set", "--agency", "", "--no-logo")
