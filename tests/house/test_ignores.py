"""A rule may be set aside, with its name and the reason beside it."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.house import tree

QUOTED_RULE = re.compile(r'^\s*"(?P<rule>[A-Z]+[0-9]*)",(?P<rest>.*)$')
INLINE = re.compile(r"#\s*(?:noqa|type:\s*ignore|pragma)\b(?P<rest>.*)$")
RULES = r"(?::\s*[A-Z]+\d+(?:, ?[A-Z]+\d+)*|\[[a-z-]+(?:, ?[a-z-]+)*\])"
NAMED_AND_ARGUED = re.compile(RULES + r"\s+[-#]\s*\w+")


def test_every_lint_rule_that_is_off_says_why() -> None:
    lines = tree.read(Path("pyproject.toml")).splitlines()
    matches = [match for line in lines if (match := QUOTED_RULE.match(line))]
    silent = [match["rule"] for match in matches if not re.match(r"\s+# \w{1}.+", match["rest"])]
    assert matches
    assert not [rule for rule in silent if rule != "ALL"]


def test_every_rule_is_on_unless_it_is_off() -> None:
    lint = tomllib.loads(tree.read(Path("pyproject.toml")))["tool"]["ruff"]["lint"]
    assert lint["select"] == ["ALL"]


@pytest.mark.parametrize(
    ("rest", "argued"),
    [
        (": BLE001 - every future must hear of it", True),
        ("[attr-defined]  # gRPC's stub", True),
        (": SIM115, PTH123", False),
        (": ASYNC110", False),
        ("", False),
    ],
)
def test_a_reason_is_told_from_a_rule(rest: str, argued: bool) -> None:
    assert bool(NAMED_AND_ARGUED.match(rest)) is argued


def test_an_ignore_in_the_code_names_its_rule_and_its_reason() -> None:
    silent = [
        f"{path}:{number}"
        for path in tree.modules()
        if path.name != Path(__file__).name
        for number, line in enumerate(tree.read(path).splitlines(), 1)
        if (match := INLINE.search(line)) and not NAMED_AND_ARGUED.match(match["rest"])
    ]
    assert not silent, "write `# noqa: RULE - why`, or `# type: ignore[code]  # why`"
