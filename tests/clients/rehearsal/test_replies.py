import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.rehearsal import replies


@given(st.text(max_size=200))
def test_a_text_never_counts_more_than_its_bytes(text: str) -> None:
    size = len(text.encode())
    pieces = replies.split_tokens(text)
    assert "".join(pieces) == text
    assert replies.count_tokens(text) <= len(pieces) <= size
    if text.isascii():
        assert replies.count_tokens(text) == len(pieces) == math.ceil(size / 4)


@pytest.mark.parametrize("tokens", [0, 1, 7, 300, 5_000])
def test_a_passage_has_exactly_the_tokens_asked_for(tokens: int) -> None:
    reply = replies.reply(None, tokens, "any seed", 10_000)
    assert (len(reply.pieces), reply.finish) == (tokens, "stop")
    assert replies.count_tokens(reply.text) == tokens


def test_a_reply_depends_on_its_seed_alone() -> None:
    answers = {seed: replies.reply(None, None, seed, 10_000).text for seed in "abcdefgh"}
    assert len(set(answers.values())) > 3
    assert answers == {seed: replies.reply(None, None, seed, 10_000).text for seed in "abcdefgh"}
    assert all(text.endswith((".", "?")) for text in answers.values())


def test_a_reply_stops_at_its_limit() -> None:
    reply = replies.reply("abcdefghij", None, "", 2)
    assert (reply.text, reply.finish) == ("abcdefgh", "length")


def test_a_reply_stops_at_the_first_stop_sequence() -> None:
    reply = replies.reply("one two three", None, "", 100, ["three", "two"])
    assert (reply.text, reply.finish, reply.stopped_by) == ("one ", "stop_sequence", "two")


def test_tool_arguments_fit_a_simple_schema() -> None:
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer"},
            "unit": {"enum": ["C", "F"]},
            "tags": {"type": "array", "items": {"type": "boolean"}},
            "spare": {"type": "string"},
        },
        "required": ["city", "days", "unit", "tags"],
    }
    assert json.loads(replies.tool_arguments(schema)) == {
        "city": "rehearsal",
        "days": 1,
        "unit": "C",
        "tags": [True],
    }
    assert replies.tool_arguments(None) == "{}"


def test_an_embedding_is_a_unit_vector_that_depends_on_its_text() -> None:
    one = replies.embedding("one", 256)
    assert math.isclose(sum(number * number for number in one), 1, abs_tol=1e-5)
    assert one == replies.embedding("one", 256) != replies.embedding("two", 256)
