"""Bad input at every edge gets a clear error in its caller's format; nothing is lost or charged.

One installation takes all of it, one thing after the other, and is as good as new at the end.
"""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import grpc
import openai
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from protos.bursar.admin import v1 as admin
from protos.values.keys import PROJECT_KEY, make_key
from sidecar.http.limits import HEAD_DEADLINE_MS, REQUEST_BODY_MAX_BYTES
from tests.e2e.stand import Client, Stand

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
FAMILIES = {
    CHAT: "openai",
    "/v1/responses": "openai",
    "/v1/completions": "openai",
    "/v1/responses/input_tokens": "openai",
    MESSAGES: "anthropic",
}
STRANGER = make_key(PROJECT_KEY, b"\1" * 24)
"""A key of the right form that nobody was given."""
USD = 1_000_000_000
ANSWER_S = 15
END_S = 30


@dataclass(frozen=True)
class Answer:
    """What came back over a socket."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """The error in either family's envelope."""
        found: dict[str, Any] = json.loads(self.body)["error"]
        return found


@dataclass(frozen=True)
class Site:
    """The installation, its one client, and a caller that is slow all the while."""

    stand: Stand
    client: Client
    slow: Future[bytes]

    @property
    def port(self) -> int:
        return int(self.stand.url("one").rpartition(":")[2])

    def send(self, data: bytes) -> Answer:
        """Send bytes, and read the one answer to them."""
        with socket.create_connection(("127.0.0.1", self.port), ANSWER_S) as caller:
            caller.sendall(data)
            return read_answer(caller)

    def request(self, path: str, body: bytes, *lines: str, key: str = "") -> bytes:
        """The bytes of a request; whoever gives a length gives all that frames the body."""
        framed = any("content-length" in line.lower() for line in lines)
        head = [
            f"POST {path} HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            f"Authorization: Bearer {key or self.client.key}",
            "Content-Type: application/json",
            *([] if framed else [f"Content-Length: {len(body)}"]),
            *lines,
        ]
        return "\r\n".join([*head, "", ""]).encode() + body


def read_answer(caller: socket.socket) -> Answer:
    with caller.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        headers = {}
        while line := stream.readline().strip().decode():
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        return Answer(status, headers, stream.read(int(headers["content-length"])))


