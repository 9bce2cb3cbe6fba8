"""Every figure of every rendering is the frozen one, and what comes from outside stays text."""

import base64
import csv
import json
from dataclasses import replace
from decimal import Decimal
from html import unescape
from io import BytesIO, StringIO

import pypdfium2
import pytest
from PIL import Image

from control_plane import limits
from control_plane.core.statements import Brand, Statement, canonical, read
from control_plane.statements import figures
from control_plane.statements.charts import bar_chart_svg, scale_of
from control_plane.statements.document import picture_size, render_pdf
from control_plane.statements.page import render_html
from control_plane.statements.spreadsheet import harmless, render_csv
from control_plane.statements.view import Bar, View, view_of
from protos.values import ids
from tests.control_plane.statements import samples


def pdf_pages(statement: Statement) -> list[str]:
    document = pypdfium2.PdfDocument(render_pdf(statement))
    return [page.get_textpage().get_text_bounded() for page in document]


def squeezed(text: str) -> str:
    """Text without breaks: where a line is wrapped is nobody's business."""
    return "".join(text.replace("\ufffe", "").split())


def words_of(view: View) -> list[str]:
    """Everything that must be read somewhere."""
    found = [view.client, view.subtitle, view.headline, view.headline_below]
    for tile in view.tiles:
        found += [tile.label, tile.value, tile.below]
    for bar in (*view.bars, *view.models):
        found += [bar.label, bar.text]
    tables = [view.workflows, *(s.table for s in view.sections if s.table is not None)]
    for table in tables:
        for row in (table.head, *table.rows, table.foot):
            found += row
    for section in view.sections:
        found += [section.title, *section.lines]
    return [*found, *view.small_print]


@pytest.mark.parametrize("made", [samples.statement, samples.full], ids=["plain", "full"])
def test_pdf_and_page_say_the_same_words(made: object) -> None:
    statement = made()  # type: ignore[operator]  # a builder
    view = view_of(statement)
    pdf = squeezed("".join(pdf_pages(statement)))
    page = squeezed(unescape(render_html(statement)))
    for word in words_of(view):
        assert squeezed(word) in pdf, word
        assert squeezed(word) in page, word


def test_amounts_are_those_that_were_frozen() -> None:
    statement = samples.full()
    text = squeezed("".join(pdf_pages(statement)))
    of_workflows = [line.totals for line in statement.workflows]
    of_models = [line.totals for line in statement.models]
    for totals in (statement.totals, *of_workflows, *of_models):
        assert figures.money(totals.cost_nano_usd) in text
    rows = list(csv.DictReader(StringIO(render_csv(statement))))
    by_kind = {
        kind: sum(Decimal(row["amount_usd"]) for row in rows if row["kind"] == kind)
        for kind in ("total", "workflow")
    }
    exact = Decimal(statement.totals.cost_nano_usd).scaleb(-9)
    assert by_kind == {"total": exact, "workflow": exact}
    assert sum(int(row["calls"]) for row in rows if row["kind"] == "workflow") == 11_873


def test_two_hundred_workflows_take_several_numbered_pages_and_none_is_lost() -> None:
    statement = samples.crowded()
    pages = pdf_pages(statement)
    assert len(pages) > 4
    for number, page in enumerate(pages, 1):
        assert f"Page {number} of {len(pages)}" in page
        assert "Workflow" in page or number in (1, len(pages), len(pages) - 1)
    text = squeezed("".join(pages))
    for line in statement.workflows:
        assert squeezed(line.workflow) in text
        assert figures.money(line.totals.cost_nano_usd) in text
    assert "Стоматология«Улыбка»" in text
    assert "ΕυρωπαϊκήΟδοντιατρική" in text


