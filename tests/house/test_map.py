"""The tree is the map: every package says in one sentence what it is, and the README repeats it."""

import re
from pathlib import Path

from tests.house import tree

ROW = re.compile(
    r"^\| \[`(?P<package>[^`]+)`\]\((?P=package)\) \| (?P<sentence>.+) \|$", re.MULTILINE
)


def expected_rows() -> list[str]:
    """The README's map as the packages call for it, room by room."""
    rooms = {room: place for place, room in enumerate(tree.ROOMS)}
    names = sorted(tree.packages(), key=lambda name: (rooms[name.split("/")[0]], name))
    return [f"| [`{name}`]({name}) | {tree.packages()[name]} |" for name in names]


def test_a_package_says_in_one_sentence_what_it_is() -> None:
    for package, sentence in tree.packages().items():
        assert sentence.endswith("."), f"{package}: end the docstring with a full stop"
        assert "\n" not in sentence, f"{package}: one line"
        assert ". " not in sentence, f"{package}: one sentence"


def test_the_map_in_the_readme_is_what_the_packages_say() -> None:
    rows = [match.group(0) for match in ROW.finditer(tree.read(Path("README.md")))]
    wanted = expected_rows()
    assert rows == wanted, "\n".join(["the README's map should read:", *wanted])


def test_every_room_with_code_is_a_package() -> None:
    folders = {path.parent for path in tree.modules() if path.parts[0] != "tests"}
    bare = sorted(str(folder) for folder in folders if folder.as_posix() not in tree.packages())
    assert not bare, "these folders hold code and no __init__.py"


def test_the_top_level_holds_the_rooms_and_nothing_else() -> None:
    shown = {path.name for path in tree.ROOT.iterdir() if not path.name.startswith(".")}
    ignored = {"build", "dist", "bursar-data"}
    assert shown - ignored == tree.TOP
