"""What a transcript says that it cost."""

import pytest

from protos.values import quantities as kinds
from sidecar.providers import openai_transcriptions
from sidecar.providers.reading import told_object


@pytest.mark.parametrize(
    ("told", "milliseconds"),
    [
        ("9", 9_000),
        ("9.5", 9_500),
        ("9.0001", 9_001),
        ("2.675", 2_675),
        ("1e999999999", None),
        ("NaN", None),
        ("true", None),
        ("-1", None),
    ],
)
@pytest.mark.parametrize("text", ["a word", 'what \\"cost\\" means', "cost"])
def test_a_length_is_read_whatever_the_words(
    told: str, milliseconds: int | None, text: str
) -> None:
    data = f'{{"text":"{text}","usage":{{"type":"duration","seconds":{told}}},"cost":0.5}}'
    for body in (data, data.replace(',"cost":0.5', "")):
        usage = openai_transcriptions.usage_of(told_object(body.encode()))
        found = None if usage is None else usage.quantities[kinds.MILLISECONDS]
        assert found == milliseconds
