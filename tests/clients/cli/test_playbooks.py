"""A playbook ends with 1 until each step is so; whoever marks one is on record."""

from pathlib import Path
from typing import Any

OWN = """
id = "handover"
title = "Handing a client over"
about = "client"

[[step]]
id = "cap"
text = "A cap is set"
check = "cap_set"

[[step]]
id = "met"
text = "The client met its new owner"
manual = true
waive = true
"""


def by_step(told: Any) -> dict[str, Any]:
    return {one["step"]["step_id"]: one for one in told["findings"]}


def test_onboarding_is_seen_step_by_step_and_each_gap_names_what_mends_it(
    run: Any, run_json: Any
) -> None:
    run("client", "add", "Stepwise", "--statements-to", "office@stepwise.example")
    told = run_json("playbook", "verify", "onboarding", "--client", "Stepwise", code=1)
    found = by_step(told)
    assert told["ok"] is False
    assert found["key"]["outcome"] == found["statements"]["outcome"] == "PASSED"
    assert found["cap"]["outcome"] == "FAILED"
    assert found["cap"]["fix"] == "bursar budget set Stepwise --cap 300"
    run("budget", "set", "Stepwise", "--cap", "300")
    told = run_json("playbook", "verify", "onboarding", "--client", "Stepwise", code=1)
    assert by_step(told)["cap"]["outcome"] == "PASSED"
    shown = run("playbook", "verify", "onboarding", "--client", "Stepwise", code=1).stdout
    assert "→ bursar client settings Stepwise" in shown
    assert "→ bursar playbook mark onboarding explained --client Stepwise" in shown


def test_an_own_playbook_is_applied_in_versions_and_ends_with_0_when_all_is_so(
    run: Any, run_json: Any, tmp_path: Path
) -> None:
    file = tmp_path / "handover.toml"
    file.write_text(OWN)
    assert run_json("playbook", "apply", str(file))["playbook"]["version"] == 1
    run("client", "add", "Handed", "--cap", "5")
    verify = ("playbook", "verify", "handover", "--client", "Handed")
    mark = ("playbook", "mark", "handover", "met", "--client", "Handed")
    assert "say why" in run(*mark, "--waive", code=2).stderr
    waived = run_json(*mark, "--waive", "--note", "same owner")["finding"]
    assert (waived["outcome"], waived["note"]) == ("WAIVED", "same owner")
    run(*verify)
    run(*mark, "--undo")
    run(*verify, code=1)
    assert run_json(*mark)["finding"]["outcome"] == "DONE"
    assert run_json(*verify)["ok"] is True
    audit = run("audit", "--json").stdout
    assert audit.count('"MarkStep"') >= 3
    file.write_text(OWN.replace("A cap is set", "A cap of a month is set"))
    made = run_json("playbook", "apply", str(file))["playbook"]
    assert made["version"] == 2
    assert made["author_id"]
    assert "A cap of a month is set" in run("playbook", "export", "handover").stdout
    assert (
        run("playbook", "export", "handover", "--toml").stdout.strip()
        == OWN.replace("A cap is set", "A cap of a month is set").strip()
    )


def test_what_is_wrong_with_a_file_is_told(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(OWN.replace("cap_set", "cap_sett"))
    assert "did you mean 'cap_set'" in run("playbook", "apply", str(file), code=2).stderr
    file.write_bytes(b"\xff")
    run("playbook", "apply", str(file), code=2)


def test_a_step_is_marked_by_a_person_only_where_no_check_sees_it(run: Any) -> None:
    run("client", "add", "Marked", "--cap", "5")
    seen = ("playbook", "mark", "onboarding", "cap", "--client", "Marked")
    assert "seen by itself" in run(*seen, code=2).stderr
    assert "cannot be waived" in run(*seen, "--waive", "--note", "no", code=2).stderr
    assert "name one" in run("playbook", "mark", "onboarding", "explained", code=2).stderr
    run("playbook", "mark", "onboarding", "nothing", "--client", "Marked", code=2)
    run("playbook", "verify", "nothing", code=3)


def test_the_agency_is_looked_at_over_all_its_clients(run: Any, run_json: Any) -> None:
    run("client", "add", "Uncharged", "--cap", "5")
    told = run_json("playbook", "verify", "monthly-review", code=1)
    found = by_step(told)
    assert found["charges"]["outcome"] == "FAILED"
    assert found["sidecars"]["fix"] == "bursar sidecars invite"
    names = [one["name"] for one in run_json("playbook", "list")["playbooks"]]
    assert {"escalation", "model-selection", "monthly-review", "onboarding"} <= set(names)
    assert "seen" not in run("playbook", "show", "onboarding").stderr
