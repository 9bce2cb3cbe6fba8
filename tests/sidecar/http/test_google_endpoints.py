"""Every endpoint that Google's own SDK knows is served, or refused by name with its reason.

Its methods choose their path by what they speak to: here the Gemini API with a key, not the cloud.
Its newer parts are generated, and name their paths whole.
"""

import ast
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.sidecar.http.test_sdk_endpoints import PLACE, outcome

NAMES = {
    "batches": "batches/x",
    "caches": "cachedContents/x",
    "documents": "fileSearchStores/x/documents/x",
    "file_search_stores": "fileSearchStores/x",
    "models": "models/x",
    "tunings": "tunedModels/x",
}
"""What `{name}` stands for, which is all that some modules say of a path."""
WHOLE = {
    "{model}": ["models/x", "tunedModels/x"],
    "{models_url}": ["models", "tunedModels"],
    "{operationName}": ["models/x/operations/x", "tunedModels/x/operations/x"],
    "{resourceName}:fetchPredictOperation": [],
    "{parent}/documents": ["fileSearchStores/x/documents"],
    "{parent}/operations": ["fileSearchStores/x/operations"],
}
"""Paths without a word of their own; one is the cloud's alone."""
ASKS = {"request", "request_streamed", "async_request", "async_request_streamed"}


def modules(below: str = "") -> Iterator[tuple[str, ast.Module]]:
    spec = importlib.util.find_spec("google.genai")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0]) / below
    for path in sorted(folder.glob("[a-z]*.py")):
        yield path.stem, ast.parse(path.read_text(encoding="utf-8"))


def is_the_clouds(test: ast.expr) -> bool:
    """Whether a branch is taken where the SDK speaks to the cloud."""
    return isinstance(test, ast.Attribute) and test.attr in {"vertexai", "enterprise"}


def is_not_the_clouds(test: ast.expr) -> bool:
    return (
        isinstance(test, ast.UnaryOp)
        and isinstance(test.op, ast.Not)
        and is_the_clouds(test.operand)
    )


def lines(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a method that are run with a key; an early end ends them."""
    for line in body:
        if isinstance(line, ast.If) and is_the_clouds(line.test):
            yield from lines(line.orelse)
        elif isinstance(line, ast.If) and is_not_the_clouds(line.test):
            yield from lines(line.body)
            if any(isinstance(each, ast.Raise) for each in line.body):
                return
        elif isinstance(line, ast.If):
            yield from lines(line.body)
            yield from lines(line.orelse)
        else:
            yield line


def written(value: ast.expr) -> Iterator[str]:
    """The path that an assignment writes out; one with a query put behind it was seen before."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        value = value.func.value
    if isinstance(value, ast.Constant):
        yield str(value.value)


def paths_and_verbs(method: ast.AST) -> Iterator[tuple[str, str]]:
    assert isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
    paths: set[str] = set()
    verbs: set[str] = set()
    for line in lines(method.body):
        for node in ast.walk(line):
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "path":
                paths |= set(written(node.value))
            elif (
                isinstance(node, ast.Call)
                and getattr(node.func, "attr", "") in ASKS
                and isinstance(node.args[0], ast.Constant)
            ):
                verbs.add(str(node.args[0].value).upper())
    yield from ((verb, path) for verb in verbs for path in paths)


def asked(module: str, path: str) -> list[str]:
    """Where a path of a module's leads, places filled in."""
    if path in WHOLE:
        return [f"/v1beta/{each}" for each in WHOLE[path]]
    path = path.replace("{{api_version}}", "v1beta").replace("{api_version}", "v1beta")
    if path.startswith("{model}:"):
        path = path.replace("{model}", "models/x")
    path = path.replace("{file_search_store_name}", "fileSearchStores/x")
    if path.startswith("{name}"):
        path = path.replace("{name}", NAMES[module])
    assert not path.startswith("{"), f"{module} asks {path}: nobody here knows where"
    path = PLACE.sub("x", path).lstrip("/")
    return [f"/{path}" if path.startswith(("upload/", "v1beta/")) else f"/v1beta/{path}"]


@cache
def endpoints() -> frozenset[tuple[str, str]]:
    """The HTTP method and the path of all that the SDK asks the Gemini API."""
    found: set[tuple[str, str]] = set()
    for module, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for verb, path in paths_and_verbs(node):
                    found |= {(verb, each) for each in asked(module, path)}
    for module, tree in modules("_gaos"):
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        for told in [{each.arg: each.value for each in call.keywords} for call in calls]:
            method, place = told.get("method"), told.get("path")
            if isinstance(method, ast.Constant) and isinstance(place, ast.Constant):
                found |= {(str(method.value), each) for each in asked(module, str(place.value))}
    return frozenset(found)


def test_every_endpoint_of_googles_sdk_is_served_or_refused_by_name() -> None:
    found = {each: outcome(*each) for each in endpoints()}
    loose = {
        each: told
        for each, told in found.items()
        if not told.startswith("served") and told != "refused by name"
    }
    assert not loose
    assert len(found) > 50


def test_what_is_served_is_what_the_sdk_asks_for() -> None:
    served = {
        each.partition("?")[0] for _, each in endpoints() if outcome("POST", each)[:6] == "served"
    }
    assert served == {
        f"/v1beta/models/x:{method}"
        for method in (
            "generateContent",
            "streamGenerateContent",
            "batchEmbedContents",
            "countTokens",
        )
    }
    assert outcome("GET", "/v1beta/models") == "served as /v1beta/models"


def test_sessions_over_a_websocket_are_refused_by_name() -> None:
    path = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
    assert outcome("GET", path) == "refused by name"
