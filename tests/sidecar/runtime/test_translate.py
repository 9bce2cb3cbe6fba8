"""The sidecar's values and the wire's are the same values."""

import pytest

from protos.bursar.sidecar import v1 as wire
from protos.values.rates import cost_nano_usd
from protos.values.selectors import Attributes
from sidecar.core.calls import Hold, Outcome, Settlement
from sidecar.core.leases import AccountKey, LeaseKey
from sidecar.core.policy import WhenTooLarge
from sidecar.runtime import translate
from tests.sidecar.builders import CENT, MONTH, NOON, attributes, new_call
from tests.sidecar.control_plane_double import policy_message

HOLD = Hold("call_1", new_call(4 * CENT, of=attributes(workflow="news")), 4 * CENT, 2_048, NOON)
VECTOR = (LeaseKey("bgt_a", "news", MONTH), LeaseKey("bgt_b", "", "once"))


def begun() -> wire.Record:
    return translate.record_begun(HOLD, VECTOR, [AccountKey("bgt_free", "")], "eu")


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_its_name_on_the_wire(outcome: Outcome) -> None:
    body = translate.settle_to_wire(begun(), 1, Settlement(outcome=outcome), 0, NOON)
    told = wire.Record.FromString(body).settle.call.outcome
    assert wire.Outcome.Name(told) == f"OUTCOME_{outcome.name}"


def test_a_settled_call_tells_everything_that_is_known_of_it() -> None:
    ended = Settlement(
        outcome=Outcome.CLIENT_GONE,
        cost_nano_usd=3 * CENT,
        estimated=True,
        cost_told=True,
        quantities={"input": 10, "output": 20},
        answered_model="gpt-x-2026",
        tier="default",
        status=200,
        error_kind="hung_up",
        first_byte_ms=12,
        provider_request_id="req_1",
    )
    record = wire.Record.FromString(translate.settle_to_wire(begun(), 7, ended, 3 * CENT, NOON + 5))
    call = record.settle.call
    expected = wire.Call(
        call_id="call_1",
        started_unix_ms=NOON,
        ended_unix_ms=NOON + 5,
        project_id="prj_a",
        key_id="key_a",
        secret_id="sec_a",
        workflow="news",
        region="eu",
        provider="openai",
        surface="/v1/chat/completions",
        requested_model="gpt-x",
        answered_model="gpt-x-2026",
        tier="default",
        outcome=wire.Outcome.OUTCOME_CLIENT_GONE,
        error_kind="hung_up",
        status=200,
        first_byte_ms=12,
        price_version="book-1",
        worst_nano_usd=4 * CENT,
        cost_nano_usd=3 * CENT,
        estimated=True,
        cost_told=True,
        provider_request_id="req_1",
        clamped_output_count=2_048,
        quantities=[
            wire.Quantity(kind="input", count=10),
            wire.Quantity(kind="output", count=20),
        ],
        vector=[
            wire.LeaseKey(budget_id="bgt_a", partition="news", period_id=MONTH),
            wire.LeaseKey(budget_id="bgt_b", period_id="once"),
        ],
        counted=[wire.BudgetRef(budget_id="bgt_free")],
    )
    assert call == expected
    assert (record.seq, record.settle.amount_nano_usd) == (7, 3 * CENT)


def test_what_was_written_at_the_open_is_found_again_after_a_crash() -> None:
    opened = begun()
    found = translate.record_from_open(translate.open_to_wire(opened))
    assert found == opened
    assert translate.vector_from_open(found) == VECTOR


def test_a_void_carries_the_call_and_no_cost() -> None:
    ended = Settlement(outcome=Outcome.PROVIDER_ERROR, status=429, error_kind="rate_limit")
    record = wire.Record.FromString(translate.void_to_wire(begun(), 3, ended, NOON))
    assert record.WhichOneof("kind") == "void"
    assert record.void.call.call_id == "call_1"
    assert (record.void.call.status, record.void.call.cost_nano_usd) == (429, 0)
    with pytest.raises(AssertionError):
        translate.void_to_wire(begun(), 3, Settlement(Outcome.OK, cost_nano_usd=1), NOON)


def test_overruns_and_returns_name_their_leases() -> None:
    overrun = wire.Record.FromString(translate.overrun_to_wire(4, "call_1", CENT, VECTOR)).overrun
    assert [key.budget_id for key in overrun.vector] == ["bgt_a", "bgt_b"]
    record = wire.Record.FromString(translate.return_to_wire(5, VECTOR[0], 9 * CENT))
    given = getattr(record, "return")
    assert (given.lease.partition, given.returned_nano_usd) == ("news", 9 * CENT)


