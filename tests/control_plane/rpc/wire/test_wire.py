"""Wire and core say the same, in pairs; what cannot be said is refused by its field."""

from dataclasses import replace

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from control_plane.core.budgets import Budget, NewBudget
from control_plane.core.built_in_prices import BOOK
from control_plane.core.prices import Price
from control_plane.core.principals import Role
from control_plane.core.projects import NewProject, Project, ProjectState
from control_plane.core.windows import INSTANT_MAX_UNIX_MS, WINDOWS
from control_plane.rpc.wire import budgets, instants, keys, prices, principals, projects
from control_plane.usecases.budgets import ShownBudget
from protos.bursar.admin import v1
from protos.values.errors import InvalidArgumentError
from protos.values.rates import ModelPrice, Tier, Variant
from protos.values.selectors import Selector, SplitBy

SPLITS: tuple[SplitBy, ...] = ("", "key", "workflow")


@given(st.integers(0, INSTANT_MAX_UNIX_MS - 1))
def test_instants(unix_ms: int) -> None:
    message = v1.CreateKeyRequest(expire_time=instants.instant_to_wire(unix_ms))
    assert instants.instant_from_wire(message, "expire_time") == unix_ms


@given(st.integers(0, instants.DURATION_MAX_S * 1_000))
def test_lengths_of_time(length_ms: int) -> None:
    message = v1.RotateKeyRequest(overlap=instants.duration_to_wire(length_ms))
    assert instants.duration_from_wire(message, "overlap") == length_ms


