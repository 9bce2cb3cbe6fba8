"""Which provider is spoken to how, and money that is told exactly."""

import json
from decimal import Decimal
from typing import Any

import pytest

from sidecar.core.metering import Charge, charge_of
from sidecar.providers import (
    anthropic_messages,
    dialects,
    openai_chat,
    openai_responses,
    reading,
)
from sidecar.providers.dialects import Abort, Money, Secret, dialect_of
from sidecar.providers.openai_responses import ResponseStream
from tests.sidecar import builders


@pytest.mark.parametrize(
    ("name", "family", "url", "found"),
    [
        ("openai", "openai", "https://api.openai.com", "openai"),
        ("europe", "openai", "https://eu.api.openai.com", "openai"),
        ("whatever", "openai", "https://openrouter.ai/api/v1", "openrouter"),
        ("claude", "anthropic", "https://api.anthropic.com", "anthropic"),
        ("gemini", "gemini", "https://generativelanguage.googleapis.com", "gemini"),
        ("g", "openai", "https://generativelanguage.googleapis.com/v1beta/openai", "gemini-openai"),
        ("ours", "openai", "https://ours.openai.azure.com", "azure"),
        ("vllm", "openai", "http://10.0.0.7:8000/v1", "vllm"),
        ("vllm-gpu-7", "openai", "http://10.0.0.7:8000/v1", "vllm"),
        ("openrouter", "openai", "https://api.groq.com/openai/v1", "groq"),
        ("newcomer", "openai", "https://api.newcomer.example/v1", ""),
        ("newcomer", "anthropic", "https://api.newcomer.example", ""),
    ],
)
def test_a_provider_is_known_by_its_host_else_by_its_name(
    name: str, family: str, url: str, found: str
) -> None:
    assert dialect_of(name, family, url).name == found


def test_geminis_own_provider_answers_in_openais_format_under_a_path_of_its_own() -> None:
    url = "https://generativelanguage.googleapis.com"
    dialect = dialect_of("gemini", "gemini", url, "openai")
    assert (dialect.root, dialect.secret) == ("/v1beta/openai", Secret.BEARER)


def test_what_is_not_known_is_taken_to_bill_to_the_end() -> None:
    for family in ("openai", "anthropic", "gemini"):
        assert dialect_of("x", family, "https://x.example").abort is Abort.DRAIN


def test_names_and_hosts_are_given_once() -> None:
    names = [dialect.name for dialect in dialects.DIALECTS]
    hosts = [host for dialect in dialects.DIALECTS for host in dialect.hosts]
    assert len(set(names)) == len(names)
    assert len(set(hosts)) == len(hosts)
    assert all(dialects.named(name).name == name for name in names)


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        ('{"cost": 0.000123}', {"credits": 123_000}),
        ('{"cost": 1.23e-7}', {"credits": 123}),
        ('{"cost": 0.0000000001}', {"credits": 1}),
        ('{"cost": 1e-999999999}', {"credits": 1}),
        ('{"cost": 0.1000000000000000055511151231257827}', {"credits": 100_000_001}),
        ('{"cost": 0}', {"credits": 0}),
        ('{"cost": 2}', {"credits": 2_000_000_000}),
        (
            '{"cost": 0.01, "is_byok": true, "cost_details": {"upstream_inference_cost": 0.2}}',
            {"credits": 210_000_000},
        ),
        ('{"cost": 0.01, "is_byok": true}', {}),
        ('{"cost": -1}', {}),
        ('{"cost": 1e999999999}', {}),
        ('{"cost": NaN}', {}),
        ('{"cost": "0.1"}', {}),
        ('{"cost": true}', {}),
        ('{"cost_in_usd_ticks": 1}', {"ticks": 1}),
        ('{"cost_in_usd_ticks": 12345678901}', {"ticks": 1_234_567_891}),
        ('{"cost_in_usd_ticks": 1.5}', {}),
        ('{"cost": {"request_cost": 0.005, "total_cost": 0.00512}}', {"total": 5_120_000}),
        ('{"cost": {"total_cost": "0.1"}}', {}),
        ('{"cost": {"request_cost": 0.005}}', {}),
        ("{}", {}),
    ],
)
def test_money_is_read_exactly_and_rounded_up_once(usage: str, told: dict[str, int]) -> None:
    base = '{"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2'
    rest = "" if usage == "{}" else ", " + usage[1:-1]
    data = f'{{"usage": {base}{rest}}}}}'.encode()
    found = openai_chat.usage_of(reading.told_object(data))
    assert found is not None
    assert dict(found.told_nano_usd) == told


