"""Every endpoint that an official SDK knows is served, or refused by name with its reason.

The SDKs are looked into: each method of each resource says in its source which path it asks.
"""

import ast
import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from sidecar.http.routes import NoRouteError, route
from sidecar.http.unserved import reason_for

SDKS = {"openai": "/v1", "anthropic": ""}
"""The packages, and what the base URL of each adds before its paths."""
METHODS = {"_get", "_post", "_put", "_patch", "_delete", "_get_api_list"}
PLACE = re.compile(r"\{[^}]*\}")


def requests(package: str) -> Iterator[ast.Call]:
    """Every call by which a resource asks the API; read as text, for importing all takes long."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0]) / "resources"
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "self"
                and node.func.attr in METHODS
            ):
                yield node


def endpoint(node: ast.Call) -> tuple[str, str] | None:
    """The HTTP method and the path of such a call, places filled in.

    None for an address that an earlier answer told, such as that of a batch's results.
    """
    assert isinstance(node.func, ast.Attribute)
    method = node.func.attr.removeprefix("_").removesuffix("_api_list")
    for keyword in node.keywords:
        if keyword.arg == "method":
            assert isinstance(keyword.value, ast.Constant)
            method = str(keyword.value.value)
    path = node.args[0]
    if isinstance(path, ast.Call):
        path = path.args[0]
    if isinstance(path, ast.Attribute):
        return None
    assert isinstance(path, ast.Constant), ast.dump(path)
    return method.upper(), PLACE.sub("x", str(path.value))


@cache
def endpoints(package: str) -> frozenset[tuple[str, str]]:
    found = filter(None, map(endpoint, requests(package)))
    return frozenset((method, SDKS[package] + path) for method, path in found)


def outcome(method: str, path: str) -> str:
    try:
        return f"served as {route(method.encode(), path.encode()).surface.value}"
    except NoRouteError as error:
        if error.status == 403 and reason_for(path.partition("?")[0]):
            return "refused by name"
        return f"{error.status} {error.message[:60]}"


@pytest.mark.parametrize("package", SDKS)
def test_every_endpoint_of_an_official_sdk_is_served_or_refused_by_name(package: str) -> None:
    found = {each: outcome(*each) for each in endpoints(package)}
    loose = {
        each: told
        for each, told in found.items()
        if not told.startswith("served") and told != "refused by name"
    }
    assert not loose
    assert any(told == "refused by name" for told in found.values())


@pytest.mark.parametrize(
    ("package", "method", "path"),
    [
        ("openai", "POST", "/v1/chat/completions"),
        ("openai", "POST", "/v1/responses"),
        ("openai", "POST", "/v1/responses/input_tokens"),
        ("openai", "POST", "/v1/completions"),
        ("openai", "POST", "/v1/embeddings"),
        ("openai", "POST", "/v1/moderations"),
        ("anthropic", "POST", "/v1/messages"),
        ("anthropic", "POST", "/v1/messages/count_tokens"),
    ],
)
def test_what_is_served_is_what_the_sdk_asks_for(package: str, method: str, path: str) -> None:
    assert (method, path) in endpoints(package)
    assert outcome(method, path) == f"served as {path}"
