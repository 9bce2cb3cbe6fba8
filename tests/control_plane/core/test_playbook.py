"""A playbook says what is wrong with it, and a step stands as its check or a person says."""

from dataclasses import replace

import pytest

from control_plane.core.playbook import Mark, MarkKind, Outcome, Seen, judge, parse, to_markdown
from control_plane.core.playbook_checks import (
    CHECKS,
    AgencyFacts,
    ChannelSeen,
    ClientFacts,
)
from control_plane.playbooks import shipped
from protos.values.errors import InvalidArgumentError

DAY_MS = 86_400_000
NOW = 1_795_435_200_000
HEAD = 'id = "own"\ntitle = "Own"\nabout = "client"\n'
WELL = ClientFacts(
    project_id="prj_1",
    name="Acme Dental",
    has_cap=True,
    has_key=True,
    has_calls=True,
    has_rate_card=True,
    owner="Dana",
    backup="Lee",
    channels=(ChannelSeen("dana's mail", NOW - 30 * DAY_MS),),
    has_recipients=True,
    closed_month="2026-10",
    statement_state="SENT",
    unagreed=(),
    unpriced=(),
    retiring=(),
)
AGENCY = AgencyFacts(NOW, NOW - 7 * DAY_MS + 1, 1, (), 0, ())


def step(rest: str) -> str:
    return f'{HEAD}[[step]]\nid = "one"\ntext = "One"\n{rest}\n'


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("id = ", "is no TOML"),
        (HEAD, "has no step"),
        (step("check = 'cap_sett'"), "there is no check 'cap_sett'; did you mean 'cap_set'?"),
        (step("check = 'x == 1'"), "there is no check 'x == 1'; there are backup_recent"),
        (step(""), "step 'one': write either check"),
        (step("check = 'cap_set'\nmanual = true"), "step 'one': write either check"),
        (step("manual = 'yes'"), "step 'one': manual is true or false, without quotes"),
        (step("manual = true\nwave = true"), "has 'wave', which means nothing; did you mean"),
        (step("manual = true") + step("manual = true").removeprefix(HEAD), "stands twice"),
        (step("manual = true").replace('"client"', '"world"'), "about is 'world'"),
        (step("manual = true").replace('id = "own"', 'id = "Own Book"'), "'Own Book' is not"),
        (step("manual = true").replace('text = "One"', 'text = " "'), "step 'one' has no text"),
        ("#" * 40_000, "has more than"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_step(toml: str, told: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        parse(toml)
    assert told in refused.value.message


CLIENT_TROUBLES = [
    ("cap_set", {"has_cap": False}, "bursar budget set 'Acme Dental'"),
    ("key_issued", {"has_key": False}, "bursar key issue"),
    ("first_call_seen", {"has_calls": False}, "bursar client settings"),
    ("channel_tested", {"channels": ()}, "bursar escalation set"),
    ("channel_tested", {"channels": (ChannelSeen("ops", NOW - 31 * DAY_MS),)}, "channel test ops"),
    ("owner_and_backup_set", {"owner": ""}, "bursar escalation set"),
    ("owner_and_backup_set", {"backup": "Dana"}, "bursar escalation set"),
    ("roi_agreed", {"unagreed": ("lead scoring",)}, "'lead scoring'"),
    ("rate_card_set", {"has_rate_card": False}, "bursar client rate-card set"),
    ("statement_recipients_set", {"has_recipients": False}, "bursar statement settings"),
    ("statement_approved", {"statement_state": ""}, "bursar statement build"),
    ("statement_approved", {"statement_state": "DRAFT"}, "bursar statement approve"),
    ("statement_sent", {"statement_state": "APPROVED"}, "bursar statement send"),
    ("models_priced", {"unpriced": ("gpt-9",)}, "bursar price set PROVIDER gpt-9"),
    ("retiring_models_planned", {"retiring": (("openai", "gpt-4o"),)}, "retire openai gpt-4o"),
]


@pytest.mark.parametrize(("name", "changed", "fix"), CLIENT_TROUBLES)
def test_a_check_of_a_client_passes_when_all_is_well_and_names_what_mends_it(
    name: str, changed: dict[str, object], fix: str
) -> None:
    look = CHECKS[name].of_client
    assert look is not None
    assert look(WELL, NOW) is None
    trouble = look(replace(WELL, **changed), NOW)  # type: ignore[arg-type]  # fields by name
    assert trouble is not None
    assert fix in trouble.fix
    assert trouble.page.startswith("/")


AGENCY_TROUBLES = [
    ("backup_recent", {"backup_unix_ms": 0}, "bursar backup"),
    ("backup_recent", {"backup_unix_ms": NOW - 7 * DAY_MS}, "bursar backup"),
    ("sidecars_live", {"sidecar_count": 0}, "bursar sidecars invite"),
    ("sidecars_live", {"silent": ("host-1",)}, "bursar sidecars list"),
    ("no_orphaned_money", {"orphaned_nano_usd": 1, "orphans": ("host-1",)}, "bursar lease orphans"),
]


@pytest.mark.parametrize(("name", "changed", "fix"), AGENCY_TROUBLES)
def test_a_check_of_the_agency_does_the_same(
    name: str, changed: dict[str, object], fix: str
) -> None:
    look = CHECKS[name].of_agency
    assert look is not None
    assert look(AGENCY) is None
    trouble = look(replace(AGENCY, **changed))  # type: ignore[arg-type]  # fields by name
    assert trouble is not None
    assert trouble.fix.startswith(fix)


def test_every_check_is_in_one_of_the_tables() -> None:
    assert {row[0] for row in CLIENT_TROUBLES + AGENCY_TROUBLES} == set(CHECKS)


def test_a_statement_of_a_month_without_calls_is_missed_by_nobody() -> None:
    look = CHECKS["statement_sent"].of_client
    assert look is not None
    assert look(replace(WELL, closed_month="", statement_state=""), NOW) is None


@pytest.mark.parametrize("name", sorted(shipped()))
def test_what_comes_along_can_be_read_and_is_named_as_its_file(name: str) -> None:
    playbook = parse(shipped()[name])
    assert playbook.name == name
    assert all(f"**{one.step_id}**" in to_markdown(playbook) for one in playbook.steps)


def test_a_mark_holds_for_a_manual_step_and_a_waiver_only_where_it_is_allowed() -> None:
    playbook = parse(
        HEAD
        + '[[step]]\nid = "cap"\ntext = "C"\ncheck = "cap_set"\n'
        + '[[step]]\nid = "roi"\ntext = "R"\ncheck = "roi_agreed"\nwaive = true\n'
        + '[[step]]\nid = "told"\ntext = "T"\nmanual = true\n'
        + '[[step]]\nid = "left"\ntext = "L"\nmanual = true\n'
    )
    marks = [
        Mark("own", "cap", "prj_1", "", MarkKind.WAIVED, "usr_1", NOW),
        Mark("own", "roi", "prj_1", "", MarkKind.WAIVED, "usr_1", NOW, "a pilot"),
        Mark("own", "told", "prj_1", "", MarkKind.DONE, "usr_1", NOW),
    ]
    seen = {name: Seen(holds=False, text="no", fix="do") for name in ("cap_set", "roi_agreed")}
    found = judge(playbook, seen, marks, "bursar playbook mark own STEP")
    assert [one.outcome for one in found] == [
        Outcome.FAILED,
        Outcome.WAIVED,
        Outcome.DONE,
        Outcome.TO_DO,
    ]
    assert found[3].fix == "bursar playbook mark own left"
