"""A statement as one HTML page that asks for nothing else: style, picture and logo are in it."""

from functools import lru_cache
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from control_plane.core.statements import Statement
from control_plane.statements.charts import bar_chart_svg, tint
from control_plane.statements.view import view_of


@lru_cache(maxsize=1)
def _templates() -> Environment:
    folder = resources.files("control_plane.statements").joinpath("templates")

    def load(name: str) -> str:
        return folder.joinpath(name).read_text(encoding="utf-8")

    return Environment(
        autoescape=True, loader=FunctionLoader(load), undefined=StrictUndefined, trim_blocks=True
    )


def render_html(statement: Statement) -> str:
    """The page. Every word from outside is escaped; colours and logos were checked when set."""
    view = view_of(statement)
    return (
        _templates()
        .get_template("statement.html")
        .render(
            view=view,
            chart=Markup(bar_chart_svg(view)),  # noqa: S704 - the picture escapes its own texts
            soft=tint(view.colour, 92),
            pale=tint(view.colour, 58),
            most=max([1, *(bar.amount_nano_usd for bar in view.models)]),
        )
    )
