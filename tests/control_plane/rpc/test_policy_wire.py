"""A snapshot says nothing that a sidecar of an earlier version could not take."""

from control_plane.core.policy import Policy
from control_plane.core.prices import OPERATOR, Price
from control_plane.rpc.policy_wire import policy_to_wire
from protos.values import quantities as kinds
from protos.values.rates import ModelPrice, Tier, Variant


def test_rates_of_later_kinds_stand_apart() -> None:
    tier = Tier(0, {kinds.INPUT: 1, kinds.WEB_SEARCH: 2, kinds.IMAGE_OUTPUT: 3})
    flex = Variant("flex", (Tier(0, {kinds.INPUT: 4, kinds.CACHED_AUDIO: 5}),))
    price = ModelPrice("openai", "m", (), 1, 1, (tier,), "v", variants=(flex,))
    policy = Policy(1, (), (), (), (Price(price, 0, OPERATOR),), ())
    [told] = policy_to_wire(policy).prices
    [standard], [variant] = told.tiers, told.variants
    for part, first, later in (
        (standard, {"input": 1}, {"image_output": 3, "web_search": 2}),
        (variant.tiers[0], {"input": 4}, {"cached_audio": 5}),
    ):
        assert {rate.kind: rate.pico_usd for rate in part.rates} == first
        assert {rate.kind: rate.pico_usd for rate in part.more_rates} == later