def test_a_logo_that_cannot_be_drawn_is_left_out_and_the_figures_are_not() -> None:
    whole = base64.b64decode(samples.logo())
    assert picture_size(whole) == (128, 128)
    huge = BytesIO()
    Image.new("L", (limits.LOGO_PIXELS_MAX // 1_000 + 1, 1_000)).save(huge, "PNG")
    for logo in (whole[: len(whole) // 2], whole[:60] + bytes(200), huge.getvalue()):
        assert picture_size(logo) is None
        brand = Brand("Northwind", "#1d6ff2", "image/png", base64.b64encode(logo).decode())
        (page, *_) = pdf_pages(samples.statement(brand=brand))
        assert figures.money(samples.statement().totals.cost_nano_usd) in page


@pytest.mark.parametrize("count", [1, 14, 15])
def test_names_of_many_lines_fit_on_pages_however_many_they_are(count: int) -> None:
    names = [f"{number:02}{'W' * (ids.LABEL_CHARACTERS_MAX - 2)}" for number in range(count)]
    (line, *_) = samples.statement().workflows
    text = squeezed(
        "".join(
            pdf_pages(
                samples.statement(workflows=tuple(replace(line, workflow=name) for name in names))
            )
        )
    )
    assert not [name for name in names if name not in text]


def test_no_text_leaves_its_page() -> None:
    document = pypdfium2.PdfDocument(render_pdf(samples.crowded()))
    for page in document:
        wide, tall = page.get_size()
        text = page.get_textpage()
        for number in range(text.count_rects()):
            left, bottom, right, top = text.get_rect(number)
            assert left >= 0
            assert bottom >= 0
            assert right <= wide
            assert top <= tall


def test_the_same_statement_is_the_same_bytes_and_comes_back_from_its_frozen_text() -> None:
    statement = samples.full()
    assert read(canonical(statement)) == statement
    assert render_pdf(statement) == render_pdf(read(canonical(statement)))
    assert render_html(statement) == render_html(statement)


def test_nothing_names_the_software_unless_the_agency_wants_it() -> None:
    plain = samples.full()
    named = samples.statement(brand=Brand("Northwind", names_bursar=True))
    assert "bursar" not in render_html(plain).lower()
    assert b"bursar" not in render_pdf(plain).lower()
    assert "bursar" not in "".join(pdf_pages(plain)).lower()
    assert "Bursar" in render_html(named)
    assert "Bursar" in "".join(pdf_pages(named))


def test_words_from_outside_stay_words() -> None:
    evil = "<script>alert(1)</script><b>&amp;"
    line = samples.statement().workflows[0]
    hurt = [replace(line, workflow=evil)]
    statement = samples.statement(
        client=evil, note=evil, workflows=tuple(hurt), brand=Brand(agency=evil)
    )
    page = render_html(statement)
    assert "<script" not in page
    assert evil in unescape(page)
    assert squeezed(evil) in squeezed("".join(pdf_pages(statement)))
    assert "http" not in page.lower().replace("http-equiv", "")


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "|", "%"])
def test_a_cell_is_never_a_formula(begin: str) -> None:
    assert harmless(f"{begin}1+1") == f"'{begin}1+1"
    named = samples.statement(client=f"{begin}HYPERLINK()")
    for row in csv.reader(StringIO(render_csv(named))):
        assert not row[1].startswith(begin)
    assert harmless("-12.5") == "-12.5", "a number is a number"


def test_without_a_card_there_is_no_charge_and_with_one_no_cost_is_shown() -> None:
    charged = replace(samples.full().totals, charge_nano_usd=222 * samples.USD)
    month = replace(samples.full().months[-1], charge_nano_usd=222 * samples.USD)
    statement = replace(
        samples.full(), shows_charges=True, totals=charged, months=(month,), worths=()
    )
    text = render_html(statement) + "".join(pdf_pages(statement))
    assert "$222.00" in text
    for hidden in ("$168.42", "$200.00", "cap $", "$31.58", "$4.12", "$189"):
        assert hidden not in text, hidden


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "$0.00"),
        (1, "<$0.0001"),
        (790_000, "$0.0008"),
        (9_999_999, "$0.0100"),
        (10_000_000, "$0.01"),
        (15_000_000, "$0.02"),
        (25_000_000, "$0.02"),
        (168_420_000_000, "$168.42"),
        (-1_234_567_890_000_000, "-$1,234,567.89"),
    ],
)
def test_amounts_read_to_the_cent(nano: int, text: str) -> None:
    assert figures.money(nano) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "1 second"),
        (45, "45 seconds"),
        (180, "3 minutes"),
        (432_000, "120 hours"),
        (5_400, "1.5 hours"),
        (3_600, "1 hour"),
    ],
)
def test_times_read_as_people_say_them(seconds: int, text: str) -> None:
    assert figures.spell_seconds(seconds) == text


def test_a_picture_holds_all_bars_and_a_cap_that_is_near() -> None:
    bars = (Bar("May", 96, ""), Bar("Jun", 168, ""))
    assert scale_of(bars, 200).top_nano_usd == 200
    assert scale_of(bars, 10**6).top_nano_usd == 200
    assert scale_of((), None).top_nano_usd >= 1
    empty = samples.statement(months=samples.statement().months[:1])
    assert bar_chart_svg(view_of(empty)).startswith("<svg")


def test_the_frozen_text_holds_no_number_that_is_not_whole() -> None:
    assert "." not in json.dumps(json.loads(canonical(samples.full().totals)))
    with pytest.raises(AssertionError):
        canonical({"amount": 0.1})