def test_a_policy_is_understood_with_its_prices() -> None:
    known = translate.policy_from_wire(policy_message(3), "eu")
    assert (known.version, known.region) == (3, "eu")
    price = known.price("openai", "gpt-x", NOON)
    assert price is not None
    assert cost_nano_usd({"input": 1_000}, price) == 1_000_000
    assert cost_nano_usd({"input": 1_000}, price, "flex") == 500_000
    project = known.project("prj_a")
    assert project is not None
    assert project.patience_ms == 20_000
    [key] = known.keys
    assert key.expires_unix_ms is None
    assert not key.models


def test_what_a_client_wants_of_calls_that_do_not_fit_is_understood() -> None:
    told = [
        wire.Project(project_id="prj_a", active=True),
        wire.Project(project_id="prj_b", when_too_large=2, hosted_call_count=3),  # type: ignore[arg-type]  # as it comes
        wire.Project(project_id="prj_c", when_too_large=99, hosted_call_count=-1),  # type: ignore[arg-type]  # from the future
    ]
    known = translate.policy_from_wire(policy_message(1, projects=told), "").projects
    assert [(one.when_too_large, one.hosted_calls) for one in known] == [
        (WhenTooLarge.CLAMP, 0),
        (WhenTooLarge.REJECT, 3),
        (WhenTooLarge.CLAMP, 0),
    ]


def test_defaults_of_output_are_understood_and_one_that_limits_nothing_is_none() -> None:
    defaults = [
        wire.OutputDefault(project_id="prj_a", workflow="leads", model="gpt-x", limit_count=7),
        wire.OutputDefault(project_id="prj_a", model="gpt-x"),
    ]
    known = translate.policy_from_wire(policy_message(1, output_defaults=defaults), "")
    assert known.output_defaults.limit_for(Attributes("prj_a", "k", "leads", "gpt-x")) == 7
    assert known.output_defaults.limit_for(Attributes("prj_a", "k", "news", "gpt-x")) is None


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        pytest.param(
            policy_message(1, budgets=[wire.Budget(budget_id="bgt_a", split_by=99)]),  # type: ignore[arg-type]  # from the future
            "split in a way",
            id="split",
        ),
        pytest.param(
            policy_message(1, keys=[wire.Key(digest=b"short", key_id="key_a")]),
            "not a SHA-256",
            id="digest",
        ),
        pytest.param(
            policy_message(1, providers=[wire.Provider(provider="x", family="telepathy")]),
            "telepathy",
            id="family",
        ),
        pytest.param(
            policy_message(
                1,
                prices=[
                    wire.Price(
                        model="m", tiers=[wire.PriceTier(rates=[wire.Rate(kind="thoughts")])]
                    )
                ],
            ),
            "thoughts",
            id="kind",
        ),
        pytest.param(
            policy_message(1, prices=[wire.Price(model="m")]), "does not make sense", id="no tier"
        ),
    ],
)
def test_what_is_not_understood_is_refused_and_named(policy: wire.Policy, words: str) -> None:
    with pytest.raises(translate.UnknownPolicyError, match=words):
        translate.policy_from_wire(policy, "")


def test_patience_is_bounded_and_has_a_default() -> None:
    projects = [
        wire.Project(project_id="a", patience_ms=0),
        wire.Project(project_id="b", patience_ms=10**9),
    ]
    known = translate.policy_from_wire(policy_message(1, projects=projects), "")
    assert [project.patience_ms for project in known.projects] == [20_000, 600_000]


def test_a_status_that_is_not_known_counts_as_busy() -> None:
    told = {translate.status_from_wire(status) for status in wire.SyncStatus.values()}
    assert told == {"ok", "gap", "fenced", "learning", "stale", "busy"}
    assert translate.status_from_wire(99) == "busy"


def test_an_answer_without_an_end_never_ends() -> None:
    grant = translate.grant_from_wire(wire.LeaseGrant(lease=wire.LeaseKey(budget_id="bgt_a")))
    assert grant.period_end_unix_ms is None
    assert grant.keep_nano_usd == 0


def test_rates_of_later_kinds_are_taken_where_they_are_known() -> None:
    rates = [wire.Rate(kind="input", pico_usd=1)]
    more = [wire.Rate(kind="web_search", pico_usd=7), wire.Rate(kind="thoughts", pico_usd=9)]
    tier = wire.PriceTier(rates=rates, more_rates=more)
    message = policy_message(1, prices=[wire.Price(provider="p", model="m", tiers=[tier])])
    price = translate.policy_from_wire(message, "").price("p", "m", NOON)
    assert price is not None
    assert price.tiers[0].rates_pico_usd == {"input": 1, "web_search": 7}
