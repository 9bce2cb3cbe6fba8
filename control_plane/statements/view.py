"""What a statement says to people, word by word; HTML and PDF only lay it out.

So the two can never say different things, and a test reads both against the frozen value. Nothing
here names the software unless the agency wants it to.
"""

from dataclasses import dataclass

from control_plane.core.statements import (
    Latency,
    ModelLine,
    Statement,
    Totals,
    WorkflowLine,
    Worth,
)
from control_plane.statements import figures

_REASONS = {
    "exhausted": "the cap was reached",
    "too_large": "one call could have cost more than was left",
    "busy": "other calls held what was left",
    "project_suspended": "the service was paused",
    "model_not_allowed": "the model is not allowed",
}
"""What a client reads of why calls were stopped; other reasons are told by their names."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure that stands out."""

    label: str
    value: str
    below: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a picture."""

    label: str
    amount_nano_usd: int
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table; the first column is text, the others are figures."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    foot: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A part with a heading."""

    title: str
    lines: tuple[str, ...] = ()
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class View:
    """All words and figures of one statement."""

    client: str
    subtitle: str
    agency: str
    colour: str
    logo_type: str
    logo_base64: str
    headline: str
    headline_below: str
    tiles: tuple[Tile, ...]
    chart_title: str
    bars: tuple[Bar, ...]
    cap_nano_usd: int | None
    cap_text: str
    workflows: Table
    models: tuple[Bar, ...]
    sections: tuple[Section, ...]
    small_print: tuple[str, ...]
    footer: str


def view_of(statement: Statement) -> View:
    """The words of a frozen statement."""
    month = figures.month_name(statement.month.name)
    headline, below = _headline(statement)
    cap = statement.cap if statement.cap is not None and not statement.shows_charges else None
    agency = statement.brand.agency
    return View(
        client=statement.client,
        subtitle=f"AI automation report · {month}",
        agency=agency,
        colour=statement.brand.colour,
        logo_type=statement.brand.logo_type,
        logo_base64=statement.brand.logo_base64,
        headline=headline,
        headline_below=below,
        tiles=_tiles(statement),
        chart_title="Cost over time",
        bars=tuple(
            Bar(
                figures.month_short(line.name),
                statement.amount(line),
                figures.money_short(statement.amount(line)),
            )
            for line in statement.months
        ),
        cap_nano_usd=cap.cap_nano_usd if cap is not None else None,
        cap_text=f"cap {figures.money_short(cap.cap_nano_usd)}" if cap is not None else "",
        workflows=_workflows(statement),
        models=tuple(
            Bar(_model_name(line), amount, figures.money(amount))
            for line in statement.models
            for amount in [statement.amount(line.totals)]
        ),
        sections=tuple(_sections(statement)),
        small_print=tuple(_small_print(statement)),
        footer=f"{agency} · prepared for {statement.client}"
        if agency
        else f"Prepared for {statement.client}",
    )


def worth_text(worth: Worth) -> str:
    """Such as "2,400 leads at $0.07, 3 minutes each: 120 hours"."""
    return (
        f"{figures.count(worth.unit_count)} {worth.units} at "
        f"{figures.money(worth.per_unit_nano_usd)}, "
        f"{figures.spell_seconds(worth.seconds_per_unit)} each: "
        f"{figures.spell_seconds(worth.saved_seconds)}"
    )


def _headline(statement: Statement) -> tuple[str, str]:
    month = figures.month_name(statement.month.name)
    if statement.worths:
        worth = statement.worths[0]
        by_hand = figures.spell_seconds(worth.seconds_per_unit)
        agreed = f"as {worth.agreed_by} agreed on {figures.day_text(worth.agreed_on)}"
        return worth_text(worth), f"Of work by hand, at {by_hand} per {worth.unit}, {agreed}."
    totals = statement.totals
    amount = figures.money(statement.amount(totals))
    return f"{figures.count(totals.call_count)} AI calls for {amount} in {month}", ""


