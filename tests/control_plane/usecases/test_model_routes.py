"""Names of the agency's own for models: set only where every call of theirs can be passed on."""

from functools import partial

import nacl.public
import pytest

from control_plane.core.model_routes import ModelRoute, Target
from control_plane.core.pages import Asked
from control_plane.core.providers import SetProvider
from control_plane.store.engine import Tx
from control_plane.usecases import model_routes, policy, providers
from control_plane.usecases.acts import Act
from protos.values.errors import EtagMismatchError, InvalidArgumentError, NotFoundError
from tests.control_plane.desk import Desk

PUBLIC_KEY = bytes(nacl.public.PrivateKey(b"k" * 32).public_key)


@pytest.fixture(autouse=True)
def _providers(desk: Desk) -> None:
    for name in ("openai", "anthropic"):
        wish = SetProvider(name, "", "", "sk-live-0123456789abcdef", "")
        desk.do(partial(_set, wish, desk))
    azure = SetProvider(
        *("azure", "openai", "https://ours.openai.azure.com", "sk-live-0123456789abcdef", ""),
        {"prod-4o": "gpt-4o"},
    )
    desk.do(partial(_set, azure, desk))


def _set(wish: SetProvider, desk: Desk, tx: Tx, act: Act) -> None:
    providers.set_provider(tx, wish, desk.vault, act)


def put(
    desk: Desk,
    name: str,
    *targets: str,
    project_id: str = "",
    etag: str = "",
    cheaper: str = "",
    above: int = 0,
) -> ModelRoute:
    pairs = tuple(Target(*target.split("/", 1)) for target in targets)
    cheap = Target(*cheaper.split("/", 1)) if cheaper else None
    wanted = ModelRoute(project_id, name, pairs, cheap, above)
    return desk.do(lambda tx, act: model_routes.set_model_route(tx, wanted, etag, act))


def told(desk: Desk, *project_ids: str) -> list[tuple[str, str]]:
    """What a sidecar of this scope is told."""
    sidecar = desk.sidecar(f"host {desk.now}", project_ids, PUBLIC_KEY)
    desk.pass_ms(1)
    snapshot = desk.read(lambda tx: policy.snapshot(tx, sidecar, desk.vault, desk.now))
    return [(route.project_id, route.name) for route in snapshot.routes]


def test_a_route_reaches_the_sidecars_of_its_client_alone(desk: Desk) -> None:
    mine, _ = desk.project("Mine")
    theirs, _ = desk.project("Theirs")
    put(desk, "smart", "openai/gpt-4o", "openai/gpt-4o-mini")
    put(desk, "smart", "openai/gpt-4o-mini", project_id=mine.project_id)
    put(desk, "odd/name", "openai/gpt-4o", project_id=theirs.project_id)
    assert told(desk, mine.project_id) == [("", "smart"), (mine.project_id, "smart")]
    assert len(told(desk)) == 3
    listed = desk.read(
        lambda tx: model_routes.list_model_routes(tx, Asked(), theirs.project_id)
    ).items
    assert [route.name for route in listed] == ["smart", "odd/name"]


def test_a_route_is_replaced_on_the_version_that_was_read_and_taken_away_once(desk: Desk) -> None:
    before = desk.policy_version()
    first = put(desk, "smart", "openai/gpt-4o")
    assert first.version == desk.policy_version() == before + 1
    with pytest.raises(InvalidArgumentError, match="etag"):
        put(desk, "smart", "openai/gpt-4o-mini")
    second = put(desk, "smart", "openai/gpt-4o-mini", etag=first.etag)
    assert "openai/gpt-4o-mini" in desk.last_entry().detail_json

    def delete(etag: str) -> None:
        desk.do(lambda tx, act: model_routes.delete_model_route(tx, "", "smart", etag, act))

    with pytest.raises(EtagMismatchError):
        delete(first.etag)
    delete(second.etag)
    with pytest.raises(NotFoundError):
        delete(second.etag)
    third = put(desk, "smart", "openai/gpt-4o")
    assert third.version > second.version, "an etag of before names nothing that came after"
    assert told(desk) == [("", "smart")]


def test_pages_follow_each_other(desk: Desk) -> None:
    for name in ("a", "b", "c"):
        put(desk, name, "openai/gpt-4o")
    first = desk.read(lambda tx: model_routes.list_model_routes(tx, Asked(2), ""))
    rest = desk.read(lambda tx: model_routes.list_model_routes(tx, Asked(2, first.next_token), ""))
    assert [route.name for route in (*first.items, *rest.items)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("name", "targets", "words"),
    [
        ("", ["openai/gpt-4o"], "route.name"),
        ("two words", ["openai/gpt-4o"], "route.name"),
        ("../x", ["openai/gpt-4o"], "route.name"),
        ("x" * 200, ["openai/gpt-4o"], "route.name"),
        ("smart", [], "1 to 8"),
        ("smart", ["openai/gpt-4o"] * 2, "twice"),
        ("smart", ["mistral/large"], "no provider 'mistral'"),
        ("smart", ["openai/no-such"], "no price for openai/no-such"),
        ("smart", ["azure/prod-4o"], "no price for azure/prod-4o"),
        ("smart", ["openai/gpt-4o", "anthropic/claude-haiku-4-5"], "not translated"),
        ("smart", ["openai/gpt-4o", "openai/text-embedding-3-small"], "not alike"),
    ],
)
def test_what_no_call_could_go_by_is_refused_with_the_reason(
    desk: Desk, name: str, targets: list[str], words: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        put(desk, name, *targets)
    assert words in caught.value.message


def test_a_route_for_a_client_needs_one(desk: Desk) -> None:
    project, _ = desk.project()
    with pytest.raises(NotFoundError):
        put(
            desk,
            "smart",
            "openai/gpt-4o",
            project_id=project.project_id[:-1] + ("1" if project.project_id[-1] == "0" else "0"),
        )


def test_a_rule_for_a_cheaper_model_is_kept_and_told(desk: Desk) -> None:
    made = put(desk, "gpt-4o", "openai/gpt-4o", cheaper="openai/gpt-4o-mini", above=80)
    sidecar = desk.sidecar("host", (), PUBLIC_KEY)
    (told_route,) = desk.read(lambda tx: policy.snapshot(tx, sidecar, desk.vault, desk.now)).routes
    assert told_route == made
    assert (str(told_route.cheaper), told_route.above_percent) == ("openai/gpt-4o-mini", 80)
    assert "openai/gpt-4o-mini" in desk.last_entry().detail_json
    without = put(desk, "gpt-4o", "openai/gpt-4o", etag=made.etag)
    assert (without.cheaper, without.above_percent) == (None, 0)


@pytest.mark.parametrize(
    ("cheaper", "above", "words"),
    [
        ("openai/gpt-4o-mini", 0, "from 1 to 99"),
        ("openai/gpt-4o-mini", 100, "from 1 to 99"),
        ("", 80, "name the cheaper model"),
        ("openai/gpt-4o", 80, "not cheaper"),
        ("openai/no-such", 80, "no price"),
        ("openai/text-embedding-3-small", 80, "not alike"),
        ("anthropic/claude-haiku-4-5", 80, "not translated"),
    ],
)
def test_a_rule_that_could_not_be_kept_or_would_save_nothing_is_refused(
    desk: Desk, cheaper: str, above: int, words: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        put(desk, "gpt-4o", "openai/gpt-4o", cheaper=cheaper, above=above)
    assert words in caught.value.message
