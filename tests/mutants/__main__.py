"""`python -m tests.mutants`: plant each mutant of the table, and say what found it.

The exit status is 0 when all were caught, 1 when one survived or the table does not fit the code.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.mutants import beyond, table
from tests.mutants.campaign import Catch, Verdict, hunt_all, made_trees, without_mutants
from tests.mutants.planting import Mutant, StaleMutantError

ALL = (*table.MUTANTS, *beyond.MUTANTS)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="may be repeated")
    parser.add_argument("--all", action="store_true", help="those beyond the protocol's table too")
    parser.add_argument("--seeds", type=int, help="look at so many seeds of each")
    parser.add_argument("--first", type=int, default=0, help="the first seed to look at")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was found there")
    return parser.parse_args()


def _chosen(arguments: argparse.Namespace) -> list[Mutant]:
    if not arguments.only:
        return list(ALL if arguments.all else table.MUTANTS)
    known = {mutant.name.lower(): mutant for mutant in ALL}
    unknown = [name for name in arguments.only if name.lower() not in known]
    if unknown:
        raise SystemExit(f"no mutant is called {', '.join(unknown)}: choose of {', '.join(known)}")
    return [known[name.lower()] for name in arguments.only]


def _cells(catch: Catch | None) -> str:
    if catch is None:
        return "-"
    where = "directed" if catch.seed is None else f"seed {catch.seed}, step {catch.steps}"
    return f"{catch.by} ({where})"


def line(verdict: Verdict) -> str:
    """One mutant as the table shows it."""
    mutant = verdict.mutant
    outside = "the same"
    if verdict.first is None or not verdict.first.outside:
        outside = mutant.masked or _cells(verdict.outside)
        if verdict.outside is not None:
            outside = _cells(verdict.outside)
    state = "caught" if verdict.caught else "SURVIVED"
    return f"{mutant.name:<6} {state:<9} {_cells(verdict.first):<46} {outside}"


def _as_json(verdict: Verdict) -> dict[str, Any]:
    return {
        "mutant": verdict.mutant.name,
        "words": verdict.mutant.words,
        "path": verdict.mutant.change.path,
        "caught": verdict.caught,
        "within_seeds": verdict.seeds,
        "first": asdict(verdict.first) if verdict.first else None,
        "outside": asdict(verdict.outside) if verdict.outside else None,
    }


def main() -> int:
    """Hunt, print, and say whether any survived."""
    arguments = _arguments()
    mutants = _chosen(arguments)
    most = arguments.seeds or max(mutant.seeds for mutant in mutants)
    all_seeds = range(arguments.first, arguments.first + most)
    verdicts = []
    try:
        with made_trees() as trees:
            broken = without_mutants(trees, all_seeds)
            for catch in broken:
                print(f"without any mutant: {_cells(catch)}: {catch.words}", file=sys.stderr)
            sound = [seed for seed in all_seeds if seed not in {catch.seed for catch in broken}]
            print(f"{'':<6} {'':<9} {'caught by':<46} from outside, without our own guards")
            for verdict in hunt_all(
                trees, mutants, lambda mutant: sound[: arguments.seeds or mutant.seeds]
            ):
                print(line(verdict), flush=True)
                verdicts.append(verdict)
    except StaleMutantError as error:
        print(error, file=sys.stderr)
        return 1
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([_as_json(each) for each in verdicts], indent=1))
    survivors = [each.mutant.name for each in verdicts if not each.caught]
    print(f"{len(verdicts) - len(survivors)} of {len(verdicts)} caught", *survivors)
    return 1 if survivors or broken else 0


if __name__ == "__main__":
    sys.exit(main())