MONEY = [
    ('"cost": 0.000123, "cost_details": {"upstream_inference_cost": null}', {"credits": 123_000}),
    ('"cost_in_usd_ticks": 37756000', {"ticks": 3_775_600}),
]


@pytest.mark.parametrize(("money", "told"), MONEY)
def test_money_is_told_by_responses_and_messages_as_by_chats(
    money: str, told: dict[str, int]
) -> None:
    usage = f'{{"input_tokens": 3, "output_tokens": 4, {money}}}'
    whole = f'{{"model": "m", "usage": {usage}}}'.encode()
    for usage_of in (openai_responses.usage_of, anthropic_messages.usage_of):
        found = usage_of(reading.told_object(whole))
        assert found is not None
        assert (dict(found.told_nano_usd), found.unpriced) == (told, ())


@pytest.mark.parametrize(("money", "told"), MONEY)
def test_money_at_the_end_of_a_streamed_response_is_read(money: str, told: dict[str, int]) -> None:
    value = {"model": "m", "input": "Hi.", "stream": True}
    body = json.dumps(value).encode()
    request = openai_responses.read(value, body, model="m", expands_text=False)
    meter = ResponseStream(request)
    usage = f'{{"input_tokens": 3, "output_tokens": 4, {money}}}'
    meter.take(f'data: {{"type":"response.completed","response":{{"usage":{usage}}}}}\n\n'.encode())
    assert meter.usage is not None
    assert (dict(meter.usage.told_nano_usd), meter.usage.unpriced) == (told, ())


def test_numbers_stay_floats_where_no_money_is_told() -> None:
    assert type(reading.told_object(b'{"a": 0.5}')["a"]) is float
    assert type(reading.told_object(b'{"cost": 0.5}')["cost"]) is Decimal
    unknown = reading.told_object(b'{"cost": 0.5, "new": 0.25}')
    assert reading.unknown_counts(unknown, frozenset(("cost",))) == ("new",)


@pytest.mark.parametrize(
    ("answer", "quantities"),
    [
        (
            # DeepSeek tells what it read from the cache in its own words.
            {
                "usage": {
                    "prompt_tokens": 10,
                    "completion_tokens": 2,
                    "total_tokens": 12,
                    "prompt_cache_hit_tokens": 6,
                    "prompt_cache_miss_tokens": 4,
                }
            },
            {"input": 4, "cached": 6, "output": 2},
        ),
        (
            # xAI leaves reasoning out of completion_tokens.
            {"usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 19}},
            {"input": 10, "output": 9},
        ),
        (
            {"x_groq": {"usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}},
            {"input": 3, "output": 2},
        ),
    ],
)
def test_usage_is_found_where_each_provider_tells_it(
    answer: dict[str, Any], quantities: dict[str, int]
) -> None:
    found = openai_chat.usage_of(json.loads(json.dumps(answer)))
    assert found is not None
    assert (dict(found.quantities), found.unpriced) == (quantities, ())


@pytest.mark.parametrize(
    ("name", "cost", "charged"),
    [
        (
            "perplexity",
            '{"total_cost": 0.00512}',
            Charge(
                5_120_000,
                quantities={"input": 1},
                told=True,
                book_nano_usd=1_000,
                doubt="price_drift",
            ),
        ),
        ("perplexity", "{}", Charge(9_000, True, {"input": 1}, ("cost",), doubt="unpriced_usage")),
        (
            "",
            '{"total_cost": 0.00512}',
            Charge(9_000, True, {"input": 1}, ("cost",), doubt="unpriced_usage"),
        ),
    ],
)
def test_a_cost_in_parts_is_charged_where_it_is_known_and_never_passed_over(
    name: str, cost: str, charged: Charge
) -> None:
    answer = f'{{"usage": {{"prompt_tokens": 1, "cost": {cost}}}}}'.encode()
    found = openai_chat.usage_of(reading.told_object(answer))
    assert found is not None
    price = builders.price("sonar").price
    assert charge_of(found, price, 9_000, dialects.named(name).money.value) == charged


def test_every_way_of_telling_money_has_a_provider() -> None:
    assert {dialect.money for dialect in dialects.DIALECTS} == set(Money)
