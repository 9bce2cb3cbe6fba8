"""`bursar price diff` and `bursar price import`: prices from the catalogues of others."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from clients.admin import Price, PriceChange, PriceEffect, PriceProposal
from clients.cli.output import count_text, instant_text, table
from clients.cli.prices import price, rates_of
from clients.cli.rates import rate_text
from clients.cli.session import Session, pass_session

_STYLES = {
    PriceEffect.NEW: "cyan",
    PriceEffect.DEARER: "red",
    PriceEffect.CHEAPER: "green",
    PriceEffect.MIXED: "yellow",
    PriceEffect.WIDER: "",
}
_SHOWN_LINES = 6
"""Changed rates of one price that are shown; JSON has all."""


def _catalogue_options(command: Any) -> Any:
    for option in reversed(
        (
            click.option(
                "--provider",
                "providers",
                multiple=True,
                help="A provider; may be repeated  [default: all that are set up].",
            ),
            click.option(
                "--model",
                "models",
                multiple=True,
                help="Only this model; may be repeated. Names overrides too.",
            ),
            click.option(
                "--litellm",
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                help="litellm's model_prices_and_context_window.json  [default: the extract that"
                " comes with the software].",
            ),
        )
    ):
        command = option(command)
    return command


@price.command("diff")
@_catalogue_options
@pass_session
def diff_prices(
    session: Session, *, providers: Sequence[str], models: Sequence[str], litellm: Path | None
) -> None:
    """Show what the catalogues would change of the prices. Changes nothing."""
    _show(session, _proposal(session, providers, models, litellm))


@price.command("import", dangerous=True)
@_catalogue_options
@click.option("--apply", "is_applied", is_flag=True, help="Accept everything that is shown.")
@click.option(
    "--accept-dearer", is_flag=True, help="Accept what is dearer, without asking: for timers."
)
@click.option("--reason", default="", help="Why, for the audit log.")
@pass_session
def import_prices(
    session: Session,
    *,
    providers: Sequence[str],
    models: Sequence[str],
    litellm: Path | None,
    is_applied: bool,
    accept_dearer: bool,
    reason: str,
) -> None:
    """Take prices over from genai-prices, with limits from litellm's table.

    Without --apply or --accept-dearer it only shows them. What is new or cheaper needs your word;
    a price that you set by hand is replaced only when --model names it. Calls are charged by what
    you accept, and bounded by the dearer of both catalogues where they disagree.
    """
    if is_applied and accept_dearer:
        raise click.UsageError("--apply and --accept-dearer: give one of them")
    proposal = _proposal(session, providers, models, litellm)
    if not is_applied and not accept_dearer:
        _show(session, proposal)
        session.say("Nothing was changed. Accept it with --apply, or --accept-dearer.")
        return
    if not session.as_json:
        _show(session, proposal)
    wanted = [
        change
        for change in proposal.changes
        if (not change.is_override or change.proposed.model in models)
        and (is_applied or change.effect is PriceEffect.DEARER)
    ]
    if is_applied and wanted:
        session.confirm(f"Set {count_text(len(wanted))} prices?")
    accepted = (
        session.bursar.price_imports.accept(proposal, dearer_only=accept_dearer, reason=reason)
        if wanted
        else []
    )
    session.show(
        {"accepted": accepted, "changes": proposal.changes, "sources": proposal.sources},
        Text(f"{count_text(len(accepted))} prices are set, each with a version of its own."),
    )


def _proposal(
    session: Session, providers: Sequence[str], models: Sequence[str], litellm: Path | None
) -> PriceProposal:
    session.say("Reading the catalogues and holding them against the prices in force…")
    given = litellm.read_bytes() if litellm else b""
    return session.bursar.price_imports.propose(providers=providers, models=models, litellm=given)


def _show(session: Session, proposal: PriceProposal) -> None:
    counts = Counter(change.effect for change in proposal.changes)
    summary = ", ".join(
        f"{counts[effect]} {effect.value}" for effect in PriceEffect if counts[effect]
    )
    session.show(
        {
            "changes": proposal.changes,
            "left_out": proposal.left_out,
            "sources": proposal.sources,
        },
        table(
            "What would change, USD per million units",
            ["Effect", "Provider", "Model", "From", "What"],
            [_row(change) for change in proposal.changes],
        ),
        Text(f"{summary or 'Nothing would change'}, by {' and '.join(proposal.sources)}."),
    )
    if proposal.left_out:
        named = ", ".join(one.model for one in proposal.left_out[:_SHOWN_LINES])
        more = ", …" if len(proposal.left_out) > _SHOWN_LINES else ""
        session.say(
            f"{len(proposal.left_out)} models are left out ({named}{more}): --json says why each."
        )


def _row(change: PriceChange) -> list[str | Text]:
    lines = [*_differences(change), *change.remarks]
    if len(lines) > _SHOWN_LINES:
        lines = [*lines[:_SHOWN_LINES], f"… and {len(lines) - _SHOWN_LINES} more"]
    if change.is_override:
        lines.insert(0, "set by hand: replaced only with --model")
    return [
        Text(change.effect.value, style=_STYLES[change.effect]),
        change.proposed.provider,
        change.proposed.model,
        instant_text(change.proposed.valid_from_time, none="now"),
        Text("\n".join(lines)),
    ]


def _differences(change: PriceChange) -> Iterator[str]:
    """Every rate, limit and name that differs, in words."""
    before, after = change.current, change.proposed
    old, new = (rates_of(before) if before else {}), rates_of(after)
    added = {variant for variant, _, _ in new} - {variant for variant, _, _ in old}
    for place, rate in new.items():
        variant, above, kind = place
        if variant in added and before is not None:
            continue
        if old.get(place) != rate:
            above_text = f" above {count_text(above)}" if above else ""
            was = f"{rate_text(kind, old[place])} -> " if place in old else ""
            yield f"{variant and variant + ' '}{kind}{above_text} {was}{rate_text(kind, rate)}"
    for place in sorted(old.keys() - new.keys()):
        named = " ".join(str(part) for part in place if part)
        yield f"{named} {rate_text(place[2], old[place])} -> none"
    if before is not None:
        if added:
            yield f"variants {', '.join(sorted(added))}"
        yield from _wider(before, after)


def _wider(before: Price, after: Price) -> Iterator[str]:
    names = [name for name in after.aliases if name not in before.aliases]
    if names:
        yield f"names {', '.join(names)}"
    if before.input_max_count != after.input_max_count:
        yield f"takes {count_text(before.input_max_count)} -> {count_text(after.input_max_count)}"
    if before.output_max_count != after.output_max_count:
        yield (
            f"writes {count_text(before.output_max_count)} -> {count_text(after.output_max_count)}"
        )


COMMANDS: Sequence[Any] = (price,)
"""The noun, with what is added to it here."""
