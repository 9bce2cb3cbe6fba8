"""An agency says what becomes of calls that do not fit: sidecars keep to it, and caps stay hard."""

from typing import Any

import httpx
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from protos.bursar.admin import v1 as admin
from tests.e2e.stand import Client, Stand

CLAMP = admin.WhenTooLarge.WHEN_TOO_LARGE_CLAMP
REJECT = admin.WhenTooLarge.WHEN_TOO_LARGE_REJECT
COUNT = admin.WhenTooLarge.WHEN_TOO_LARGE_COUNT
CAP_NANO_USD = 5_000_000
"""Half a cent: less than a long prompt holds by its bytes, or an answer without a limit."""
LONG = "four letter word seen here often " * 1_500
"""49,500 bytes hold 7.4 million nano-dollars, and a quarter as many tokens 1.9 million."""


def say(stand: Stand, client: Client, **terms: Any) -> None:
    """Change what becomes of a client's calls."""
    project = stand.bursar.ask(
        stand.bursar.projects.GetProject, admin.GetProjectRequest(project=client.project_id)
    )
    stand.bursar.ask(
        stand.bursar.projects.UpdateProject,
        admin.UpdateProjectRequest(
            request_id=stand.request_id(),
            project=admin.Project(project_id=client.project_id, etag=project.etag, **terms),
            update_mask=FieldMask(paths=list(terms)),
        ),
    )


def ask(url: str, key: str, path: str, **body: Any) -> httpx.Response:
    """One call without any retry."""
    return httpx.post(
        f"{url}{path}", headers={"authorization": f"Bearer {key}"}, json=body, timeout=60
    )


def respond(url: str, key: str, text: str, **fields: Any) -> httpx.Response:
    return ask(url, key, "/v1/responses", model="gpt-4o-mini", input=text, **fields)


def check_ledger(stand: Stand, calls: int) -> None:
    stand.until(lambda: len(stand.ledger()) == calls)
    assert stand.usage_nano_usd() == stand.bill_nano_usd() <= CAP_NANO_USD


@pytest.mark.parametrize(("mode", "status"), [(CLAMP, 402), (COUNT, 200)])
def test_what_does_not_fit_by_its_bytes_passes_when_its_provider_counts_it(
    stand: Stand, mode: Any, status: int
) -> None:
    client = stand.add_client("Acme Dental", CAP_NANO_USD, patience_ms=2_000)
    say(stand, client, when_too_large=mode)
    url = stand.start_sidecar("one")
    for _ in range(2):  # What is left is not known before the first, and known before the second.
        answer = respond(url, client.key, LONG, max_output_tokens=50)
        assert answer.status_code == status, answer.text
    check_ledger(stand, 2 if status == 200 else 0)
    while respond(url, client.key, LONG, max_output_tokens=50).status_code == 200:
        pass
    stand.until(lambda: stand.usage_nano_usd() == stand.bill_nano_usd())
    assert stand.bill_nano_usd() <= CAP_NANO_USD


def test_no_answer_is_cut_shorter_where_the_client_does_not_want_it(stand: Stand) -> None:
    client = stand.add_client("Acme Dental", CAP_NANO_USD)
    url = stand.start_sidecar("one")
    clamped = respond(url, client.key, "Hello.")
    assert clamped.status_code == 200
    assert "x-bursar-clamped-output" in clamped.headers
    say(stand, client, when_too_large=REJECT)
    stand.until(lambda: respond(url, client.key, "Hello.").status_code == 402)
    stand.bursar.ask(
        stand.bursar.output_defaults.SetOutputDefault,
        admin.SetOutputDefaultRequest(
            request_id=stand.request_id(),
            output_default=admin.OutputDefault(
                project_id=client.project_id, workflow="leads", limit_count=100
            ),
        ),
    )
    answers: list[httpx.Response] = []

    def passes() -> bool:
        answers.append(respond(url, f"{client.key}~leads~17", "Hello."))
        return answers[-1].status_code == 200

    stand.until(passes)
    assert answers[-1].headers["x-bursar-default-output"] == "100"
    assert respond(url, f"{client.key}~news", "Hello.").status_code == 402
    stand.until(lambda: stand.usage_nano_usd() == stand.bill_nano_usd() > 0)
    newest = stand.ledger(client.project_id)[0]
    assert (newest.workflow, newest.execution) == ("leads", "17")
