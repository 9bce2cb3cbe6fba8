"""The checker finds nothing in what is well, and finds each thing that is doctored."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.caller import ANTHROPIC, OPENAI, Answer, Asked
from tests.chaos.checker import differences
from tests.chaos.facts import Billed, Booked, Facts, Killed, Leased, Made, Promise, Span, Standing

S = 1_000_000_000
TAG = "r1-0-0-0"
COST, WORST = 7_000_000, 10_000_000
REFUSED = "r1-0-0-1"

Doctor = Callable[[Facts], None]


def asked(tag: str, **changes: Any) -> Asked:
    """A plain call of at most a cent."""
    made = Asked(tag=tag, family=OPENAI, model="rehearsal-cent", limit_tokens=10, workflow="mails",
                 knobs="reply_tokens=7")  # fmt: skip
    return replace(made, **changes)


def refusal(
    family: str = OPENAI, reason: str = "exhausted", code: str = "insufficient_quota"
) -> bytes:
    """A refusal's body in a family's envelope."""
    if family == ANTHROPIC:
        details = {"error_code": code, "reason": reason}
        error = {"type": "billing_error", "message": "Used up.", "details": details}
        return json.dumps({"type": "error", "error": error}).encode()
    told = {"message": "Used up.", "type": "insufficient_quota", "code": code}
    return json.dumps({"error": told | {"bursar": {"reason": reason}}}).encode()


def well() -> Facts:
    """A call that was billed and booked, and one that was refused; all as it must be."""
    passed = Answer(10 * S, ended_ns=12 * S, status=200, whole=True, body=b"{}",
                    headers={"x-bursar-cost-nano-usd": str(COST)})  # fmt: skip
    refused = Answer(13 * S, ended_ns=13 * S, status=402, whole=True, body=refusal(),
                     headers={"x-should-retry": "false"})  # fmt: skip
    budgets = ("agency", "client")
    return Facts(
        made={
            TAG: Made(asked(TAG), "one", "p", "k", budgets, passed),
            REFUSED: Made(asked(REFUSED), "two", "p", "k", budgets, refused),
        },
        billed=[Billed(TAG, "req_1", 11 * S, 12 * S, "done", 200, False, COST, WORST)],
        booked=[Booked("call_1", TAG, COST, False, "ok", "req_1")],
        ceilings={"agency": 2 * WORST, "client": WORST},
        budget_bills={"agency": COST, "client": COST},
        standings={
            "agency": Standing(COST, 5, 0, 0, 0),
            "client": Standing(COST, 0, 0, 0, 0),
        },
        leases=[Leased("agency", "sdc_1", 5, 0, "ACTIVE")],
        whole=True,
    )


def bill(facts: Facts, **changes: Any) -> None:
    facts.billed[0] = replace(facts.billed[0], **changes)


def book(facts: Facts, **changes: Any) -> None:
    facts.booked[0] = replace(facts.booked[0], **changes)


def answer(facts: Facts, tag: str = TAG, **changes: Any) -> None:
    facts.made[tag] = replace(facts.made[tag], answer=replace(facts.made[tag].answer, **changes))


def ask(facts: Facts, tag: str = TAG, **changes: Any) -> None:
    facts.made[tag] = replace(facts.made[tag], asked=replace(facts.made[tag].asked, **changes))


def stand(facts: Facts, budget_id: str = "agency", **changes: Any) -> None:
    facts.standings[budget_id] = replace(facts.standings[budget_id], **changes)


def put(facts: Facts, **changes: Any) -> None:
    for name, value in changes.items():
        setattr(facts, name, value)


def killed(from_s: float, to_s: float) -> Killed:
    return Killed(int(from_s * S), int(to_s * S))


def kill(facts: Facts, from_s: float, to_s: float | None = None) -> None:
    facts.deaths["one"] = [killed(from_s, to_s or from_s)]


def unanswered(facts: Facts, **ends: Any) -> None:
    """A call that somebody took and nobody answered, beside what became of its sidecar."""
    answer(facts, REFUSED, status=0, whole=False, connected=True)
    put(facts, **ends)


def promise(facts: Facts, at_s: float, **changes: Any) -> None:
    facts.promises.append(Promise("it", int(at_s * S), **changes))


def test_what_is_well_has_no_differences() -> None:
    assert differences(well()) == []


DOCTORED: dict[str, tuple[Doctor, str]] = {
    "a cap passed": (lambda f: f.ceilings.update(client=COST - 1), "I1"),
    "billed above the worst case": (lambda f: bill(f, worst_nano_usd=COST - 1), "above its worst"),
    "nobody made it": (lambda f: bill(f, tag="r1-9-9-9"), "nobody made"),
    "billed twice": (lambda f: f.billed.append(f.billed[0]), "more than once"),
    "not in the ledger": (lambda f: f.booked.clear(), "is not in the ledger"),
    "twice in the ledger": (
        lambda f: f.booked.append(replace(f.booked[0], call_id="call_2")),
        "in the ledger 2 times",
    ),
    "one call id twice": (lambda f: f.booked.append(f.booked[0]), "call call_1 is in the ledger"),
    "booked too low": (lambda f: book(f, cost_nano_usd=COST - 1), "only"),
    "booked too high": (lambda f: book(f, cost_nano_usd=COST + 1), "as exactly"),
    "estimated too low": (
        lambda f: book(f, cost_nano_usd=COST - 1, estimated=True),
        "only",
    ),
    "estimated without need": (
        lambda f: book(f, cost_nano_usd=WORST, estimated=True),
        "lived to see its usage",
    ),
    "exact after death": (lambda f: kill(f, 11.5), "was dead when it ended"),
    "booked for another request": (lambda f: book(f, request_id="req_2"), "req_2"),
    "charged and never billed": (
        lambda f: f.booked.append(Booked("call_2", REFUSED, WORST, True, "lost", "")),
        "was not billed",
    ),
    "booked, and made by nobody": (
        lambda f: f.booked.append(Booked("call_2", "other", 0, False, "not_sent", "")),
        "that nobody made",
    ),
    "held at rest": (lambda f: stand(f, held_nano_usd=1), "I4"),
    "leases do not add up": (lambda f: stand(f, leased_nano_usd=6), "its leases come to 5"),
    "a lease below nothing": (
        lambda f: f.leases.append(Leased("client", "sdc_1", -1, 0, "ACTIVE")),
        "holds -1",
    ),
    "a budget forgets a call": (lambda f: stand(f, spent_nano_usd=0), "its ledger has 0"),
    "a budget counts what is none": (
        lambda f: stand(f, spent_nano_usd=COST + 1),
        f"its calls come to {COST}",
    ),
    "untold, and set aside nowhere": (
        lambda f: put(
            f,
            booked=[],
            silenced={"one": [Span(9 * S, 20 * S)]},
            silenced_budgets=frozenset(f.standings),
            standings={budget_id: Standing(0, 0, 0, 0, 0) for budget_id in f.standings},
        ),
        "set aside nowhere",
    ),
    "untold, and only others hold so much": (
        lambda f: put(
            f,
            booked=[],
            silenced={"one": [Span(9 * S, 20 * S)]},
            silenced_budgets=frozenset(f.standings),
            standings={b: Standing(0, COST, 0, 0, 0) for b in f.standings},
            leases=[Leased(b, "sdc_2", COST, 0, "ACTIVE") for b in f.standings],
        ),
        "can never be told",
    ),
    "untold, long after it was silenced": (
        lambda f: put(f, booked=[], silenced={"one": [Span(0, 9 * S)]}),
        "is not in the ledger",
    ),
    "still learning": (lambda f: put(f, mode="LEARNING"), "still LEARNING"),
    "still open": (lambda f: put(f, in_flight=1), "calls open"),
    "a revoked key went on": (lambda f: promise(f, 10, key_id="k"), "I5"),
    "a revoked sidecar went on": (lambda f: promise(f, 10, sidecar="one"), "I5"),
    "a lowered cap was passed": (
        lambda f: promise(f, 10, budget_id="client", cap_nano_usd=COST - 1),
        "I5",
    ),
    "200 without a bill": (lambda f: bill(f, cost_nano_usd=0), "not billed"),
    "an answer tells another cost": (
        lambda f: answer(f, headers={"x-bursar-cost-nano-usd": "1"}),
        "its answer says 1",
    ),
    "refused and billed": (lambda f: bill(f, tag=REFUSED), "refused (exhausted), and billed"),
    "the wrong status": (lambda f: answer(f, REFUSED, status=429), "came as 429"),
    "the wrong envelope": (lambda f: ask(f, REFUSED, family=ANTHROPIC), "nothing here causes"),
    "a reason that nothing causes": (
        lambda f: answer(f, REFUSED, body=refusal(reason="no_budget", code="no_budget")),
        "nothing here causes",
    ),
    "a final refusal to be tried again": (
        lambda f: answer(f, REFUSED, headers={"x-should-retry": "true"}),
        "x-should-retry: true",
    ),
    "an error shown as the provider's": (
        lambda f: answer(f, REFUSED, status=500, headers={"x-bursar-upstream": "provider"}),
        "shown as the provider's",
    ),
    "no answer from a living sidecar": (
        unanswered,
        "got no answer",
    ),
    "no answer, and its sidecar died later": (
        lambda f: unanswered(f, deaths={"two": [killed(14, 14.1)]}),
        "got no answer",
    ),
    "no answer to a call from before the end of its sidecar": (
        lambda f: unanswered(f, stops={"two": [Span(13_500_000_000, 14 * S)]}),
        "got no answer",
    ),
    "a part of a refusal": (
        lambda f: answer(f, REFUSED, whole=False, connected=True),
        "a part of a 402",
    ),
    "an alarm": (lambda f: f.alarms.append(("one", "fenced")), "one raised fenced"),
}


@pytest.mark.parametrize("name", DOCTORED)
def test_what_is_doctored_is_found(name: str) -> None:
    doctor, words = DOCTORED[name]
    facts = well()
    doctor(facts)
    found = differences(facts)
    assert any(words in difference for difference in found), found


FORGIVEN: dict[str, list[Doctor]] = {
    "estimated after its sidecar was killed": [
        lambda f: kill(f, 11.5),
        lambda f: book(f, cost_nano_usd=WORST, estimated=True, outcome="lost", request_id=""),
        lambda f: stand(f, spent_nano_usd=WORST),
        lambda f: stand(f, "client", spent_nano_usd=WORST),
    ],
    "exact though its sidecar died later": [lambda f: kill(f, 12.5)],
    "exact, and its sidecar was gone no sooner than it ended": [lambda f: kill(f, 11.5, 12)],
    "exact while the disk failed": [lambda f: put(f, deaths={"one": [Span(11 * S, 20 * S)]})],
    "a line to the provider was cut": [
        lambda f: f.bad_lines.append(Span(11 * S, 12 * S)),
        lambda f: book(f, estimated=True),
    ],
    "overbilled because it was asked for": [
        lambda f: bill(f, cost_nano_usd=COST, worst_nano_usd=COST - 1),
        lambda f: f.made.update({TAG: replace(f.made[TAG], overbilled=True)}),
        lambda f: f.ceilings.update(client=COST - 1),
        lambda f: f.budget_overruns.update(client=1),
    ],
    "no answer from a sidecar that was killed": [
        lambda f: unanswered(f, deaths={"two": [killed(13, 13.1)]})
    ],
    "no answer from a sidecar that was about to end": [
        lambda f: unanswered(f, stops={"two": [Span(12 * S, 14 * S)]})
    ],
    "no answer for a caller that hung up": [
        lambda f: answer(f, REFUSED, status=0, whole=False, connected=True, hung_up=True)
    ],
    "nobody there": [lambda f: answer(f, REFUSED, status=0, whole=False)],
    "started before the promise": [lambda f: promise(f, 10.9, key_id="k")],
    "a lowered cap that still covers it": [
        lambda f: promise(f, 10, budget_id="client", cap_nano_usd=COST)
    ],
    "an alarm that was to come": [
        lambda f: f.alarms.append(("one", "fenced")),
        lambda f: put(f, expected_alarms=frozenset(("fenced",))),
    ],
    "untold after its journal was lost, and set aside": [
        lambda f: f.booked.clear(),
        lambda f: put(f, silenced={"one": [Span(9 * S, 20 * S)]}, leases=[]),
        lambda f: put(f, silenced_budgets=frozenset(f.standings)),
        lambda f: put(f, standings={b: Standing(0, 0, 0, 0, COST) for b in f.standings}),
    ],
    "untold after its journal was lost, and charged as a lump": [
        lambda f: f.booked.clear(),
        lambda f: put(f, silenced={"one": [Span(9 * S, 20 * S)]}, leases=[]),
        lambda f: put(f, silenced_budgets=frozenset(f.standings)),
        lambda f: put(f, standings={b: Standing(COST, 0, 0, 0, 0, COST) for b in f.standings}),
    ],
}


def test_a_sidecar_that_ends_says_of_a_call_that_was_sent_that_it_may_be_billed() -> None:
    ended: tuple[tuple[str, int, str], ...] = (
        ("upstream_broke_off", 502, "false"),
        ("shutting_down", 503, "true"),
    )
    found = {}
    for reason, status, retry in ended:
        facts = well()
        headers = {"x-should-retry": retry}
        answer(facts, status=status, body=refusal(reason=reason, code=reason), headers=headers)
        found[reason] = differences(facts)
    assert found["upstream_broke_off"] == []
    assert found["shutting_down"] == [f"{TAG}: refused (shutting_down), and billed {COST}"]


@pytest.mark.parametrize("name", FORGIVEN)
def test_what_a_fault_explains_is_no_difference(name: str) -> None:
    facts = well()
    for doctor in FORGIVEN[name]:
        doctor(facts)
    assert differences(facts) == []


def test_many_differences_are_told_by_their_number() -> None:
    facts = well()
    facts.alarms = [("one", f"alarm-{number}") for number in range(100)]
    assert differences(facts)[-1] == "and 60 more"
