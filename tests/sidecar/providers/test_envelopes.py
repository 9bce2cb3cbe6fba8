"""Refusals: every reason has a face, final ones are never tried again, and amounts are exact."""

import json

import pytest

from sidecar.core.refusals import RETRYABLE, Reason, Refusal, Shortage, refusal_of
from sidecar.http.surfaces import ANTHROPIC, OPENAI
from sidecar.providers.envelopes import FACES, fault_of, render, stream_error, wire_fault

RETRIED_BY_LIBRARIES = {408, 409, 429}

SHORTAGE = Shortage(
    reason=Reason.EXHAUSTED,
    budget_id="bgt_1",
    name="Acme",
    worst_nano_usd=2**60,
    cap_nano_usd=300_000_000_000,
    spent_nano_usd=299_999_999_999,
    held_nano_usd=0,
    period_end_unix_ms=1_796_083_200_000,
    fits_nano_usd=1,
)


def test_every_reason_has_a_face() -> None:
    assert set(FACES) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_a_final_refusal_has_a_status_that_no_library_tries_again(reason: Reason) -> None:
    headers, _ = render(fault_of(Refusal(reason, "words")), OPENAI)
    told = dict(headers)[b"x-should-retry"]
    assert told == (b"true" if reason in RETRYABLE else b"false")
    status = FACES[reason].status
    if reason not in RETRYABLE and reason not in (Reason.JOURNAL_FAILED, Reason.FENCED):
        assert status < 500
        assert status not in RETRIED_BY_LIBRARIES


@pytest.mark.parametrize(
    ("reason", "status", "code"),
    [
        (Reason.EXHAUSTED, 402, "insufficient_quota"),
        (Reason.TOO_LARGE, 402, "request_exceeds_budget"),
        (Reason.BUSY, 429, "budget_busy"),
        (Reason.UNREACHABLE, 503, "budget_authority_unavailable"),
        (Reason.NO_BUDGET, 403, "no_budget"),
        (Reason.INVALID_KEY, 401, "invalid_api_key"),
        (Reason.MODEL_NOT_ALLOWED, 403, "model_not_allowed"),
        (Reason.INVALID_REQUEST, 400, "invalid_request"),
        (Reason.REQUEST_TOO_LARGE, 413, "request_too_large"),
    ],
)
def test_the_codes_are_those_that_were_promised(reason: Reason, status: int, code: str) -> None:
    assert (FACES[reason].status, FACES[reason].code) == (status, code)


def test_a_budget_is_named_with_all_its_amounts_as_texts() -> None:
    fault = fault_of(refusal_of([SHORTAGE]))
    wanted = {
        "budget_id": "bgt_1",
        "name": "Acme",
        "reason": "exhausted",
        "cap_nano_usd": "300000000000",
        "spent_nano_usd": "299999999999",
        "held_nano_usd": "0",
        "worst_nano_usd": str(2**60),
        "fits_nano_usd": "1",
        "period_end": "2026-12-01T00:00:00Z",
    }
    _, body = render(fault, OPENAI)
    error = json.loads(body)["error"]
    assert (error["type"], error["code"], error["param"]) == ("insufficient_quota",) * 2 + (None,)
    assert error["bursar"]["budgets"] == [wanted]
    _, body = render(fault, ANTHROPIC)
    answer = json.loads(body)
    assert answer["type"] == "error"
    assert answer["error"]["type"] == "billing_error"
    assert answer["error"]["details"]["error_code"] == "insufficient_quota"
    assert answer["error"]["details"]["budgets"] == [wanted]


def test_a_refusal_that_may_pass_later_says_when() -> None:
    fault = fault_of(Refusal(Reason.BUSY, "words", retry_after_ms=1_500))
    told = dict(render(fault, OPENAI)[0])
    assert (told[b"retry-after"], told[b"retry-after-ms"]) == (b"2", b"1500")


def test_every_refusal_forbids_keeping_it_and_names_its_code() -> None:
    headers, body = render(fault_of(Refusal(Reason.NO_BUDGET, "words")), ANTHROPIC)
    told = dict(headers)
    assert told[b"cache-control"] == b"no-store"
    assert told[b"x-bursar-error"] == b"no_budget"
    assert told[b"content-length"] == b"%d" % len(body)


def test_a_field_that_is_wrong_is_named_in_both_families() -> None:
    fault = fault_of(Refusal(Reason.INVALID_REQUEST, "words"), "messages")
    assert json.loads(render(fault, OPENAI)[1])["error"]["param"] == "messages"
    assert json.loads(render(fault, ANTHROPIC)[1])["error"]["details"]["param"] == "messages"


def test_a_fault_within_a_stream_is_an_event_that_libraries_raise_on() -> None:
    fault = wire_fault(504, "upstream_timeout", "too late")
    assert stream_error(fault, OPENAI).startswith(b'data: {"error": {')
    assert stream_error(fault, ANTHROPIC).startswith(b'event: error\ndata: {"type": "error"')
