"""Every bound of the chaos rounds, named with its unit."""

CENT_NANO_USD = 10_000_000
"""A cent in nano-USD."""

OFFLINE_MS = 15_000
"""max_offline of every budget: the shortest that there is, so that authority really ends."""
PATIENCE_MS = 2_500
"""How long a call waits for money."""
TRAFFIC_MS = 2_200
"""How long callers make new calls in a round,"""
AFTER_LONG_MS = 1_000
"""and still after a long fault has ended."""
CALLERS = 9
"""Callers at once; each makes one call after the other."""
PAUSE_MS = 60
"""The longest a caller waits between two calls."""

SETTLE_S = 90
"""How long it may take until everything is told after everything was healed."""
LOOK_S = 0.15
"""Time between two looks."""
ACT_S = 90
"""How long an administrator goes on asking a control plane that is away."""
READY_S = 90
"""How long until every sidecar applies a policy."""

ANSWERED_BEFORE_NS = 1_000_000_000
"""A call that ended so long before its sidecar died is in the journal for good."""
UNTOLD_NS = 5_000_000_000
"""A call that ended so long ago was told, though the control plane was away for a while."""
PROMISE_SLACK_NS = 300_000_000
"""From a call's dispatch until the provider, on a busy machine, has taken note of it."""
CLOCK_SLACK_NS = 20_000_000
"""How far apart two processes' notes of one instant may be."""

INSTALLATION_ROUNDS_MAX = 50
"""After so many rounds everything begins anew, so that a run is no slower at its end."""
FAILURES_MAX = 5
"""Rounds that may fail before a run is given up."""

assert TRAFFIC_MS < 10 * SETTLE_S * 1_000
assert PATIENCE_MS <= OFFLINE_MS
assert PROMISE_SLACK_NS < ANSWERED_BEFORE_NS