def drip(port: int) -> bytes:
    """Send a head letter by letter until the sidecar has had enough; what it says."""
    said = b""
    with socket.create_connection(("127.0.0.1", port), 0.25) as caller:
        caller.sendall(b"POST /v1/messages HTTP/1.1\r\nX-Slow: ")
        for _ in range(HEAD_DEADLINE_MS * 3 // 250):
            try:
                more = caller.recv(65_536)
            except TimeoutError:
                caller.sendall(b"x")
                continue
            if not more:
                break
            said += more
    return said


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with (
        ThreadPoolExecutor() as threads,
        Stand(tmp_path_factory.mktemp("site")) as stand,
    ):
        client = stand.add_client("Acme", USD)
        url = stand.start_sidecar("one")
        slow = threads.submit(drip, int(url.rpartition(":")[2]))
        yield Site(stand, client, slow)


@pytest.fixture(autouse=True)
def uncharged(site: Site) -> Iterator[None]:
    """Whatever a story sends, the provider saw nothing of it."""
    yield
    assert site.stand.provider("/rehearsal/bill")["calls"] == []


def holds_to_its_format(answer: Answer, family: str, status: int, code: str) -> None:
    """The error is one that the family's library understands, and does not try again."""
    assert (answer.status, answer.headers["x-bursar-error"]) == (status, code)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-should-retry"] == "false"
    assert answer.error["message"]
    assert answer.error["type"].endswith("_error") or answer.error["type"] == "request_too_large"
    if family == "anthropic":
        assert json.loads(answer.body)["type"] == "error"
        assert answer.error["details"]["error_code"] == code
    else:
        assert answer.error["code"] == code


TURN = b'"max_tokens":9,"messages":[{"role":"user","content":"hi"}]'
BODIES = [
    pytest.param(b'{"model":', 400, "invalid_request", id="malformed JSON"),
    pytest.param(
        b'{"model":"rehearsal-cent","model":"gpt-4o",' + TURN + b"}",
        400,
        "invalid_request",
        id="a key twice",
    ),
    pytest.param(
        b'{"model":"rehearsal-cent","mod\\u0065l":"gpt-4o",' + TURN + b"}",
        400,
        "invalid_request",
        id="a key twice, once escaped",
    ),
    pytest.param(b"{" + TURN + b"}", 400, "invalid_request", id="no model"),
    pytest.param(b"[" * 50_000, 400, "invalid_request", id="nested without end"),
    pytest.param(b'{"model":"\xff"}', 400, "invalid_request", id="no UTF-8"),
    pytest.param(b'{"model":"nobody-1",' + TURN + b"}", 403, "model_not_priced", id="no price"),
]


@pytest.mark.parametrize("path", FAMILIES)
@pytest.mark.parametrize(("body", "status", "code"), BODIES)
def test_a_bad_body_is_refused(site: Site, path: str, body: bytes, status: int, code: str) -> None:
    holds_to_its_format(site.send(site.request(path, body)), FAMILIES[path], status, code)


GOOD = b'{"model":"rehearsal-cent",' + TURN + b"}"
FRAMINGS = [
    pytest.param(("Content-Length: 5", "Transfer-Encoding: chunked"), id="both framings"),
    pytest.param(("Content-Length: 5", "Content-Length: 6"), id="two lengths"),
    pytest.param(("Content-Length: 5, 5",), id="a list of lengths"),
    pytest.param(("Content-Length: +5",), id="a length with a sign"),
    pytest.param(("Content-Length : 5",), id="a space before the colon"),
    pytest.param(("Content-Length: 5", "X: a\r\n b"), id="a folded line"),
]


@pytest.mark.parametrize("path", FAMILIES)
@pytest.mark.parametrize("lines", FRAMINGS)
def test_a_smuggled_request_is_refused_and_what_follows_it_is_never_read(
    site: Site, path: str, lines: tuple[str, ...]
) -> None:
    data = site.request(path, b"0\r\n\r\n", *lines) + site.request(path, GOOD)
    with socket.create_connection(("127.0.0.1", site.port), ANSWER_S) as caller:
        caller.sendall(data)
        said = b""
        while more := caller.recv(65_536):
            said += more
    assert said.count(b"HTTP/1.1 ") == 1
    assert said.startswith(b"HTTP/1.1 400 ")
    assert b"\r\nx-bursar-error: invalid_request\r\n" in said


@pytest.mark.parametrize(
    ("path", "family"),
    [
        ("/v1/conversations", "openai"),
        ("/v1/responses/resp_1/cancel", "openai"),
        ("/v1/responses/compact", "openai"),
        ("/v1/files", "openai"),
        ("/v1/chat/completions/", "openai"),
        ("/v1/messages/batches", "anthropic"),
        ("//v1/messages", "anthropic"),
        ("/v1/messages/../files", "anthropic"),
    ],
)
def test_a_path_that_is_not_served_is_refused_by_name(site: Site, path: str, family: str) -> None:
    answer = site.send(site.request(path, GOOD))
    holds_to_its_format(answer, family, 403, "endpoint_not_allowed")
    assert path in answer.error["message"]


@pytest.mark.parametrize("path", FAMILIES)
@pytest.mark.parametrize("key", ["sk-of-somebody", STRANGER, STRANGER[:-1]])
def test_a_wrong_key_is_refused(site: Site, path: str, key: str) -> None:
    answer = site.send(site.request(path, GOOD, key=key))
    holds_to_its_format(answer, FAMILIES[path], 401, "invalid_api_key")
    assert key not in answer.body.decode()


@pytest.mark.parametrize("path", FAMILIES)
def test_a_huge_body_is_refused_before_it_is_sent(site: Site, path: str) -> None:
    announced = f"Content-Length: {REQUEST_BODY_MAX_BYTES + 1}"
    answer = site.send(site.request(path, b"", announced, "Expect: 100-continue"))
    holds_to_its_format(answer, FAMILIES[path], 413, "request_too_large")


def test_the_libraries_understand_that_a_body_is_too_large(site: Site) -> None:
    huge: Any = [{"role": "user", "content": "a" * REQUEST_BODY_MAX_BYTES}]
    url = site.stand.url("one")
    with (
        openai.OpenAI(base_url=f"{url}/v1", api_key=site.client.key) as client,
        pytest.raises(openai.APIStatusError, match="larger than") as refused,
    ):
        client.chat.completions.create(model="rehearsal-cent", messages=huge)
    assert refused.value.status_code == 413
    with (
        anthropic.Anthropic(base_url=url, api_key=site.client.key) as other,
        pytest.raises(anthropic.RequestTooLargeError, match="larger than"),
    ):
        other.messages.create(model="claude-rehearsal-cent", messages=huge, max_tokens=9)


def asked(site: Site, method: Any, request: Any) -> tuple[grpc.StatusCode, ErrorInfo]:
    """Ask what must be refused: the code, and the reason that programs read."""
    with pytest.raises(grpc.RpcError) as refused:
        site.stand.bursar.ask(method, request)
    error: Any = refused.value
    told = Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    info = ErrorInfo()
    assert told.details[0].Unpack(info)
    return error.code(), info


@pytest.mark.parametrize(
    ("budget", "project", "field"),
    [
        ({"cap_nano_usd": -1}, {}, "budget.cap_nano_usd"),
        ({"cap_nano_usd": USD, "time_zone": "Mars/Phobos"}, {}, "budget.time_zone"),
        ({"cap_nano_usd": USD, "anchor_day": 40}, {}, "budget.anchor_day"),
        ({"cap_nano_usd": USD}, {"patience_ms": -1}, "project.patience_ms"),
        ({"cap_nano_usd": USD}, {"display_name": "a\x1b[31m"}, "project.display_name"),
    ],
)
def test_the_control_plane_names_the_field_that_is_wrong(
    site: Site, budget: dict[str, Any], project: dict[str, Any], field: str
) -> None:
    bursar = site.stand.bursar
    before = bursar.ask(bursar.projects.ListProjects, admin.ListProjectsRequest())
    wish = admin.CreateProjectRequest(
        request_id=site.stand.request_id(),
        project=admin.Project(**{"display_name": "Bad", **project}),
        budget=admin.Budget(**budget),
    )
    code, info = asked(site, bursar.projects.CreateProject, wish)
    assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT")
    assert info.metadata["field"] == field
    assert bursar.ask(bursar.projects.ListProjects, admin.ListProjectsRequest()) == before


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a program of ours that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=END_S,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        (("--cap", "-5"), "-5 is negative"),
        (("--cap", "5", "--time-zone", "Mars/Phobos"), "'Mars/Phobos' is no time zone"),
    ],
)
def test_the_command_line_says_what_is_wrong_and_exits_by_the_table(
    site: Site, wish: tuple[str, ...], says: str
) -> None:
    data = site.stand.folder / "control-plane"
    ended = run("clients.cli", "client", "add", "Bad", *wish, "--json", "--data", str(data))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert says in json.loads(ended.stderr)["error"]["message"]


