"""The trail of changes in words: what was changed, from what, to what."""

import json

import pytest

from control_plane.core.principals import AuditEntry
from control_plane.web.audit_words import Line, told
from tests.control_plane.desk import USD, Desk
from tests.control_plane.web.agency import settle_in
from tests.control_plane.web.conftest import Browser
from tests.control_plane.web.test_caps import cap_path


def entry(method: str, resource: str, /, **detail: object) -> AuditEntry:
    return AuditEntry(1, 0, "me", method, resource, "", json.dumps(detail), "q")


@pytest.mark.parametrize(
    ("method", "detail", "lines"),
    [
        (
            "SetCap",
            {"old_cap_nano_usd": 200 * USD, "new_cap_nano_usd": 290 * USD, "period_id": ""},
            [("cap", "$200.00", "$290.00")],
        ),
        (
            "SetCap",
            {"old_cap_nano_usd": None, "new_cap_nano_usd": USD, "reason": "grew"},
            [("cap", "none", "$1.00"), ("reason", "", "grew")],
        ),
        ("SetRateLimit", {"amount": 20, "amount_before": None}, [("amount", "", "20")]),
        ("SetRateLimit", {"amount": 20, "amount_before": 5}, [("amount", "5", "20")]),
        (
            "CreateKey",
            {"models": ["a/b", "c/d"], "expires_unix_ms": 0, "streams": True},
            [("models", "", "a/b, c/d"), ("expires", "", "none"), ("streams", "", "yes")],
        ),
        ("SetRateCard", {"markup_ppm": 125_000}, [("markup", "", "12.5%")]),
        ("Rerate", {"delta_nano_usd": "-1500000000"}, [("delta", "", "-$1.50")]),
        ("UpdateProject", {"patience_ms": 20_000}, [("patience", "", "20 seconds")]),
        (
            "SetPrice",
            {"rates_pico_usd": ["0:input=5000000", "flex/200000:output=10000000"]},
            [
                (
                    "rates",
                    "",
                    "input $5.00 a million, output $10.00 a million above 200,000 (flex)",
                )
            ],
        ),
        ("SetPrice", {"rates_pico_usd": ["an older form"]}, [("rates", "", "an older form")]),
        ("CreateBackup", {}, []),
    ],
)
def test_an_entry_says_what_it_set(
    method: str, detail: dict[str, object], lines: list[tuple[str, str, str]]
) -> None:
    (one,) = told([entry(method, "r", **detail)], "UTC", 10)
    assert list(one.lines) == [Line(*line) for line in lines]


def test_what_was_before_is_what_the_entries_before_it_left() -> None:
    trail = [
        entry("UpdateProject", "r", patience_ms=60_000, time_zone="UTC", reason="slow"),
        entry("UpdateProject", "another", patience_ms=1_000),
        entry("UpdateProject", "r", patience_ms=20_000, reason="slow"),
        entry("CreateProject", "r", time_zone="UTC", patience_ms=5_000),
    ]
    newest, *_ = told(trail, "UTC", 1)
    assert newest.title == "Update project"
    assert newest.lines == (
        Line("patience", "20 seconds", "1 minute"),
        Line("reason", "", "slow"),
    )


def test_the_desk_shows_words_and_keeps_what_was_recorded_behind_them(
    desk: Desk, owner: Browser
) -> None:
    acme = settle_in(desk)["Acme Dental Group"]
    owner.press(cap_path(acme), owner.get("/").text)
    page = owner.get("/settings").text
    assert "Set cap<" in page
    assert "cap: $200.00 → $290.00" in page
    words, _, behind = page.partition('id="audit"')[2].partition("As it was recorded")
    assert "{&#34;" not in words
    assert "new_cap_nano_usd&#34;: 290000000000" in behind
