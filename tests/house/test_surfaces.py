"""The README's table of what is served is the program's own."""

from pathlib import Path

from sidecar.inventory import markdown
from tests.house import tree

README = Path("sidecar/README.md")
REMEDY = "put what `python -m sidecar surfaces --markdown` writes into sidecar/README.md"


def test_the_readme_shows_the_table_of_surfaces_as_it_is() -> None:
    assert markdown() in tree.read(README), REMEDY