def _tiles(statement: Statement) -> tuple[Tile, ...]:
    totals, before, cap = statement.totals, statement.before, statement.cap
    used = ""
    if cap is not None and statement.shows_charges:
        used = f"{cap.used_percent}% of the cap used"
    elif cap is not None:
        used = f"{cap.used_percent}% of {figures.money_short(cap.cap_nano_usd)} cap"
    grown = ""
    if before is not None:
        by = figures.change(totals.call_count, before.call_count)
        last = statement.months[-2].name if len(statement.months) > 1 else ""
        grown = f"{by} vs {figures.month_short(last)}" if by and last else ""
    refused = sum(line.refused_count for line in statement.workflows)
    failed = f"{figures.count(totals.failed_count)} failed"
    if refused:
        failed += f", {figures.count(refused)} stopped"
    latency = statement.latency
    return (
        Tile("Total AI cost", figures.money(statement.amount(totals)), used),
        Tile("Calls", figures.count(totals.call_count), grown),
        Tile("Success rate", figures.mille_text(totals.success_mille), failed),
        Tile(
            "Median latency",
            figures.duration(latency.p50_ms) if latency else figures.NOTHING,
            f"p95 {figures.duration(latency.p95_ms)}" if latency else "",
        ),
    )


def _workflows(statement: Statement) -> Table:
    whole = statement.amount(statement.totals)
    rows = tuple(
        _row(_workflow_name(line), line.totals, line.latency, statement, whole)
        for line in statement.workflows
    )
    foot = _row("Total", statement.totals, statement.latency, statement, whole)
    head = ("Workflow", "Calls", "Tok/call", "Success", "Median", "Cost", "Share")
    return Table(head, rows, foot)


def _row(
    name: str, totals: Totals, latency: Latency | None, statement: Statement, whole: int
) -> tuple[str, ...]:
    amount = statement.amount(totals)
    return (
        name,
        figures.count(totals.call_count),
        figures.count(totals.tokens_per_call),
        figures.mille_text(totals.success_mille),
        figures.duration(latency.p50_ms) if latency else figures.NOTHING,
        figures.money(amount),
        figures.percent_of(amount, whole),
    )


def _workflow_name(line: WorkflowLine) -> str:
    if line.folded_count:
        return f"{line.folded_count} smaller workflows"
    return line.workflow or "without a workflow"


def _model_name(line: ModelLine) -> str:
    return f"{line.folded_count} more models" if line.folded_count else line.model


def _sections(statement: Statement) -> list[Section]:
    found = [
        _difference(statement),
        _worths(statement),
        _cap(statement),
        _stopped(statement),
        _incidents(statement),
        _ahead(statement),
        _coming(statement),
    ]
    if statement.note:
        found.append(Section("From your account manager", tuple(statement.note.splitlines())))
    if statement.brand.note:
        found.append(Section("Note", tuple(statement.brand.note.splitlines())))
    return [section for section in found if section is not None]


def _difference(statement: Statement) -> Section | None:
    difference = statement.difference
    if difference is None:
        return None
    nano = difference.charge_nano_usd if statement.shows_charges else difference.cost_nano_usd
    amount = f"{'+' if nano > 0 else ''}{figures.money(nano)}"
    text = "Usage that was reported late, or a price that was set right"
    return Section(
        f"Changed since version {difference.version}",
        (f"{text}: {difference.call_count:+,} calls, {amount}.",),
    )


def _worths(statement: Statement) -> Section | None:
    if len(statement.worths) < 2:
        return None
    rows = tuple(
        (
            worth.workflow,
            f"{figures.count(worth.unit_count)} {worth.units}",
            figures.money(worth.per_unit_nano_usd),
            figures.spell_seconds(worth.seconds_per_unit),
            figures.spell_seconds(worth.saved_seconds),
            f"{worth.agreed_by}, {figures.day_text(worth.agreed_on)}",
        )
        for worth in statement.worths
    )
    head = ("Workflow", "Units", "Each cost", "By hand", "Saved", "Agreed")
    return Section("What it was worth", table=Table(head, rows))


