"""One client: what binds it, how long that lasts, what it was spent on, and what happened last.

A client of the agency sees another page of the same, the one that a share link shows: what it is
charged, and never what that cost, nor a word of anybody else.
"""

from collections.abc import Mapping
from typing import Any

from control_plane.core.latency import quantile_ms
from control_plane.core.log import CallFilter
from control_plane.core.overview import Standing
from control_plane.core.pages import Asked as AskedPage
from control_plane.core.principals import Role
from control_plane.store.engine import Tx
from control_plane.usecases import calls, overview, principals
from control_plane.usecases.client_overview import (
    ClientOverview,
    ClientTrail,
    client_overview,
    client_trail,
    workflow_overview,
)
from control_plane.web import charts, formatting
from control_plane.web.pages.clients import CLASSES, state_text
from control_plane.web.routes import Asked, Page, Route, View, page_of, project_of_path
from protos.values.recipes import DEFAULT_SIDECAR_URL, KEY_PLACEHOLDER, Place, Recipe, recipes

_DAYS_OF_MONTH_MAX = 31
_TOOLS = {"n8n_openai", "n8n_anthropic", "make", "zapier", "curl"}
"""Whose settings are shown until the first call."""


def read_client(tx: Tx, asked: Asked) -> View:
    """The page of one client."""
    is_for_client = asked.principal.role is Role.CLIENT
    client = client_overview(
        tx,
        asked.path["project_id"],
        asked.levels,
        asked.now_unix_ms,
        page=page_of(asked.query),
        is_for_client=is_for_client,
    )
    if is_for_client:
        return shared_view(client)
    trail = client_trail(tx, client, asked.levels, asked.now_unix_ms)
    standings = [*client.standings, *trail.agency]
    values = {
        **_month(client),
        "trail": trail,
        "names": principals.names(tx),
        "state_text": state_text,
        "classes": CLASSES,
        "steps": _steps(client, trail),
        "recipes": () if trail.calls else _recipes(),
        "lately": overview.lately_changed(tx, standings, asked.now_unix_ms),
        "stale": next(
            (one for one in standings if one.budget.budget_id == asked.query.get("stale")), None
        ),
        "time_left": _time_left(client.binding, asked.now_unix_ms),
    }
    return View("client.html", values, client.project.display_name)


def read_workflow(tx: Tx, asked: Asked) -> View:
    """The page of one workflow of a client."""
    name = asked.path["workflow"]
    found = workflow_overview(tx, asked.path["project_id"], name, asked.now_unix_ms)
    values = {
        "project": found.project,
        "workflow": name,
        "sums": found.sums,
        "p50": quantile_ms(found.took, 50),
        "p95": quantile_ms(found.took, 95),
        "models": found.models,
        "calls": calls.list_calls(
            tx, AskedPage(20), CallFilter(found.project.project_id, name)
        ).items,
    }
    return View("workflow.html", values, f"{name} of {found.project.display_name}")


def shared_view(client: ClientOverview) -> View:
    """What a client may see of itself: charges where there is a rate card, else costs."""
    charged = client.has_rate_card
    rows = [
        (row.group[0], row.sums.charge_nano_usd if charged else row.sums.cost_nano_usd, row.sums)
        for row in client.workflows
    ]
    total = client.total
    values = {
        "client": client,
        "charged": charged,
        "rows": rows,
        "total_nano_usd": total.charge_nano_usd if charged else total.cost_nano_usd,
        "state_text": state_text,
        "classes": CLASSES,
        "chart": None if charged else _chart(client),
        "latency": {name: quantile_ms(counts, 50) for name, counts in client.latencies.items()},
    }
    return View("shared.html", values, client.project.display_name)


def _month(client: ClientOverview) -> Mapping[str, Any]:
    return {
        "client": client,
        "chart": _chart(client),
        "latency": {
            name: (quantile_ms(counts, 50), quantile_ms(counts, 95))
            for name, counts in client.latencies.items()
        },
    }


def _chart(client: ClientOverview) -> Any:
    """Spend so far, day by day, under the cap where that is one of the month."""
    total, sums = 0, []
    for _, cost in client.days:
        total += cost
        sums.append(total)
    binding = client.binding
    line = None
    if (
        binding is not None
        and binding.cap_nano_usd is not None
        and binding.budget.window == "month"
    ):
        line = charts.Line(
            binding.cap_nano_usd, f"cap {formatting.usd_short(binding.cap_nano_usd)}"
        )
    labels = {number: str(number + 1) for number in (0, 7, 14, 21, 28)}
    title = f"Spent this month, day by day: {formatting.usd(total)} so far"
    return charts.bars(sums, _DAYS_OF_MONTH_MAX, labels, title, line)


def _time_left(standing: Standing | None, now_unix_ms: int) -> str:
    """How long what is left lasts as forecast, in words."""
    if standing is None or standing.cap_nano_usd is None or standing.outlook is None:
        return ""
    end = standing.outlook.runs_out_unix_ms
    if end is None or not standing.outlook.forecast.is_trusted:
        return ""
    hours = max(0, end - now_unix_ms) // formatting.HOUR_MS
    return f"{hours // 24} days" if hours >= 48 else f"{hours} hours"


def _steps(client: ClientOverview, trail: ClientTrail) -> list[tuple[str, bool, str]]:
    """What it takes until a client is served: what is done, and how to do what is not."""
    name = client.project.display_name
    capped = any(one.cap_nano_usd is not None for one in client.standings)
    return [
        ("A cap stops its calls", capped, f'bursar budget set "{name}" --cap 300'),
        ("It has a key", bool(client.key_names), f'bursar key issue "{name}"'),
        ("Its first call was seen", bool(trail.calls), f'bursar tail "{name}"'),
        (
            "What it is charged is set",
            client.has_rate_card,
            f'bursar client rate-card set "{name}" --markup 20%',
        ),
    ]


def _recipes() -> list[Recipe]:
    """How the tools that agencies use are told to use a key of the client."""
    place = Place(DEFAULT_SIDECAR_URL, KEY_PLACEHOLDER)
    return [one for one in recipes(place) if one.tool in _TOOLS]


ROUTES: tuple[Route, ...] = (
    Page("/clients/{project_id}", read_client, Role.CLIENT, project_of_path),
    Page("/clients/{project_id}/workflows/{workflow}", read_workflow),
)
