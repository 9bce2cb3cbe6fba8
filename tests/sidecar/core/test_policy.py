"""The snapshot's lookups."""

from sidecar.core.policy import EMPTY, MATCHES_MAX, MoreSecret, Policy, Provider
from sidecar.core.routing import ModelRoute, ProviderSecret, Target
from tests.sidecar.builders import NOON, attributes, budget, key, policy, price, provider


def test_a_key_is_found_by_digest_and_by_secret() -> None:
    known = policy(keys=(key(secret="sec_a"), key(secret="sec_b")))
    found = known.key_by_digest(b"sec_b".ljust(32, b"."))
    assert found is not None
    assert found.secret_id == "sec_b"
    assert known.secret("sec_b") is found
    assert known.key_by_digest(b"sec_b") is None


def test_neither_digests_nor_sealed_secrets_are_shown() -> None:
    assert "sec_a..." not in repr(key())
    assert "sealed!" not in repr(provider(sealed=b"sealed!"))


def test_every_matching_budget_counts_by_ascending_id() -> None:
    known = policy(
        budget("bgt_z"),
        budget("bgt_agency", project=""),
        budget("bgt_other", project="prj_b"),
        budget("bgt_flow", workflow="news"),
    )
    found = [each.budget_id for each in known.matching(attributes(workflow="news"))]
    assert found == ["bgt_agency", "bgt_flow", "bgt_z"]
    assert [each.budget_id for each in known.matching(attributes())] == ["bgt_agency", "bgt_z"]
    assert known.matching(attributes()) is known.matching(attributes())


def test_labels_of_callers_cannot_fill_the_memory_of_matches() -> None:
    known = policy()
    for number in range(MATCHES_MAX + 10):
        known.matching(attributes(project=f"prj_{number}", workflow=str(number)))
    assert len(known._matches) <= MATCHES_MAX
    assert len(known._by_project) <= len(known.projects)


def test_the_price_in_force_is_the_latest_that_has_begun() -> None:
    known = policy(
        prices=(
            price(version="new", valid_from=200, aliases=("gpt",)),
            price(version="old", valid_from=100),
        )
    )
    versions = [known.price("openai", "gpt-x", instant) for instant in (99, 100, 199, 200)]
    assert [each.version if each else None for each in versions] == [None, "old", "old", "new"]
    aliased = known.price("openai", "gpt", 150)
    assert aliased is not None
    assert aliased.version == "old"
    assert known.price("openai", "gpt-unknown", 200) is None
    assert known.price("anthropic", "gpt-x", 200) is None


def test_all_prices_in_force_until_a_call_must_end_are_named() -> None:
    known = policy(
        prices=tuple(price(version=str(at), valid_from=at) for at in (100, 200, 300, 400))
    )

    def between(start: int, end: int) -> list[str]:
        return [each.version for each in known.prices_between("openai", "gpt-x", start, end)]

    assert between(150, 350) == ["100", "200", "300"]
    assert between(200, 200) == ["200"]
    assert between(0, 50) == []
    assert between(0, 100) == ["100"]


def test_a_models_own_id_outranks_another_models_alias() -> None:
    known = policy(prices=(price("gpt-y", aliases=("gpt-x",)), price("gpt-x")))
    found = known.price("openai", "gpt-x", 1)
    assert found is not None
    assert found.model == "gpt-x"


def test_only_configured_providers_serve_a_model() -> None:
    known = policy(
        prices=(price(), price(provider="elsewhere"), price("claude", provider="anthropic")),
        providers=(provider(), provider("anthropic")),
    )
    assert known.providers_of_model("gpt-x") == ("openai",)
    assert known.providers_of_model("claude") == ("anthropic",)
    assert known.providers_of_model("nothing") == ()


