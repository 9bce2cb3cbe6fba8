"""An agency with clients in every state, as the pages show them."""

import random
from dataclasses import dataclass

from control_plane.core.alerts import Alert, Event, Happening, Rule, Severity, State
from control_plane.core.budgets import Budget, NewBudget
from control_plane.core.forecast import Forecast, Trouble
from control_plane.core.ledger import RollupKey, RollupSum
from control_plane.core.projects import NewProject, Project
from control_plane.store import alerts as alert_store
from control_plane.store import forecasts, rollups
from control_plane.store.engine import Tx
from control_plane.store.forecasts import SeenForecast
from control_plane.usecases import projects
from tests.control_plane.desk import DAY_MS, HOUR_MS, USD, Desk

BUCKET_MS = 900_000


@dataclass(frozen=True)
class Client:
    """A client of the agency."""

    project: Project
    budget: Budget
    key_id: str = ""

    @property
    def id(self) -> str:
        return self.project.project_id


def add_client(desk: Desk, name: str, cap_nano_usd: int | None, zone: str = "") -> Client:
    first = NewBudget(cap_nano_usd=cap_nano_usd)
    asked = NewProject(name, zone)
    project, budget = desk.do(lambda tx, act: projects.create_project(tx, asked, first, act))
    key, _ = desk.key(project, display_name="n8n")
    return Client(project, budget, key.key_id)


def spend(desk: Desk, client: Client, nano_usd: int) -> None:
    """Have a client's budget be charged in its current period."""
    span = client.budget.span_at(desk.now)

    def book(tx: Tx) -> None:
        tx.run(
            """INSERT INTO period (budget_id, partition, period_id, start_unix_ms, end_unix_ms,
                 cap_nano_usd, cap_version, allocated_nano_usd, spent_nano_usd,
                 overrun_nano_usd, orphan_hold_nano_usd, state)
               VALUES (:budget, '', :period, :start, :end, :cap, 1, :spent, :spent, 0, 0,
                 'OPEN')""",
            {
                "budget": client.budget.budget_id,
                "period": span.period_id,
                "start": span.start_unix_ms,
                "end": span.end_unix_ms,
                "cap": client.budget.cap_nano_usd,
                "spent": nano_usd,
            },
        )

    desk.do_alone(book)


def add_alert(desk: Desk, client: Client, alert_id: str) -> None:
    """Have a client's cap be near."""
    facts = {"client": client.project.display_name, "budget": "monthly", "partition": ""}
    facts |= {"budget_id": client.budget.budget_id}
    amounts = {"cap_nano_usd": 100 * USD, "spent_nano_usd": 81 * USD, "end_unix_ms": 0}
    alert = Alert(
        alert_id,
        Rule.THRESHOLD,
        "80",
        client.id,
        Severity.P2,
        State.OPEN,
        desk.now,
        facts={**facts, **amounts, "percent": 80},
        opened_unix_ms=desk.now,
        round_unix_ms=desk.now,
    )
    found = Happening(alert_id, desk.now, Event.FOUND, State.OPEN, Severity.P2)

    def keep(tx: Tx) -> None:
        alert_store.put(tx, alert)
        alert_store.add_history(tx, [found])

    desk.do_alone(keep)


def roll_up(desk: Desk, client: Client, days: int, daily_nano_usd: int, calls: int = 40) -> None:
    """Have a client's calls be summed over some days until now."""
    dice = random.Random(client.id)
    sums: dict[RollupKey, RollupSum] = {}
    for day in range(days):
        for workflow in ("lead enrichment", "inbox triage", "proposals")[: 1 + dice.randrange(3)]:
            at = (desk.now - day * DAY_MS - dice.randrange(8) * HOUR_MS) // BUCKET_MS * BUCKET_MS
            cost = daily_nano_usd * dice.randrange(40, 160) // 300
            model = dice.choice(["gpt-5-mini", "claude-sonnet-5", "gemini-3-flash"])
            key = RollupKey(at, client.id, client.key_id, workflow, model, "openai", "ok")
            sums[key] = RollupSum(
                call_count=calls,
                failed_count=dice.randrange(2),
                input_count=1000 * calls,
                output_count=100 * calls,
                cost_nano_usd=cost,
                charge_nano_usd=cost * 13 // 10,
                charged_cost_nano_usd=cost,
            )
    desk.do_alone(lambda tx: rollups.add(tx, sums))