def _cap(statement: Statement) -> Section | None:
    cap = statement.cap
    if cap is None or statement.shows_charges:
        return None
    text = (
        f"{figures.money(cap.spent_nano_usd)} of the monthly cap of "
        f"{figures.money(cap.cap_nano_usd)} was used, {figures.money(cap.left_nano_usd)} was left."
    )
    return Section("Your cap", (text,))


def _stopped(statement: Statement) -> Section | None:
    if not statement.refusals:
        return None
    rows = tuple(
        (
            line.workflow or "without a workflow",
            _REASONS.get(line.reason, line.reason.replace("_", " ")),
            figures.count(line.refused_count),
            figures.date_at(line.first_unix_ms, statement.month.time_zone),
            figures.date_at(line.last_unix_ms, statement.month.time_zone),
        )
        for line in statement.refusals
    )
    head = ("Workflow", "Why", "Calls", "First", "Last")
    return Section("Calls that were stopped", table=Table(head, rows))


def _incidents(statement: Statement) -> Section | None:
    zone = statement.month.time_zone
    lines = []
    for incident in statement.incidents:
        text = f"{figures.date_at(incident.opened_unix_ms, zone)}: {incident.what}"
        if incident.acknowledged_unix_ms is not None:
            took = incident.acknowledged_unix_ms - incident.opened_unix_ms
            text += f"; acknowledged in {figures.duration(took)}"
        lines.append(text + ".")
    return Section("Alerts", tuple(lines)) if lines else None


def _ahead(statement: Statement) -> Section | None:
    ahead = statement.ahead
    if ahead is None or statement.shows_charges:
        return None
    low, high = map(figures.money_short, (ahead.low_nano_usd, ahead.high_nano_usd))
    expected = f"{figures.money_short(ahead.expected_nano_usd)} ({low} to {high})"
    month = figures.month_name(ahead.month)
    lines = [f"{month} is expected to come to {expected}, by the pattern of the last weeks."]
    if ahead.proposed_cap_nano_usd is not None:
        lines.append(
            f"We propose a cap of {figures.money_short(ahead.proposed_cap_nano_usd)}, so that "
            "nothing stops."
        )
    return Section("Next month", tuple(lines))


def _coming(statement: Statement) -> Section | None:
    lines = []
    for coming in statement.coming:
        date = figures.date_at(coming.from_unix_ms, statement.month.time_zone)
        text = f"{coming.model}: a new price from {date}"
        if coming.is_retired:
            text = f"{coming.model}: not served any more from {date}"
            text += f"; {coming.replacement} takes its place" if coming.replacement else ""
        if coming.effect_nano_usd and not statement.shows_charges:
            more = "more" if coming.effect_nano_usd > 0 else "less"
            text += f"; this month it would have cost {figures.money(abs(coming.effect_nano_usd))}"
            text += f" {more}"
        lines.append(text + ".")
    return Section("Coming changes", tuple(lines)) if lines else None


def _small_print(statement: Statement) -> list[str]:
    month, zone = statement.month, statement.month.time_zone
    first = figures.date_at(month.start_unix_ms, zone)
    last = figures.date_at(month.end_unix_ms - 1, zone)
    prices = (
        "Amounts are what you are charged"
        if statement.shows_charges
        else "Amounts are at the providers' prices in force at the time of each call"
    )
    meaning = "Success means that a call was answered. Latency is that of answered calls"
    lines = [f"From {first} to {last}, {zone}. {prices}, in US dollars. {meaning}, within a tenth."]
    if statement.shows_charges and statement.totals.charged_cost_nano_usd != (
        statement.totals.cost_nano_usd
    ):
        lines.append("Calls before your price list began are counted and not charged.")
    if statement.totals.estimated_count:
        lines.append(
            f"The usage of {figures.count(statement.totals.estimated_count)} calls was not "
            "reported by the provider and is estimated."
        )
    made = figures.date_at(statement.as_of_unix_ms, zone)
    lines.append(f"Version {statement.version} of {made}, {statement.statement_id}.")
    if statement.brand.names_bursar:
        lines.append("Metered and capped by Bursar.")
    return lines
