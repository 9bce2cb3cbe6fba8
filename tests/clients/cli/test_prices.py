"""What models cost, as people write and read it, and where it comes from."""

from pathlib import Path
from typing import Any

import click
import pytest

from clients.cli.rates import rate_text, read_rate
from protos.values import quantities


@pytest.mark.parametrize(
    ("text", "kind", "pico_usd", "shown"),
    [
        ("input=0.25", quantities.INPUT, 250_000, "$0.25"),
        ("characters=15/1M", quantities.CHARACTERS, 15_000_000, "$15.00"),
        ("web_search=10/1k", quantities.WEB_SEARCH, 10**10, "$0.01 each"),
        ("images=0.04/1", quantities.IMAGES, 4 * 10**10, "$0.04 each"),
        ("milliseconds=0.006/min", quantities.MILLISECONDS, 100_000, "$0.006 a minute"),
        ("milliseconds=0.36/h", quantities.MILLISECONDS, 100_000, "$0.006 a minute"),
        ("calls=0.0001/1M", quantities.CALLS, 100, "$0.000000000100 each"),
    ],
)
def test_a_rate_is_written_for_as_many_as_people_know_it_for(
    text: str, kind: str, pico_usd: int, shown: str
) -> None:
    assert read_rate(text) == (kind, pico_usd)
    assert rate_text(kind, pico_usd) == shown


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("images=0.04", "must say for how many"),
        ("milliseconds=1", "0.006/min"),
        ("input=1/min", "not counted in time"),
        ("reasoning=1", "is no rate"),
        ("input", "is no rate"),
        ("input=x", "not a price"),
        ("milliseconds=0.000001/h", "finer than a pico-dollar"),
    ],
)
def test_a_rate_that_could_be_misread_is_refused(text: str, words: str) -> None:
    with pytest.raises(click.BadParameter, match=words):
        read_rate(text)


def test_prices_are_shown_first_and_set_when_somebody_says_so(run: Any, run_json: Any) -> None:
    asked = ("--provider", "deepseek", "--model", "deepseek-v4-pro")
    shown = run("price", "diff", *asked)
    assert "deepseek-v4-pro" in shown.stdout
    assert "1 new, by genai-prices" in shown.stdout
    assert "Nothing was changed" in run("price", "import", *asked).stderr
    assert "Add --yes" in run("price", "import", *asked, "--apply", code=2).stderr
    assert not run_json("price", "import", *asked, "--accept-dearer")["accepted"]
    [accepted] = run_json("price", "import", *asked, "--apply", "--yes")["accepted"]
    assert run_json("price", "diff", *asked)["changes"] == []
    price = run_json("price", "show", "deepseek", "deepseek-v4-pro")["price"]
    assert (price["version"], price["source"]) == (accepted["version"], "import")
    assert "import" in run("price", "history", "deepseek", "deepseek-v4-pro").stdout


def test_a_price_that_was_set_by_hand_is_imported_only_by_name(run: Any, run_json: Any) -> None:
    made = ("price", "set", "deepseek", "deepseek-reasoner", "--input", "9", "--output", "9")
    run(*made, "--input-max", "9", "--output-max", "9")
    shown = run("price", "diff", "--provider", "deepseek").stdout
    assert "set by hand: replaced only with --model" in shown
    run("price", "import", "--provider", "deepseek", "--apply", "--yes")
    show = ("price", "show", "deepseek", "deepseek-reasoner")
    assert run_json(*show)["price"]["source"] == "operator"
    run(
        *("price", "import", "--provider", "deepseek", "--model", "deepseek-reasoner"),
        *("--apply", "--yes"),
    )
    assert run_json(*show)["price"]["source"] == "import"


def test_a_table_that_is_none_is_refused_in_words(run: Any, tmp_path: Path) -> None:
    table = tmp_path / "prices.json"
    for text, words in (("nonsense", "not JSON (line 1)"), ("{}", "no row has a litellm_provider")):
        table.write_text(text)
        refused = run(
            "price", "diff", "--provider", "deepseek", "--litellm", str(table), code=2
        ).stderr
        assert words in refused
    assert "no catalogue knows" in run("price", "diff", "--provider", "me", code=2).stderr
    both = run("price", "import", "--apply", "--accept-dearer", code=2).stderr
    assert "give one of them" in both


def test_a_model_without_a_price_is_told_by_name(run: Any) -> None:
    assert "calls to it are refused" in run("price", "show", "openai", "nothing", code=3).stderr


def test_a_price_by_the_piece_is_set_and_read(run: Any, run_json: Any) -> None:
    made = run_json(
        *("price", "set", "openai", "tts-x", "--rate", "characters=15/1M"),
        *("--input-max", "4096", "--output-max", "0"),
    )["price"]
    assert made["tiers"][0]["rates_pico_usd"] == {"characters": "15000000"}
    assert "characters" in run("price", "show", "openai", "tts-x").stdout


def test_calls_whose_price_was_wrong_are_corrected_when_somebody_says_so(
    run: Any, run_json: Any
) -> None:
    asked = ("price", "rerate", "openai", "gpt-5-mini", "--from", "7d")
    assert "Nothing was changed" in run(*asked).stderr
    shown = run_json(*asked, "--apply")
    assert (shown["projects"], shown["price_version"]) == ([], "built-in-2026-11-23")
    refused = run("price", "rerate", "openai", "nothing", "--from", "7d", code=3).stderr
    assert "set the right one first" in refused