def refuse(desk: Desk, client: Client, calls: int, reason: str = "exhausted") -> None:
    """Have a client's budget refuse calls just now."""
    minute = desk.now // 60_000 * 60_000
    desk.do_alone(
        lambda tx: tx.run(
            """INSERT INTO refusal (minute_unix_ms, sidecar_id, project_id, key_id, workflow,
                 model, reason, budget_id, refused_count, sample)
               VALUES (:minute, 'sdc', :project, 'key', 'lead enrichment', 'gpt-5-mini', :reason,
                 :budget, :calls, '')""",
            {
                "minute": minute,
                "project": client.id,
                "reason": reason,
                "budget": client.budget.budget_id,
                "calls": calls,
            },
        )
    )


def settle_in(desk: Desk) -> dict[str, Client]:
    """An agency of eight clients: one stopped, one near its cap, others well."""
    table = (
        ("Acme Dental Group", 200, 200_00),
        ("Bolt Logistics", 1000, 871_40),
        ("Cedar Law", 300, 120_90),
        ("Dune Retail", 900, 410_20),
        ("Elm Clinic", 100, 14_05),
        ("Fjord Yachts & Sons", 500, 74_12),
        ("Gable Homes", None, 33_10),
        ("Harbour Freight Forwarding International", 2500, 1_106_00),
    )
    found: dict[str, Client] = {}
    for name, cap, cents in table:
        client = add_client(desk, name, None if cap is None else cap * USD)
        spend(desk, client, cents * USD // 100)
        roll_up(desk, client, 40, cents * USD // 100 // 22, calls=cents // 30)
        found[name] = client
    for name, usd in (("Acme Dental Group", 261), ("Bolt Logistics", 1136), ("Cedar Law", 311)):
        foresee(desk, found[name], usd)
    foresee(desk, found["Dune Retail"], 540)
    foresee(desk, found["Elm Clinic"], 19)
    foresee(desk, found["Fjord Yachts & Sons"], 90, trouble=Trouble.IRREGULAR)
    desk.pass_ms(90_000)
    refuse(desk, found["Acme Dental Group"], 37)
    desk.pass_ms(60_000)
    return found


def log_call(desk: Desk, client: Client, call_id: str) -> None:
    """Put one call into the ledger, as a sidecar would have told it."""
    values: dict[str, str | int | None] = {
        **dict.fromkeys(("epoch", "seq", "position", "streamed"), 1),
        **dict.fromkeys(("secret_id", "execution", "step", "region", "alias", "tier"), ""),
        **dict.fromkeys(("parent_call_id", "provider_request_id", "error_kind"), ""),
        "call_id": call_id,
        "sidecar_id": "sdc_1",
        "started_unix_ms": desk.now - 4_200,
        "ended_unix_ms": desk.now - 1_000,
        "booked_unix_ms": desk.now,
        "project_id": client.id,
        "key_id": client.key_id,
        "workflow": "lead enrichment",
        "provider": "openai",
        "surface": "/v1/chat/completions",
        "requested_model": "gpt-5-mini",
        "answered_model": "gpt-5-mini",
        "outcome": "ok",
        "status": 200,
        "first_byte_ms": 640,
        "quantities_json": '{"input": 1200, "output": 300}',
        "price_version": "v1",
        "worst_nano_usd": 4_000_000,
        "cost_nano_usd": 900_000,
        "charge_nano_usd": 1_080_000,
        "estimated": 0,
        "clamped_output_count": 0,
    }
    columns, places = ", ".join(values), ", ".join(f":{name}" for name in values)
    statement = f"INSERT INTO call ({columns}) VALUES ({places})"  # noqa: S608 - our names
    desk.do_alone(lambda tx: tx.run(statement, values))


def foresee(desk: Desk, client: Client, usd: int, *, trouble: Trouble = Trouble.NONE) -> None:
    """Have a client's budget be forecast, as the alerts do every hour."""
    nano_usd = usd * USD
    span = client.budget.span_at(desk.now)
    cap = client.budget.cap_nano_usd
    runs_out = desk.now + 3 * DAY_MS if cap is not None and nano_usd > cap else None
    what = Forecast(nano_usd, nano_usd * 95 // 100, nano_usd * 106 // 100, trouble, 90_000, 40)
    seen = SeenForecast(client.budget.budget_id, span.period_id, what, runs_out, desk.now)
    desk.do_alone(lambda tx: forecasts.put(tx, seen))