def join_token(site: Site) -> str:
    path = site.stand.folder / "spare.token"
    path.write_text(make_key("bursar_jt_", b"\2" * 24))
    return str(path)


def test_a_busy_port_is_named_by_whoever_wants_it(site: Site, tmp_path: Path) -> None:
    taken = f"127.0.0.1:{site.port}"
    for name, more in {
        "control_plane": (),
        "sidecar": ("--join-token-file", join_token(site)),
    }.items():
        ended = run(name, "--data", str(tmp_path / name), "--listen", taken, *more)
        assert ended.returncode == 1
        assert "Traceback" not in ended.stderr
        assert taken in ended.stderr.splitlines()[-1]
        assert "--listen" in ended.stderr.splitlines()[-1]
    ended = run(
        *("clients.cli", "up", "--json", "--data", str(tmp_path / "up")),
        *("--control-plane-port", "0", "--sidecar-port", str(site.port), "--rehearsal-port", "0"),
    )
    assert ended.returncode == 5
    assert str(site.port) in json.loads(ended.stderr)["error"]["message"]


def test_a_file_where_the_data_folder_should_be_is_named(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("somebody's notes")
    for name, more in {
        "control_plane": (),
        "sidecar": ("--join-token-file", join_token(site)),
    }.items():
        ended = run(name, "--data", str(file), "--listen", "127.0.0.1:0", *more)
        assert ended.returncode == 1
        (said,) = ended.stderr.splitlines()
        assert str(file) in said
        assert "--data" in said
    ended = run("clients.cli", "up", "--json", "--data", str(file))
    assert ended.returncode == 2
    assert str(file) in json.loads(ended.stderr)["error"]["message"]
    assert file.read_text() == "somebody's notes"


def test_slow_headers_are_told_and_let_go(site: Site) -> None:
    said = site.slow.result(HEAD_DEADLINE_MS * 3 / 1000)
    assert said.startswith(b"HTTP/1.1 408 ")
    error = json.loads(said.partition(b"\r\n\r\n")[2])["error"]
    assert "did not come within" in error["message"]


def test_nothing_was_lost_and_the_next_good_call_is_served(
    site: Site, uncharged: None, tmp_path: Path
) -> None:
    stand = site.stand
    period = stand.budget(site.client.budget_id).current_period
    assert (period.spent_nano_usd, period.held_nano_usd) == (0, 0)
    assert stand.ledger() == []
    assert "Traceback" not in stand.sidecars["one"].log.read_text()
    assert "Traceback" not in stand.control_plane.log.read_text()
    answer = site.send(site.request(CHAT, GOOD))
    assert answer.status == 200
    stand.until(lambda: stand.usage_nano_usd() == stand.bill_nano_usd() > 0)
    stand.provider("/rehearsal/reset", {})
