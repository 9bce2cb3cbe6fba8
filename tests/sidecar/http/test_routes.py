"""Only what is on the list is served, and only by its exact name."""

import pytest

from sidecar.http.routes import NoRouteError, Route, family_of, route
from sidecar.http.surfaces import SURFACES, Kind, Surface
from sidecar.providers.apis import APIS


@pytest.mark.parametrize(
    ("method", "target", "wanted"),
    [
        ("POST", "/v1/chat/completions", Route(Surface.CHAT)),
        ("POST", "/v1/embeddings", Route(Surface.EMBEDDINGS)),
        ("POST", "/v1/messages", Route(Surface.MESSAGES)),
        ("POST", "/v1/messages?beta=true", Route(Surface.MESSAGES, query="beta=true")),
        ("GET", "/v1/models", Route(Surface.MODELS)),
        ("HEAD", "/v1/models", Route(Surface.MODELS)),
        ("GET", "/v1/models/gpt-4o", Route(Surface.MODEL, model="gpt-4o")),
        ("GET", "/v1/models/a/b:c", Route(Surface.MODEL, model="a/b:c")),
        ("GET", "/healthz", Route(Surface.HEALTH)),
        ("OPTIONS", "/v1/messages", Route(Surface.MESSAGES)),
        ("OPTIONS", "*", Route(Surface.HEALTH)),
        ("POST", "/w/leads/v1/messages", Route(Surface.MESSAGES, "leads")),
        ("POST", "/w/lead%20scoring/v1/messages", Route(Surface.MESSAGES, "lead scoring")),
        ("POST", "/w/%C3%BCber/v1/messages", Route(Surface.MESSAGES, "ber")),
        ("POST", "/w/a%2Fb/v1/messages", Route(Surface.MESSAGES, "a/b")),
        ("POST", "/p/openai/v1/embeddings", Route(Surface.EMBEDDINGS, "", "openai")),
        ("POST", "/w/x/p/y/v1/messages", Route(Surface.MESSAGES, "x", "y")),
        ("POST", "/p/y/w/x/v1/messages", Route(Surface.MESSAGES, "x", "y")),
    ],
)
def test_a_served_target_means_one_thing(method: str, target: str, wanted: Route) -> None:
    assert route(method.encode(), target.encode()) == wanted


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/v1/images/variations", 403),
        ("/v1/messages/batches", 403),
        ("/v1/messages/", 403),
        ("//v1/messages", 403),
        ("/v1//messages", 403),
        ("/v1/./messages", 403),
        ("/v1/x/../messages", 403),
        ("/v1/messages/../chat/completions", 403),
        ("/v1/%6dessages", 403),
        ("/v1/messages%2f", 403),
        ("/v1/messages;x", 403),
        ("/v1\\messages", 403),
        ("/V1/messages", 403),
        ("/v1/models/..", 403),
        ("/v1/models/a%2fb", 403),
        ("/w/a/w/b/v1/messages", 403),
        ("/", 403),
        ("http://127.0.0.1/v1/messages", 400),
        ("v1/messages", 400),
        ("/w//v1/messages", 400),
        ("/w/%20/v1/messages", 400),
        ("/w/%ff/v1/messages", 400),
        ("/p/a%2fb/v1/messages", 400),
        ("/v1/messages?a=%00", 400),
        ("/v1/messages#x", 403),
        ("/" + "a" * 3000, 400),
    ],
)
def test_any_other_target_is_refused_by_name(target: str, status: int) -> None:
    with pytest.raises(NoRouteError) as caught:
        route(b"POST", target.encode())
    assert caught.value.status == status
    assert caught.value.code in ("endpoint_not_allowed", "invalid_request")


@pytest.mark.parametrize("query", ["key=a", "beta=true&api_key=a", "API-Key=", "access_token=a"])
def test_a_key_in_the_query_is_refused_without_repeating_it(query: str) -> None:
    with pytest.raises(NoRouteError, match="not in the query") as caught:
        route(b"POST", f"/v1/messages?{query}".encode())
    assert query not in caught.value.message


def test_other_queries_are_taken() -> None:
    for query in ("beta=true", "api-version=2026-01-01", "monkey=1"):
        assert route(b"POST", f"/v1/messages?{query}".encode()).query == query


def test_a_target_that_is_not_ascii_is_refused() -> None:
    with pytest.raises(NoRouteError):
        route(b"POST", "/v1/messages/é".encode())


@pytest.mark.parametrize(
    ("method", "target", "allow"),
    [
        ("GET", "/v1/messages", "POST, OPTIONS"),
        ("DELETE", "/v1/models", "GET, HEAD, OPTIONS"),
        ("HEAD", "/v1/messages", "POST, OPTIONS"),
        ("CONNECT", "/v1/messages", "POST, OPTIONS"),
    ],
)
def test_another_method_is_refused_and_the_allowed_ones_named(
    method: str, target: str, allow: str
) -> None:
    with pytest.raises(NoRouteError) as caught:
        route(method.encode(), target.encode())
    assert (caught.value.status, caught.value.allow) == (405, allow)


def test_a_base_url_with_v1_too_few_or_too_many_is_told_so() -> None:
    with pytest.raises(NoRouteError, match="Put /v1 at the end"):
        route(b"POST", b"/chat/completions")
    with pytest.raises(NoRouteError, match="Take /v1 off"):
        route(b"POST", b"/v1/v1/messages")


@pytest.mark.parametrize(
    ("target", "values", "family"),
    [
        ("/v1/messages/batches", {}, "anthropic"),
        ("/w/x/v1/messages", {}, "anthropic"),
        ("/v1/chat/completions", {b"x-api-key": b"k"}, "openai"),
        ("/v1/models", {b"x-api-key": b"k"}, "anthropic"),
        ("/v1/models", {b"anthropic-version": b"1"}, "anthropic"),
        ("/v1/models", {}, "openai"),
        ("/nowhere", {}, "openai"),
    ],
)
def test_the_envelope_follows_from_the_path_else_from_the_headers(
    target: str, values: dict[bytes, bytes], family: str
) -> None:
    assert family_of(target.encode(), values) == family


@pytest.mark.parametrize(
    ("method", "target", "words"),
    [
        ("POST", "/v1/messages/batches", "a batch is billed hours later"),
        ("GET", "/v1/batches/batch_1", "a batch is billed hours later"),
        ("GET", "/v1/chat/completions", "stored completions"),
        ("DELETE", "/v1/models/ft:gpt", "by your agency"),
    ],
)
def test_what_a_provider_offers_and_nobody_serves_is_refused_with_its_reason(
    method: str, target: str, words: str
) -> None:
    with pytest.raises(NoRouteError, match=words) as caught:
        route(method.encode(), target.encode())
    assert caught.value.status == 403


def test_every_surface_is_in_the_table_and_every_forwarded_one_has_its_functions() -> None:
    assert set(SURFACES) == set(Surface)
    assert set(APIS) == {surface for surface, row in SURFACES.items() if row.kind is not Kind.LOCAL}
    for surface, row in SURFACES.items():
        assert row.family or surface not in APIS


def test_a_path_goes_on_as_it_came_without_its_prefixes() -> None:
    assert route(b"GET", b"/p/openai/v1/models/a/b:c").path == "/v1/models/a/b:c"
    assert route(b"POST", b"/w/x/v1/messages").path == "/v1/messages"
