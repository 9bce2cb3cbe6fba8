"""What a run of chaos tells: a line per round, a table at the end, JSON for programs."""

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.chaos.campaign import Findings, Round
from tests.chaos.deck import KINDS

_NANO_PER_USD = 1_000_000_000


def usd(nano_usd: int) -> str:
    """An amount for people, to a hundredth of a cent, cut off."""
    return f"${nano_usd // _NANO_PER_USD}.{nano_usd % _NANO_PER_USD // 100_000:04d}"


def line(one: Round) -> str:
    """One round: seed, faults, calls, billed, cap, ledger, and whether it is well."""
    faults = " ".join(map(str, one.plan.faults))
    skipped = f" SKIPPED {' '.join(sorted(one.skipped))}" if one.skipped else ""
    return (
        f"seed {one.plan.seed}  calls {one.calls}  billed {one.billed_calls} "
        f"{usd(one.billed_nano_usd)}  client {usd(one.client_nano_usd)} of "
        f"{usd(one.cap_nano_usd)}  ledger {one.booked_calls}, {one.estimated} estimated  "
        f"settled {one.settle_ms} ms  {one.wall_ms / 1_000:.1f} s  "
        f"{'ok' if one.ok else 'FAILED'}  {faults}{skipped}"
    )


def failure(one: Round) -> list[str]:
    """What differs in a round that failed, and how to play it again."""
    return [
        f"  round of seed {one.plan.seed}: {', '.join(map(str, one.plan.faults))}",
        *(f"    {difference}" for difference in one.differences),
        f"  again: make chaos ROUNDS=1 SEED={one.plan.seed} (same faults; timing is the machine's)",
    ]


def table(findings: Findings) -> list[str]:
    """The whole run."""
    rounds = findings.rounds
    happened, missed, skipped = Counter[str](), Counter[str](), Counter[str]()
    answers = Counter[str]()
    for one in rounds:
        happened += one.happened
        missed += one.missed
        skipped += one.skipped
        answers += one.answers
    rows = ["", f"{'fault':24} {'happened':>8} {'missed':>8} {'skipped':>8}"]
    kinds = [kind for kind in KINDS if happened[kind] or missed[kind] or skipped[kind]]
    rows += [f"{kind:24} {happened[kind]:8} {missed[kind]:8} {skipped[kind]:8}" for kind in kinds]
    rows += [f"not possible here: {what}: {why}" for what, why in findings.missing.items()]
    rows += ["", f"{'what callers saw':24} {'calls':>8}"]
    rows += [f"{what:24} {count:8}" for what, count in answers.most_common()]
    total = _totals(findings)
    rows += ["", *(f"{name.replace('_', ' '):36} {value}" for name, value in total.items())]
    for swept in findings.sweeps:
        rows += [f"  all rounds of an installation together: {difference}" for difference in swept]
    rows += [f"kept: {path}" for path in findings.kept]
    rows.append("FAILED" if findings.failures else "every round is as it must be")
    return rows


def _totals(findings: Findings) -> dict[str, Any]:
    rounds = findings.rounds
    return {
        "rounds": len(rounds),
        "rounds_that_were_not_played": findings.unplayed,
        "rounds_that_failed": sum(not one.ok for one in rounds),
        "calls": sum(one.calls for one in rounds),
        "billed_calls": sum(one.billed_calls for one in rounds),
        "billed": usd(sum(one.billed_nano_usd for one in rounds)),
        "calls_in_the_ledger": sum(one.booked_calls for one in rounds),
        "estimated_calls": sum(one.estimated for one in rounds),
        "promises_made": sum(one.promises_made for one in rounds),
        "promises_awaited_under_fire": sum(one.promises_awaited for one in rounds),
        "calls_served_while_cut_off": sum(one.served_cut_off for one in rounds),
        "longest_settling_ms": max((one.settle_ms for one in rounds), default=0),
        "wall_s": findings.wall_ms // 1_000,
    }


def write_json(findings: Findings, path: Path) -> None:
    """Every round and the totals, for a program to read."""
    told = {
        "totals": _totals(findings),
        "missing": findings.missing,
        "sweeps": findings.sweeps,
        "kept": [str(kept) for kept in findings.kept],
        "rounds": [_told(one) for one in findings.rounds],
    }
    path.write_text(json.dumps(told, indent=1, default=str) + "\n")


def _told(one: Round) -> dict[str, Any]:
    """A round as JSON takes it: its faults in words, its counters as they are."""
    told = {field.name: getattr(one, field.name) for field in dataclasses.fields(one)}
    return told | {"plan": {"seed": one.plan.seed, "faults": list(map(str, one.plan.faults))}}
