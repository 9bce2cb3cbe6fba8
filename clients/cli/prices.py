"""`bursar price`: what models cost."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any

import click
from rich.text import Text

from clients.admin import Bursar, Price
from clients.cli.limits import LIST_MAX_ITEMS
from clients.cli.output import count_text, instant_text, table
from clients.cli.parameters import LATER, RATE
from clients.cli.rates import rate_text, read_rate
from clients.cli.session import Group, Session, pass_session
from protos.values import quantities
from protos.values.errors import NotFoundError
from protos.values.rates import Tier, Variant, variant_of

_SHOWN = (
    quantities.INPUT,
    quantities.CACHED,
    quantities.CACHE_WRITE,
    quantities.CACHE_WRITE_LONG,
    quantities.OUTPUT,
)
_TIER = re.compile(r"(\d{1,10}):(.+)\Z")


@click.group("price", cls=Group)
def price() -> None:
    """See and set what models cost, in dollars per million units."""


@price.command("list")
@click.argument("provider", required=False, default="")
@click.option("--model", default="", help="Only models with this in their id.")
@click.option("--history", "show_history", is_flag=True, help="Prices that were replaced too.")
@pass_session
def list_prices(session: Session, *, provider: str, model: str, show_history: bool) -> None:
    """List the prices in force and those to come."""
    listed = session.bursar.prices.list(provider=provider, show_history=show_history)
    found = [
        one
        for one in islice(listed, LIST_MAX_ITEMS)
        if any(model in name for name in (one.model, *one.aliases))
    ]
    session.show(
        {"prices": found},
        table(
            "USD per million tokens",
            [
                "Provider",
                "Model",
                "Variant",
                ">Above",
                ">Input",
                ">Cached",
                ">Write",
                ">Write 1h",
                ">Output",
                ">Context",
                ">Writes",
                "Since",
                "Source",
            ],
            [row for one in found for row in _rows(one)],
        ),
    )


@price.command("set")
@click.argument("provider")
@click.argument("model")
@click.option("--input", "input_rate", type=RATE, help="Prompt.")
@click.option("--output", "output_rate", type=RATE, help="Output, reasoning included.")
@click.option("--cached", "cached_rate", type=RATE, help="Prompt read from a cache.")
@click.option("--cache-write", "cache_write_rate", type=RATE, help="Prompt written to a cache.")
@click.option(
    "--cache-write-long",
    "cache_write_long_rate",
    type=RATE,
    help="Prompt written to a cache for an hour.",
)
@click.option(
    "--rate",
    "rates",
    multiple=True,
    metavar="KIND=USD",
    help="Any other kind: audio_input=10, web_search=10/1k, images=0.04/1, milliseconds=0.006/min;"
    " may be repeated.",
)
@click.option(
    "--tier",
    "tiers",
    multiple=True,
    metavar="ABOVE:KIND=USD,…",
    help="Rates for prompts of more than ABOVE tokens; may be repeated.",
)
@click.option(
    "--variant",
    default="",
    help="Set what it costs when served so: flex, priority, fast, batch, us, batch+us…",
)
@click.option(
    "--input-max",
    type=click.IntRange(1, quantities.QUANTITY_MAX),
    help="Tokens of prompt that it takes at most.",
)
@click.option(
    "--output-max",
    type=click.IntRange(0, quantities.QUANTITY_MAX),
    help="Tokens that it writes at most.",
)
@click.option("--alias", "aliases", multiple=True, help="Another id of the model; may be repeated.")
@click.option("--from", "valid_from", type=LATER, help="From when it holds  [default: now]")
@click.option("--reason", default="", help="Why, for the audit log.")
@pass_session
def set_price(  # noqa: PLR0913 - one parameter per option
    session: Session,
    *,
    provider: str,
    model: str,
    input_rate: int | None,
    output_rate: int | None,
    cached_rate: int | None,
    cache_write_rate: int | None,
    cache_write_long_rate: int | None,
    rates: Sequence[str],
    tiers: Sequence[str],
    variant: str,
    input_max: int | None,
    output_max: int | None,
    aliases: Sequence[str],
    valid_from: datetime | None,
    reason: str,
) -> None:
    """Set the price of a model; what is not given stays as it is.

    Nothing is deleted: a price holds until a later one begins, and booked calls keep theirs.
    """
    given = {
        quantities.INPUT: input_rate,
        quantities.OUTPUT: output_rate,
        quantities.CACHED: cached_rate,
        quantities.CACHE_WRITE: cache_write_rate,
        quantities.CACHE_WRITE_LONG: cache_write_long_rate,
        **dict(map(read_rate, rates)),
    }
    changed_rates = {kind: rate for kind, rate in given.items() if rate is not None}
    before = current(session.bursar, provider, model)
    if before is None and (variant or not changed_rates or not input_max or output_max is None):
        raise click.UsageError(
            f"{provider} {model} has no price yet: give its rates (--input and --output, or"
            " --rate), --input-max and --output-max."
        )
    start = before or Price(
        provider=provider,
        model=model,
        input_max_count=input_max or 0,
        output_max_count=output_max or 0,
        tiers=(Tier(0, {}),),
    )
    wanted = replace(
        start,
        aliases=tuple(aliases) or start.aliases,
        input_max_count=input_max or start.input_max_count,
        output_max_count=start.output_max_count if output_max is None else output_max,
        valid_from_time=valid_from,
    )
    if variant:
        wanted = replace(wanted, variants=_variants(wanted, variant, changed_rates, tiers))
    else:
        wanted = replace(wanted, tiers=_tiers(start.tiers, changed_rates, tiers))
    _made(session, session.bursar.prices.set(wanted, reason=reason))


@price.command("show")
@click.argument("provider")
@click.argument("model")
@pass_session
def show_price(session: Session, *, provider: str, model: str) -> None:
    """Show everything of a model's price in force: each rate, tier, variant and limit."""
    found = current(session.bursar, provider, model)
    if found is None:
        raise NotFoundError(f"{provider} {model} has no price: calls to it are refused")
    limits = (
        f"takes {count_text(found.input_max_count)}, writes {count_text(found.output_max_count)}"
    )
    since = instant_text(found.valid_from_time, none="always")
    names = f", also {', '.join(found.aliases)}" if found.aliases else ""
    session.show(
        {"price": found},
        Text(f"{found.provider} {found.model}{names}: {limits}"),
        Text(f"Since {since}, version {found.version}, {found.source}"),
        table(
            "",
            ["Variant", ">Above", "Kind", ">Rate"],
            [
                [variant, count_text(above), kind, rate_text(kind, rate)]
                for (variant, above, kind), rate in rates_of(found).items()
            ],
        ),
    )


