"""A request goes out whole, again while nobody answers, and never twice in effect."""

from threading import Event
from typing import Any

import grpc
import pytest

from clients.admin import Bursar, connect, wire
from clients.admin.limits import ATTEMPTS_MAX_TIMES, BACKOFF_FIRST_MS, DEADLINE_MS
from protos.bursar.admin import v1
from protos.values import ids
from protos.values.errors import InvalidArgumentError, NotFoundError, UnavailableError

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def test_a_repeated_request_is_the_same_to_the_byte(
    script: Any, bursar: Bursar, failing: Any, pauses: list[int]
) -> None:
    answer = v1.CreateProjectResponse(project=v1.Project(project_id="prj_1"))
    script.on("CreateProject", failing(UNAVAILABLE), failing(UNAVAILABLE), answer)
    made = bursar.projects.create(display_name="Acme", cap_usd="300")
    sent = script.asked("CreateProject")
    assert made.project.project_id == "prj_1"
    assert len(sent) == 3
    assert len(set(sent)) == 1
    request = v1.CreateProjectRequest.FromString(sent[0])
    assert ids.is_id(request.request_id, ids.REQUEST)
    assert request.budget.cap_nano_usd == 300_000_000_000
    assert pauses == [BACKOFF_FIRST_MS, 2 * BACKOFF_FIRST_MS]


def test_two_requests_never_share_an_id(script: Any, bursar: Bursar) -> None:
    script.on("CreateKey", v1.CreateKeyResponse(), v1.CreateKeyResponse())
    bursar.keys.create("prj_1")
    bursar.keys.create("prj_1")
    sent = [v1.CreateKeyRequest.FromString(raw).request_id for raw in script.asked("CreateKey")]
    assert len(set(sent)) == 2


def test_repetition_ends(script: Any, bursar: Bursar, failing: Any, pauses: list[int]) -> None:
    script.on("GetCaller", *[failing(UNAVAILABLE)] * ATTEMPTS_MAX_TIMES)
    with pytest.raises(UnavailableError, match="is it running"):
        bursar.principals.caller()
    assert len(script.asked("GetCaller")) == ATTEMPTS_MAX_TIMES
    assert len(pauses) == ATTEMPTS_MAX_TIMES - 1


def test_repetition_stops_where_the_deadline_would_pass(
    script: Any, failing: Any, pauses: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "BACKOFF_FIRST_MS", DEADLINE_MS)
    script.on("GetCaller", failing(UNAVAILABLE))
    address = f"127.0.0.1:{script.port}"
    with (
        connect(address, token="t", deadline_ms=DEADLINE_MS) as bursar,
        pytest.raises(UnavailableError),
    ):
        bursar.principals.caller()
    assert len(script.asked("GetCaller")) == 1
    assert not pauses


@pytest.mark.parametrize(
    "code",
    [
        code
        for code in grpc.StatusCode
        if code not in {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    ],
)
def test_nothing_but_unavailable_is_repeated(
    script: Any, bursar: Bursar, failing: Any, pauses: list[int], code: grpc.StatusCode
) -> None:
    script.on("GetCaller", failing(code))
    with pytest.raises(Exception, match=r".+"):
        bursar.principals.caller()
    assert len(script.asked("GetCaller")) == 1
    assert not pauses


def test_the_token_travels_with_every_request_and_shows_nowhere(
    script: Any, bursar: Bursar
) -> None:
    script.on("GetCaller", v1.Principal())
    bursar.principals.caller()
    assert script.metadata[0]["authorization"] == "Bearer bursar_at_secret"
    assert "secret" not in repr(bursar)
    assert "secret" not in repr(bursar.projects.__dict__)


def test_an_iterator_fetches_its_pages_as_it_reaches_them(script: Any, bursar: Bursar) -> None:
    script.on(
        "ListProjects",
        v1.ListProjectsResponse(projects=[v1.Project(project_id="a")], next_page_token="2"),
        v1.ListProjectsResponse(projects=[v1.Project(project_id="b")]),
    )
    listed = bursar.projects.list()
    assert not script.requests
    assert next(listed).project_id == "a"
    assert len(script.requests) == 1
    assert [one.project_id for one in listed] == ["b"]
    tokens = [v1.ListProjectsRequest.FromString(r).page_token for r in script.asked("ListProjects")]
    assert tokens == ["", "2"]


def test_a_request_that_is_never_answered_ends_with_its_deadline(script: Any) -> None:
    def silent(_request: bytes, context: grpc.ServicerContext) -> Any:
        released.wait(5)
        return v1.Principal()

    released = Event()
    script.on("GetCaller", silent)
    with (
        connect(f"127.0.0.1:{script.port}", token="t", deadline_ms=50) as bursar,
        pytest.raises(UnavailableError, match="did not answer within 50 ms"),
    ):
        bursar.principals.caller()
    released.set()


def test_nobody_at_the_address_is_unavailable(script: Any, pauses: list[int]) -> None:
    with (
        connect("127.0.0.1:1", token="t") as bursar,
        pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1"),
    ):
        bursar.principals.caller()


@pytest.mark.parametrize("address", ["", "localhost", "http://127.0.0.1:7240"])
def test_an_address_is_host_and_port(address: str) -> None:
    with pytest.raises(InvalidArgumentError, match="host:port"):
        connect(address, token="t")


@pytest.mark.parametrize("token", ["", "  ", "naïve", "two\nlines"])
def test_a_token_that_cannot_be_one_is_refused_before_it_is_sent(token: str) -> None:
    with pytest.raises(InvalidArgumentError, match="token") as caught:
        connect("127.0.0.1:7240", token=token)
    assert token.strip() == "" or token not in str(caught.value)


def test_a_cap_is_given_once_and_must_be_an_amount(script: Any, bursar: Bursar) -> None:
    with pytest.raises(InvalidArgumentError, match="not both"):
        bursar.projects.create(display_name="A", cap_usd="1", cap_nano_usd=1)
    with pytest.raises(InvalidArgumentError, match="not an amount"):
        bursar.projects.create(display_name="A", cap_usd="lots")
    assert not script.requests


def test_not_found_comes_out_as_its_type(script: Any, bursar: Bursar, failing: Any) -> None:
    script.on("GetProject", failing(grpc.StatusCode.NOT_FOUND, "there is no project 'x'"))
    with pytest.raises(NotFoundError, match="no project 'x'"):
        bursar.projects.get("x")
