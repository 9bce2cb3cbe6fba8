import re
from pathlib import Path

import pytest

from clients.rehearsal.knobs import (
    KnobError,
    Knobs,
    changed,
    fails,
    for_call,
    from_json,
    knob_fields,
    without_directives,
)

README = Path(__file__).parents[3] / "clients" / "rehearsal" / "README.md"


def test_the_header_wins_over_the_prompt_and_the_last_directive_over_the_first() -> None:
    texts = ["[rehearse reply_tokens=1 latency_ms=5]", "and [rehearse reply_tokens=2 chunk_ms=7]"]
    knobs = for_call(Knobs(chunk_tokens=9), "reply_tokens=3", texts)
    assert knobs == Knobs(reply_tokens=3, latency_ms=5, chunk_ms=7, chunk_tokens=9)


@pytest.mark.parametrize(
    "header",
    [
        "latency_ms=5000;chunk_ms=20;omit_usage",
        " latency_ms=5000 ; chunk_ms=20; omit_usage=true ;",
        "latency_ms=5000, chunk_ms=20 omit_usage=1",
        'latency_ms="5000" chunk_ms=20 omit_usage=on',
    ],
)
def test_settings_may_be_written_in_several_ways(header: str) -> None:
    assert for_call(Knobs(), header, []) == Knobs(latency_ms=5000, chunk_ms=20, omit_usage=True)


def test_a_text_with_spaces_goes_in_quotes() -> None:
    assert for_call(Knobs(), None, ['[rehearse reply_text="a b; c"]']).reply_text == "a b; c"


def test_short_names_mean_the_long_ones() -> None:
    knobs = for_call(Knobs(), "error=529;hangup_after=3", [])
    assert (knobs.error_status, knobs.hangup_after_chunks) == (529, 3)


@pytest.mark.parametrize(
    "header",
    [
        "latency=5",
        "latency_ms=-1",
        "latency_ms=1.5",
        "latency_ms=ten",
        "latency_ms",
        "error_status=200",
        "omit_usage=maybe",
        "=5",
        "latency_ms=5 !",
        'reply_text="open',
        "reply_tokens=99999999999999999999",
    ],
)
def test_what_is_not_understood_is_an_error(header: str) -> None:
    with pytest.raises(KnobError):
        for_call(Knobs(), header, [])


def test_null_puts_a_knob_back_to_what_the_process_began_with() -> None:
    first = Knobs(latency_ms=7)
    now = changed(first, {"latency_ms": 50, "chunk_ms": 3})
    assert from_json(now, first, {"latency_ms": None}) == Knobs(latency_ms=7, chunk_ms=3)
    wrongs: list[object] = [[], "x", {"nope": None}, {"latency_ms": True}, {"crlf": 2}]
    for wrong in wrongs:
        with pytest.raises(KnobError):
            from_json(now, first, wrong)


def test_failures_follow_the_rate_and_repeat() -> None:
    knobs = Knobs(error_status=500, error_rate_ppm=250_000, seed=4)
    struck = [number for number in range(4_000) if fails(knobs, number, "m", "k")]
    assert 900 < len(struck) < 1_100
    assert struck == [number for number in range(4_000) if fails(knobs, number, "m", "k")]
    assert all(fails(Knobs(error_status=500), number, "m", "k") for number in range(50))
    assert not any(fails(Knobs(), number, "m", "k") for number in range(50))


def test_people_read_the_prompt_without_directives() -> None:
    assert without_directives("[rehearse chunk_ms=1] Hello ") == "Hello"


def test_the_readme_lists_every_knob_as_it_is() -> None:
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| (.*?) \|$", README.read_text(), re.MULTILINE))
    shown = {
        knob.name: f"{knob.default if knob.default is not None else '-'}".lower()
        + f" | {knob.metadata['does']}"
        for knob in knob_fields()
    }
    assert rows == shown


def test_an_error_may_strike_one_model_or_one_key_alone() -> None:
    knobs = Knobs(error_status=500, error_model="m", error_key="dead")
    assert fails(knobs, 1, "m", "sk-dead")
    assert not fails(knobs, 1, "n", "sk-dead")
    assert not fails(knobs, 1, "m", "sk-live")
