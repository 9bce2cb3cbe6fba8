"""`python -m tests.alerts`: replay the rules of alerts over many months and say how they did."""

import argparse
import sys

from tests.alerts.campaign import FALSE_MAX_PERCENT, play


def main() -> int:
    """Play, print a line for each profile, and fail when a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.alerts", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    asked = parser.parse_args()
    broken = False
    for played in play(range(asked.seed, asked.seed + asked.seeds)):
        broken |= not played.holds
        print(
            f"{played.profile:16} {played.false:4} of {played.quiet} quiet months woke somebody "
            f"({played.false * 100 / played.quiet:.1f} %, under "
            f"{FALSE_MAX_PERCENT[played.profile]} % allowed); {played.runaways} runaways, "
            f"{played.late} paged late, at least {played.least_left_percent} % left when paged"
        )
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
