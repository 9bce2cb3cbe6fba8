"""What the rules look at, from the roll-ups and rows that a control plane really has."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from control_plane.core.alerts import Finding, Rule, Severity
from control_plane.core.latency import step_of
from control_plane.core.ledger import RollupKey, RollupSum
from control_plane.store import forecasts, prices, rollups, sidecars
from control_plane.store.engine import Tx
from control_plane.store.retirements import Retirement
from control_plane.usecases import retirements
from control_plane.usecases.watching import look
from tests.control_plane.alert_world import MINUTE_MS, AlertWorld
from tests.control_plane.desk import DAY_MS, HOUR_MS, USD

BUCKET_MS = 900_000


@pytest.fixture
def world(tmp_path: Path) -> Iterator[AlertWorld]:
    made = AlertWorld(tmp_path)
    yield made
    made.store.close()


def book(world: AlertWorld, ago_ms: int = 0, project: str = "", **sums: int) -> None:
    bucket = (world.now - ago_ms) // BUCKET_MS * BUCKET_MS
    project = project or world.acme.project_id
    key = RollupKey(bucket, project, "key", "leads", "gpt-4o", "openai", "ok")
    world.do_alone(lambda tx: rollups.add(tx, {key: RollupSum(**sums)}))  # type: ignore[arg-type]  # whole numbers all


def found(world: AlertWorld) -> dict[Rule, Finding]:
    world.watch.clients.clear()
    world.watch.answers_unix_ms = 0
    seen = world.read(lambda tx: look(tx, world.watch, world.now))
    world.watch.took(seen, world.now)
    return {one.rule: one for one in seen.findings}


def test_a_quiet_installation_has_nothing_to_tell(world: AlertWorld) -> None:
    book(world, call_count=100, cost_nano_usd=USD, input_count=1_000, output_count=100)
    assert found(world) == {}


def test_a_client_that_is_charged_less_than_it_costs(world: AlertWorld) -> None:
    book(world, cost_nano_usd=5 * USD, charged_cost_nano_usd=5 * USD, charge_nano_usd=4 * USD)
    assert found(world)[Rule.MARGIN].facts["loss_nano_usd"] == USD


def test_a_retired_model_and_what_its_replacement_would_cost(world: AlertWorld) -> None:
    book(world, call_count=1, cost_nano_usd=40 * USD, input_count=10**7, output_count=10**6)
    gone = Retirement("openai", "gpt-4o", world.now + 6 * DAY_MS, "gpt-4o-mini", "")
    world.do(lambda tx, act: retirements.set_retirement(tx, gone, act))
    one = found(world)[Rule.RETIRING]
    assert (one.severity, one.facts["spent_nano_usd"]) == (Severity.P2, 40 * USD)
    assert 0 < int(one.facts["replaced_nano_usd"]) < 40 * USD // 10


def test_a_price_that_will_be_dearer_is_told_with_its_effect(world: AlertWorld) -> None:
    book(world, call_count=1, cost_nano_usd=40 * USD, input_count=10**7, output_count=0)

    def dearer(tx: Tx) -> None:
        now = next(p for p in prices.everything(tx) if p.name == ("openai", "gpt-4o"))
        tier = now.model_price.tiers[0]
        rates = {kind: rate * 5 // 4 for kind, rate in tier.rates_pico_usd.items()}
        changed = replace(
            now.model_price, version="pbk_new", tiers=(replace(tier, rates_pico_usd=rates),)
        )
        new = replace(now, model_price=changed, valid_from_unix_ms=world.now + DAY_MS)
        prices.insert(tx, new, world.now)

    world.do_alone(dearer)
    assert found(world)[Rule.PRICE].facts["effect_nano_usd"] == 10 * USD


def test_failures_of_a_workflow_and_of_a_provider(world: AlertWorld) -> None:
    book(world, call_count=100, failed_count=60)
    assert found(world)[Rule.ERROR_RATE].severity is Severity.P1
    for name in ("Beta", "Gamma"):
        project, _ = world.client(name, 10)
        book(world, project=project.project_id, call_count=50, failed_count=40)
    assert found(world)[Rule.OUTAGE].facts["client_count"] == 3
    world.pass_ms(7 * HOUR_MS)
    assert found(world) == {}


def test_a_sidecar_that_is_silent(world: AlertWorld) -> None:
    sidecar = world.sidecar()

    def speak(tx: Tx) -> None:
        sidecars.set_state(tx, sidecar.sidecar_id, "ACTIVE")
        sidecars.heard(tx, sidecar.sidecar_id, world.now, stopped=False)

    world.do_alone(speak)
    assert found(world) == {}
    world.pass_ms(3 * MINUTE_MS)
    assert found(world)[Rule.SILENT].facts["sidecar"] == sidecar.display_name


def test_calls_of_a_workflow_that_take_longer_than_they_use_to(world: AlertWorld) -> None:
    def slow(days_ago: int, ms: int, count: int) -> None:
        bucket = (world.now - days_ago * DAY_MS) // BUCKET_MS * BUCKET_MS
        key = RollupKey(bucket, world.acme.project_id, "key", "leads", "gpt-4o", "openai", "ok")
        row = RollupSum(latency_counts={step_of(ms): count})
        world.do_alone(lambda tx: rollups.add(tx, {key: row}))

    slow(3, 1_000, 200)
    slow(0, 1_000, 200)
    assert found(world) == {}
    world.pass_ms(30 * MINUTE_MS)
    slow(0, 4_000, 30)
    assert found(world)[Rule.LATENCY].measure > 3_000
    world.pass_ms(30 * MINUTE_MS)
    slow(0, 1_000, 30)
    assert found(world) == {}


def test_a_forecast_is_made_of_the_roll_ups_and_kept_for_all(world: AlertWorld) -> None:
    for day in range(1, 40):
        book(world, day * DAY_MS, cost_nano_usd=5 * USD)
    world.look()
    seen = world.read(forecasts.latest)[world.acme_budget.budget_id]
    assert seen.forecast.is_trusted
    # Today's hour, less a millisecond of it, and seven days.
    assert 0 < 40 * USD - seen.forecast.expected_nano_usd < 10_000
    assert (seen.runs_out_unix_ms, seen.made_unix_ms) == (None, world.now)