def test_a_key_sees_the_models_that_it_may_use() -> None:
    known = policy(prices=(price("gpt-x"), price("gpt-y")))
    assert [each.model for each in known.models_of(key())] == ["gpt-x", "gpt-y"]
    narrow = key(models=frozenset({"gpt-y"}))
    assert [each.model for each in known.models_of(narrow)] == ["gpt-y"]


def test_before_anything_was_heard_nothing_is_known() -> None:
    assert EMPTY.version == 0
    assert EMPTY.matching(attributes()) == ()


def test_a_deployment_is_the_model_that_its_provider_says() -> None:
    """It outranks a model of the same name: its operator named it."""
    prices = [price("gpt-x", provider="azure"), price("gpt-y", provider="azure")]
    azure = Provider(
        "azure", "openai", "https://a.example", b"", 1, {"prod": "gpt-x", "gpt-y": "gpt-x"}
    )
    known = Policy(version=1, prices=prices, providers=[azure])
    assert known.providers_of_model("prod") == ("azure",)
    for name in ("prod", "gpt-x", "gpt-y"):
        found = known.price("azure", name, NOON)
        assert found is not None
        assert found.model == "gpt-x"
    assert known.price("azure", "test", NOON) is None


def test_a_project_s_own_route_stands_above_one_for_all() -> None:
    agency = ModelRoute("", "smart", (Target("openai", "gpt-x"),))
    own = ModelRoute("prj_a", "smart", (Target("openai", "gpt-y"),))
    other = ModelRoute("prj_b", "theirs", (Target("openai", "gpt-y"),))
    known = Policy(version=1, routes=[agency, own, other])
    assert known.route("smart", "prj_a") is own
    assert known.route("smart", "prj_b") is agency
    assert known.route("theirs", "prj_a") is None
    assert known.route("gpt-x", "prj_a") is None
    assert known.routes_of("prj_a") == (own,)
    assert known.routes_of("prj_b") == (agency, other)


def test_other_ids_of_a_routed_model_go_the_same_way() -> None:
    route = ModelRoute("prj_a", "gpt-x", (Target("openai", "gpt-y"),))
    prices = [price("gpt-x", aliases=("gpt-x-1",)), price("gpt-y")]
    known = Policy(version=1, prices=prices, providers=[provider()], routes=[route])
    assert known.route("gpt-x-1", "prj_a") is route
    assert known.route("gpt-x-1", "prj_b") is None


def test_names_of_the_agencys_own_are_shown_but_for_those_of_models() -> None:
    routes = [
        ModelRoute("", "smart", (Target("gone", "gpt-x"), Target("openai", "gpt-x"))),
        ModelRoute("", "gpt-x", (Target("openai", "gpt-x"),)),
        ModelRoute("", "nowhere", (Target("openai", "gpt-z"),)),
    ]
    known = Policy(version=1, prices=[price()], providers=[provider()], routes=routes)
    assert [one.model for one in known.named_models_of(key())] == ["smart"]
    assert known.named_models_of(key(models=frozenset({"gpt-y"}))) == ()


def test_a_project_with_secrets_of_its_own_has_no_others() -> None:
    def more(name: str, project_id: str = "", at: str = "openai") -> MoreSecret:
        return MoreSecret(at, project_id, ProviderSecret(name, name.encode()))

    known = Policy(
        version=1,
        providers=[provider(sealed=b"first", version=7), provider("bare")],
        secrets=[more("psc_1"), more("psc_own", "prj_a"), more("psc_2"), more("psc_b", at="bare")],
    )

    def ids(at: str, project_id: str) -> list[str]:
        return [one.secret_id for one in known.secrets_of(at, project_id)]

    assert ids("openai", "prj_a") == ["psc_own"]
    assert ids("openai", "prj_b") == ["openai:7", "psc_1", "psc_2"]
    assert ids("bare", "prj_a") == ["psc_b"]
    assert ids("gone", "prj_a") == []
    assert {one.secret_id for one in known.every_secret()} == {
        *("openai:7", "psc_1", "psc_2", "psc_own", "psc_b")
    }
