"""What travels on: nothing that belongs to one connection, and no secret of either side."""

import pytest

from sidecar.http import headers


def test_only_known_headers_reach_a_provider() -> None:
    sent = [
        (b"host", b"a"),
        (b"authorization", b"Bearer bursar_pk_x"),
        (b"x-api-key", b"bursar_pk_x"),
        (b"cookie", b"a=b"),
        (b"x-forwarded-for", b"1.2.3.4"),
        (b"x-bursar-workflow", b"leads"),
        (b"openai-organization", b"org-1"),
        (b"openai-project", b"p"),
        (b"accept-encoding", b"br"),
        (b"content-length", b"3"),
        (b"content-encoding", b"gzip"),
        (b"te", b"trailers"),
        (b"expect", b"100-continue"),
        (b"proxy-authorization", b"x"),
        (b"x-rehearsal", b"omit_usage"),
        (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        (b"tracestate", b"vendor=1"),
        (b"baggage", b"client=acme"),
        (b"user-agent", b"OpenAI/JS 6"),
        (b"accept", b"application/json"),
        (b"anthropic-version", b"2026-10-21"),
        (b"anthropic-beta", b"a,b"),
        (b"openai-beta", b"c"),
        (b"idempotency-key", b"d"),
        (b"x-stainless-lang", b"js"),
    ]
    passed = [name for name, _ in headers.to_provider(sent, None)]
    assert passed == [
        *(b"user-agent", b"accept", b"anthropic-version", b"anthropic-beta", b"openai-beta"),
        *(b"idempotency-key", b"x-stainless-lang"),
    ]


def test_what_connection_names_does_not_travel() -> None:
    sent = [(b"x-stainless-lang", b"js"), (b"accept", b"*/*")]
    assert headers.to_provider(sent, b"close, X-Stainless-Lang") == [(b"accept", b"*/*")]
    answered = [(b"x-request-id", b"1"), (b"x-hop", b"2")]
    assert headers.to_caller(answered, b"x-hop") == [(b"x-request-id", b"1")]


def test_an_answer_keeps_what_callers_read_and_loses_what_tells_of_the_account() -> None:
    answered = [
        (b"content-type", b"application/json"),
        (b"content-length", b"3"),
        (b"transfer-encoding", b"chunked"),
        (b"connection", b"keep-alive"),
        (b"set-cookie", b"a=b"),
        (b"openai-organization", b"agency"),
        (b"openai-project", b"p"),
        (b"anthropic-organization-id", b"o"),
        (b"alt-svc", b"h3"),
        (b"x-bursar-cost-nano-usd", b"0"),
        (b"x-request-id", b"req_1"),
        (b"request-id", b"req_2"),
        (b"openai-processing-ms", b"12"),
        (b"x-ratelimit-remaining-tokens", b"9"),
        (b"anthropic-ratelimit-tokens-limit", b"9"),
        (b"retry-after", b"1"),
        (b"retry-after-ms", b"900"),
        (b"x-should-retry", b"true"),
    ]
    assert [name for name, _ in headers.to_caller(answered, None)] == [
        *(b"content-type", b"x-request-id", b"request-id", b"openai-processing-ms"),
        *(b"x-ratelimit-remaining-tokens", b"anthropic-ratelimit-tokens-limit"),
        *(b"retry-after", b"retry-after-ms", b"x-should-retry"),
    ]


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({b"authorization": b"Bearer k"}, "k"),
        ({b"authorization": b"bearer  k "}, "k"),
        ({b"x-api-key": b"k"}, "k"),
        ({b"authorization": b"Bearer k", b"x-api-key": b"k"}, "k"),
        ({b"authorization": b"Basic k", b"x-api-key": b"j"}, "j"),
        ({b"authorization": b"Basic k"}, ""),
        ({}, ""),
    ],
)
def test_a_key_comes_as_bearer_or_as_x_api_key(values: dict[bytes, bytes], key: str) -> None:
    assert headers.key_text(values) == key


def test_two_different_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="different keys"):
        headers.key_text({b"authorization": b"Bearer a", b"x-api-key": b"b"})