@pytest.mark.parametrize(
    "stamp",
    [
        Timestamp(seconds=-1),
        Timestamp(nanos=-1),
        Timestamp(nanos=10**9),
        Timestamp(seconds=2**62),
        Timestamp(seconds=INSTANT_MAX_UNIX_MS // 1_000),
    ],
    ids=str,
)
def test_instants_that_are_none(stamp: Timestamp) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        instants.instant_from_wire(v1.CreateKeyRequest(expire_time=stamp), "expire_time")
    assert caught.value.fields == {"field": "expire_time"}


@pytest.mark.parametrize(
    "length",
    [Duration(seconds=-1), Duration(nanos=-1), Duration(nanos=10**9), Duration(seconds=2**40)],
    ids=str,
)
def test_lengths_that_are_none(length: Duration) -> None:
    with pytest.raises(InvalidArgumentError):
        instants.duration_from_wire(v1.RotateKeyRequest(overlap=length), "overlap")


def test_what_is_finer_than_a_millisecond_never_lengthens_an_instant() -> None:
    message = v1.CreateKeyRequest(expire_time=Timestamp(seconds=1, nanos=1_999_999))
    assert instants.instant_from_wire(message, "expire_time") == 1_001
    length = v1.RotateKeyRequest(overlap=Duration(nanos=1))
    assert instants.duration_from_wire(length, "overlap") == 1
    assert instants.instant_from_wire(v1.CreateKeyRequest(), "expire_time") is None


@pytest.mark.parametrize("split_by", SPLITS)
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("cap_nano_usd", [None, 0, 5])
def test_a_budget_read_is_a_budget_that_can_be_asked_for(
    split_by: SplitBy, window: str, cap_nano_usd: int | None
) -> None:
    asked = NewBudget(
        display_name="n",
        selector=Selector("p", "k", "w", "m", "r"),
        split_by=split_by,
        window=window,
        time_zone="UTC",
        anchor_day=1,
        cap_nano_usd=cap_nano_usd,
        max_offline_ms=300_000,
    )
    made = Budget(
        budget_id="b",
        display_name="n",
        selector=asked.selector,
        split_by=split_by,
        window=window,  # type: ignore[arg-type]  # the table holds windows
        time_zone="UTC",
        anchor_day=1,
        cap_nano_usd=cap_nano_usd,
        cap_version=1,
        max_offline_ms=300_000,
        offline_until_unix_ms=0,
        created_unix_ms=0,
        archived_unix_ms=None,
        version=3,
    )
    told = budgets.budget_to_wire(ShownBudget(made, None))
    assert budgets.new_budget_from_wire(told) == asked
    assert told.etag == "v3"
    assert told.HasField("cap_nano_usd") == (cap_nano_usd is not None)


def test_what_is_left_away_is_left_to_the_defaults() -> None:
    assert budgets.new_budget_from_wire(v1.Budget()) == NewBudget()
    assert projects.new_project_from_wire(v1.Project()) == NewProject("")


@pytest.mark.parametrize(
    ("message", "field"),
    [(v1.Budget(window=99), "budget.window"), (v1.Budget(split_by=99), "budget.split_by")],  # type: ignore[arg-type]  # unknown on purpose
    ids=["window", "split"],
)
def test_a_word_of_a_newer_language_is_refused(message: v1.Budget, field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        budgets.new_budget_from_wire(message)
    assert caught.value.fields == {"field": field}


_VARIANTS = replace(
    BOOK[0],
    model="served-otherwise",
    variants=(
        Variant("batch+us", (Tier(0, {"input": 1, "output": 2}), Tier(9, {"input": 3}))),
        Variant("flex", (Tier(0, {"input": 4}),)),
    ),
)


@pytest.mark.parametrize("model_price", [*BOOK, _VARIANTS], ids=lambda price: price.model)
def test_every_price_survives_the_wire(model_price: ModelPrice) -> None:
    told = prices.price_to_wire(Price(model_price, 7, "built in"))
    assert prices.model_price_from_wire(told) == model_price
    assert told.source == "built in"


@pytest.mark.parametrize(
    "tiers",
    [
        [],
        [v1.PriceTier(above_input_count=1)],
        [v1.PriceTier(), v1.PriceTier()],
        [v1.PriceTier(), v1.PriceTier(above_input_count=5), v1.PriceTier(above_input_count=5)],
        [v1.PriceTier(rates=[v1.Rate(kind="input"), v1.Rate(kind="input")])],
        [v1.PriceTier(above_input_count=n) for n in range(9)],
    ],
    ids=str,
)
def test_tiers_that_make_no_price(tiers: list[v1.PriceTier]) -> None:
    with pytest.raises(InvalidArgumentError):
        prices.model_price_from_wire(v1.Price(tiers=tiers))


@pytest.mark.parametrize("name", ["", "Flex", "us+batch", "a+", "a b", "x" * 65, "batch+batch"])
def test_names_that_no_variant_has(name: str) -> None:
    variant = v1.PriceVariant(name=name, tiers=[v1.PriceTier()])
    with pytest.raises(InvalidArgumentError, match=r"price\.variants\.name"):
        prices.model_price_from_wire(v1.Price(tiers=[v1.PriceTier()], variants=[variant]))


@pytest.mark.parametrize("names", [["flex", "flex"], [f"v{n}" for n in range(33)]])
def test_variants_that_stand_there_too_often(names: list[str]) -> None:
    variants = [v1.PriceVariant(name=name, tiers=[v1.PriceTier()]) for name in names]
    with pytest.raises(InvalidArgumentError, match=r"price\.variants"):
        prices.model_price_from_wire(v1.Price(tiers=[v1.PriceTier()], variants=variants))


def test_roles() -> None:
    for role in Role:
        assert principals.role_from_wire(principals.role_to_wire(role)) is role
    for unknown in (v1.Role.ROLE_UNSPECIFIED, 99):
        with pytest.raises(InvalidArgumentError):
            principals.role_from_wire(unknown)  # type: ignore[arg-type]  # unknown on purpose


@pytest.mark.parametrize("state", list(ProjectState))
def test_every_state_of_a_project_has_a_word(state: ProjectState) -> None:
    project = Project("prj_1", "Acme", "UTC", state, 20_000, 5, 6, 7)
    told = projects.project_to_wire(project)
    assert v1.ProjectState.Name(told.state) == f"PROJECT_STATE_{state.value}"
    assert projects.new_project_from_wire(told) == NewProject("Acme", "UTC", 20_000)
    other = projects.project_to_wire(replace(project, version=8))
    assert other.etag != told.etag


def test_a_mask_names_what_changes_and_nothing_else_does() -> None:
    key = v1.Key(display_name="new", models=["m"], workflow="w")
    change = keys.key_change_from_wire(
        v1.UpdateKeyRequest(key=key, update_mask=FieldMask(paths=["models"]))
    )
    assert (change.display_name, change.models, change.workflow) == (None, ("m",), None)
    emptied = keys.key_change_from_wire(
        v1.UpdateKeyRequest(key=v1.Key(), update_mask=FieldMask(paths=["models", "workflow"]))
    )
    assert (emptied.display_name, emptied.models, emptied.workflow) == (None, (), "")
    for paths in ([], ["*"], ["key_id"], ["models", "secrets"]):
        with pytest.raises(InvalidArgumentError) as caught:
            keys.key_change_from_wire(
                v1.UpdateKeyRequest(key=key, update_mask=FieldMask(paths=paths))
            )
        assert caught.value.fields == {"field": "update_mask"}
