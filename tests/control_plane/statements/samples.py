"""Statements to render: one that is like a real one, and what may be changed of it."""

import base64
from dataclasses import replace
from io import BytesIO

from PIL import Image, ImageDraw

from control_plane.core.statements import (
    FORMAT,
    Ahead,
    Brand,
    Cap,
    Coming,
    Difference,
    Incident,
    Latency,
    ModelLine,
    MonthLine,
    RefusedLine,
    Statement,
    Totals,
    WorkflowLine,
    Worth,
)
from control_plane.usecases.statement_values import month_of
from tests.control_plane.desk import NOON

USD = 1_000_000_000
CENT = USD // 100


def logo() -> str:
    picture = Image.new("RGBA", (128, 128), (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle((0, 0, 127, 127), 30, fill="#1d6ff2")
    draw.line([(34, 92), (34, 40), (64, 70), (94, 40), (94, 92)], fill="white", width=14)
    out = BytesIO()
    picture.save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode("ascii")


def totals(calls: int, tokens: int, failed: int, cost: int) -> Totals:
    return Totals(calls, failed, 0, tokens * calls * 3 // 4, tokens * calls // 4, cost)


WORKFLOWS = (
    ("Lead enrichment", 4_812, 1_940, 19, 8_410 * CENT, 1_600),
    ("Inbox triage", 3_977, 1_120, 20, 3_122 * CENT, 1_200),
    ("Proposal drafting", 611, 6_480, 8, 2_995 * CENT, 7_900),
    ("CRM summaries", 2_250, 980, 13, 1_780 * CENT, 1_400),
    ("Voice notes", 223, 2_210, 4, 535 * CENT, 3_300),
)
MODELS = (
    ("openai", "gpt-6-mini", 6_120 * CENT),
    ("anthropic", "claude-sonnet-5", 5_890 * CENT),
    ("google", "gemini-3-flash", 3_340 * CENT),
    ("openai", "gpt-6-nano", 1_492 * CENT),
)


def statement(**fields: object) -> Statement:
    month = month_of("Europe/Berlin", "2026-10")
    assert month is not None
    lines = tuple(
        WorkflowLine(name, totals(calls, tokens, failed, cost), Latency(took, 3 * took), 0)
        for name, calls, tokens, failed, cost, took in WORKFLOWS
    )
    whole = Totals(
        *(
            sum(getattr(line.totals, name) for line in lines)
            for name in (
                "call_count",
                "failed_count",
                "estimated_count",
                "input_count",
                "output_count",
                "cost_nano_usd",
            )
        )
    )
    trend = ((5, 96), (6, 112), (7, 131), (8, 149), (9, 154))
    made = Statement(
        format=FORMAT,
        statement_id="stm_0000000000000000000000000a",
        version=1,
        project_id="prj_0000000000000000000000000a",
        client="Acme Dental Group",
        month=month,
        as_of_unix_ms=month.end_unix_ms + 2 * 86_400_000,
        shows_charges=False,
        totals=whole,
        before=Totals(call_count=10_893, cost_nano_usd=154 * USD),
        latency=Latency(1_900, 6_200),
        months=(
            *(MonthLine(f"2026-{m:02}", cost * USD, 0, 9_000) for m, cost in trend),
            MonthLine("2026-10", whole.cost_nano_usd, 0, whole.call_count),
        ),
        workflows=lines,
        models=tuple(
            ModelLine(provider, name, totals(2_000, 1_500, 9, cost), Latency(1_500, 4_000))
            for provider, name, cost in MODELS
        ),
        refusals=(),
        incidents=(),
        cap=Cap("Acme Dental Group", 200 * USD, whole.cost_nano_usd),
        worths=(
            Worth(
                "Lead enrichment", "lead", "leads", 2_400, 180, "Dr. Chen", "2026-03-02", 168 * USD
            ),
        ),
        ahead=None,
        coming=(),
        brand=Brand("Northwind Automation", "#1d6ff2", "image/png", logo()),
        note="",
        difference=None,
        lines_sha256="0" * 64,
    )
    return replace(made, **fields)  # type: ignore[arg-type]  # a test's own fields


def full() -> Statement:
    """Everything that a statement may say."""
    return statement(
        refusals=(
            RefusedLine(
                "Inbox triage",
                "exhausted",
                "Acme",
                38,
                NOON - 30 * 86_400_000,
                NOON - 29 * 86_400_000,
            ),
        ),
        incidents=(
            Incident(
                "80% of the cap was used",
                NOON - 30 * 86_400_000,
                NOON - 30 * 86_400_000 + 360_000,
                None,
            ),
        ),
        worths=(
            Worth(
                "Lead enrichment", "lead", "leads", 2_400, 180, "Dr. Chen", "2026-03-02", 168 * USD
            ),
            Worth(
                "Inbox triage", "mail", "mails", 3_957, 45, "Dr. Chen", "2026-03-02", 3_122 * CENT
            ),
        ),
        ahead=Ahead("2026-11", 170 * USD, 189 * USD, 214 * USD, 240 * USD),
        coming=(Coming("openai", "gpt-6-mini", NOON + 86_400_000, -412 * CENT),),
        note="We moved inbox triage to a smaller model in mid-month.\nAsk us anything.",
        difference=Difference(1, "0" * 64, 12, 85 * CENT, 0),
        version=2,
    )


def crowded(count: int = 200) -> Statement:
    """As many workflows as a statement lists, with names of all lengths and scripts."""
    names = [
        "Παραγγελίες και τιμολόγια",
        "Обработка заявок",
        "Übergrößenträgerprüfung",
        "a" * 64,
        "weekly sync of everything with everything else in every region",
    ]
    lines = tuple(
        WorkflowLine(
            f"{number:03} {names[number % len(names)]}"[:64],
            totals(100 + number, 1_000 + number, number % 7, (1_000 + 37 * number) * CENT),
            Latency(1_000 + number, 4_000),
            0,
        )
        for number in range(count)
    )
    models = tuple(
        ModelLine("openai", f"model-{number}-{'long-' * 10}", totals(10, 10, 0, number * USD), None)
        for number in range(50)
    )
    return statement(
        client="Ευρωπαϊκή Οδοντιατρική Ομάδα & Стоматология «Улыбка» " + "Longname " * 5,
        workflows=lines,
        models=models,
    )
