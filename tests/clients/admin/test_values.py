"""The client's values carry everything that is on the wire, and secrets never show."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone
from typing import cast

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from clients import admin
from clients.admin import (
    budgets,
    calls,
    installation,
    keys,
    leases,
    policy,
    prices,
    principals,
    projects,
    providers,
    sidecars,
)
from clients.admin.instants import instant_from_wire, instant_or_none_from_wire, instant_to_wire
from protos.bursar.admin import v1
from protos.values.rates import Tier, Variant

PAIRS = [
    (v1.Project(), projects.project_from_wire),
    (v1.Budget(), budgets.budget_from_wire),
    (v1.Period(), budgets.period_from_wire),
    (v1.CapChange(), budgets.cap_change_from_wire),
    (v1.Reach(), policy.reach_from_wire),
    (v1.Key(), keys.key_from_wire),
    (v1.KeySecret(), keys.key_secret_from_wire),
    (v1.Lease(), leases.lease_from_wire),
    (v1.Sidecar(), sidecars.sidecar_from_wire),
    (v1.Provider(), providers.provider_from_wire),
    (v1.Price(), prices.price_from_wire),
    (v1.Call(), calls.call_from_wire),
    (v1.UsageRow(), calls.usage_row_from_wire),
    (v1.QueryUsageResponse(), calls.usage_from_wire),
    (v1.Refusal(), calls.refusal_from_wire),
    (v1.Principal(), principals.principal_from_wire),
    (v1.AdminToken(), principals.admin_token_from_wire),
    (v1.AuditEntry(), principals.audit_entry_from_wire),
    (v1.Installation(), installation.installation_from_wire),
]


@pytest.mark.parametrize(("wire", "read"), PAIRS, ids=lambda one: type(one).__name__)
def test_a_value_has_every_field_of_its_message(wire: Message, read: object) -> None:
    assert callable(read)
    value = read(wire)
    assert {one.name for one in fields(value)} == {one.name for one in wire.DESCRIPTOR.fields}


def filled(message: Message, depth: int = 0) -> Message:
    """A message in which every field has a value of its own."""
    declared = cast("list[FieldDescriptor]", message.DESCRIPTOR.fields)
    for number, one in enumerate(declared, 1):
        if one.is_repeated:
            continue
        if one.message_type is not None:
            if depth < 2:
                filled(getattr(message, one.name), depth + 1)
            getattr(message, one.name).SetInParent()
        elif one.enum_type is not None:
            setattr(message, one.name, one.enum_type.values[-1].number)
        elif one.type == one.TYPE_BOOL:
            setattr(message, one.name, True)
        elif one.type == one.TYPE_STRING:
            setattr(message, one.name, f"{one.name} {number}")
        else:
            setattr(message, one.name, number * 1000)
    return message


@pytest.mark.parametrize(("wire", "read"), PAIRS, ids=lambda one: type(one).__name__)
def test_no_field_is_read_from_another_ones_place(wire: Message, read: object) -> None:
    assert callable(read)
    value = read(filled(type(wire)()))
    for one in type(wire).DESCRIPTOR.fields:
        if one.type == one.TYPE_STRING and not one.is_repeated:
            assert getattr(value, one.name) == f"{one.name} {one.index + 1}"
        elif one.type in {one.TYPE_INT64, one.TYPE_INT32} and not one.is_repeated:
            assert getattr(value, one.name) == (one.index + 1) * 1000


def test_a_price_survives_the_way_there_and_back() -> None:
    price = admin.Price(
        provider="openai",
        model="gpt-x",
        aliases=("gpt-x-1",),
        input_max_count=1000,
        output_max_count=100,
        tiers=(Tier(0, {"input": 250_000, "output": 2_000_000}), Tier(500, {"input": 1})),
        valid_from_time=datetime(2026, 11, 23, tzinfo=UTC),
        cache_write_implicit=True,
        expands_text=True,
        hides_reasoning=True,
        variants=(Variant("flex", (Tier(0, {"input": 5}), Tier(9, {"input": 7}))),),
    )
    assert prices.price_from_wire(prices.price_to_wire(price)) == price


def test_an_absent_cap_is_none_and_a_cap_of_nothing_is_zero() -> None:
    assert budgets.budget_from_wire(v1.Budget()).cap_nano_usd is None
    assert budgets.budget_from_wire(v1.Budget(cap_nano_usd=0)).cap_nano_usd == 0


def test_secrets_do_not_show() -> None:
    key = keys.key_from_wire(v1.Key())
    principal = principals.principal_from_wire(v1.Principal())
    now = datetime(2026, 1, 1, tzinfo=UTC)
    shown = [
        admin.IssuedKey(key=key, secret="hush"),
        admin.IssuedToken(principal=principal, token="hush"),
        admin.JoinToken(join_token="hush", expire_time=now),
    ]
    assert "hush" not in repr(shown)


def test_instants_keep_their_microseconds_and_become_utc() -> None:
    berlin = timezone(timedelta(hours=1))
    given = datetime(2026, 11, 23, 12, 30, 15, 123456, tzinfo=berlin)
    wire = instant_to_wire(given)
    assert wire is not None
    assert instant_from_wire(wire) == given
    assert instant_from_wire(wire).tzinfo is UTC
    assert instant_or_none_from_wire(Timestamp()) is None


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        instant_to_wire(datetime(2026, 1, 1))  # noqa: DTZ001 - that is what is refused