@price.command("history")
@click.argument("provider")
@click.argument("model")
@pass_session
def show_history(session: Session, *, provider: str, model: str) -> None:
    """List every price that a model had, has and will have, the newest first."""
    found = [
        one
        for one in session.bursar.prices.list(provider=provider, show_history=True)
        if model == one.model or model in one.aliases
    ]
    found.reverse()
    session.show(
        {"prices": found},
        table(
            "",
            ["Since", "Version", "Source", "What"],
            [
                [
                    instant_text(one.valid_from_time, none="always"),
                    one.version,
                    one.source,
                    _rates_text(one.tiers[0].rates_pico_usd),
                ]
                for one in found
            ],
        ),
    )


def _made(session: Session, made: Price) -> None:
    rates_text = _rates_text(made.tiers[0].rates_pico_usd)
    served = "".join(
        f"; {variant.name}: {_rates_text(variant.tiers[0].rates_pico_usd)}"
        for variant in made.variants
    )
    session.show(
        {"price": made},
        Text(f"{made.provider} {made.model}: {rates_text}{served}; version {made.version}"),
    )
    since = instant_text(made.valid_from_time, none="now")
    session.say(f"It holds from {since} on, for calls that begin then.")


def current(bursar: Bursar, provider: str, model: str) -> Price | None:
    """The price of a model that holds now; the first of those to come when none does."""
    found = [
        one
        for one in bursar.prices.list(provider=provider)
        if model == one.model or model in one.aliases
    ]
    return found[0] if found else None


def _tiers(
    before: Sequence[Tier], rates: Mapping[str, int], given: Sequence[str]
) -> tuple[Tier, ...]:
    """The tiers that follow: rates go into the lowest one; given tiers replace the higher ones."""
    lowest = Tier(0, {**before[0].rates_pico_usd, **rates})
    higher = [_tier(text) for text in given] or list(before[1:])
    ordered = sorted(higher, key=lambda tier: tier.above_input)
    bounds = [tier.above_input for tier in ordered]
    if len(set(bounds)) != len(bounds) or (bounds and bounds[0] <= 0):
        raise click.BadParameter("each tier needs its own bound above 0", param_hint="--tier")
    return (lowest, *ordered)


def _variants(
    before: Price, name: str, rates: Mapping[str, int], given: Sequence[str]
) -> tuple[Variant, ...]:
    """The variants with one changed; a new one begins with the standard rates."""
    name = variant_of(name)
    known = {variant.name: variant.tiers for variant in before.variants}
    known[name] = _tiers(known.get(name, before.tiers), rates, given)
    return tuple(Variant(each, known[each]) for each in sorted(known))


def _tier(text: str) -> Tier:
    match = _TIER.match(text)
    if match is None:
        raise click.BadParameter(
            f"{text!r} is no tier: write it like 272000:input=2.5,output=15", param_hint="--tier"
        )
    return Tier(int(match[1]), dict(map(read_rate, match[2].split(","))))


def _rows(one: Price) -> list[list[str]]:
    tiers = [("", tier) for tier in one.tiers]
    tiers += [(variant.name, tier) for variant in one.variants for tier in variant.tiers]
    return [
        [
            one.provider if number == 0 else "",
            one.model if number == 0 else "",
            variant,
            count_text(tier.above_input),
            *(rate_text(kind, tier.rates_pico_usd.get(kind)) for kind in _SHOWN),
            count_text(one.input_max_count) if number == 0 else "",
            count_text(one.output_max_count) if number == 0 else "",
            instant_text(one.valid_from_time, none="always") if number == 0 else "",
            one.source if number == 0 else "",
        ]
        for number, (variant, tier) in enumerate(tiers)
    ]


def rates_of(one: Price) -> dict[tuple[str, int, str], int]:
    """Every rate of a price, by variant, size of the prompt and kind."""
    tiers = [("", tier) for tier in one.tiers]
    tiers += [(variant.name, tier) for variant in one.variants for tier in variant.tiers]
    return {
        (variant, tier.above_input, kind): rate
        for variant, tier in tiers
        for kind, rate in tier.rates_pico_usd.items()
    }


def _rates_text(rates_pico_usd: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} {rate_text(kind, rate)}" for kind, rate in rates_pico_usd.items())


COMMANDS: Sequence[Any] = (price,)
