"""Every bound of a sidecar, named with its unit; relations between them are asserted on import."""

# --- Leases and holds --------------------------------------------------------------------------

REPORTED_LEASES_MAX = 1_000
"""Leases that one Sync tells of; the rest follow with the next."""
ENDED_LEASES_MAX = 20_000
"""Leases of past periods whose numbers are remembered, should they ever be heard of again."""
LEFT_ENDED_LEASES = 18_000
"""When there are more, the oldest are forgotten until so many are left."""
RECENT_WORSTS_MAX = 40
"""Worst cases that the median and the smallest are taken from, per budget partition."""
BURN_HALF_LIFE_S = 30
"""Half of what was opened is forgotten after so long."""
BURN_FORGOTTEN_S = 600
"""After so long nothing of what was opened is remembered."""
WANT_HORIZON_S = 60
"""A lease wants to hold what is opened in so long,"""
WANT_MEDIANS = 16
"""or so many median calls, whichever is more; a quiet one keeps these, for an outage."""
IDLE_RETURN_MS = 10_000
"""A lease on which nothing was opened for so long gives back what is above its floor."""
IDLE_RETURN_LOW_MS = 1_000
"""The same, when less than a tenth of the cap is left."""
FLOOR_MS = 24 * 3_600_000
"""A budget that was used here within this time keeps a floor, to live through an outage.

So does one that was used in the window before, for so long from the turn on.
"""
STARTER_LEAD_MS = 3_600_000
"""From when the control plane grants first money of the next window, before the turn."""
UNCAPPED_AUTHORITY_MS = 300_000
"""For how long after an answered Sync calls that match no capped budget may be opened."""
PAUSE_MS = 2_000
"""Wall clock and boot clock may disagree by so much before a pause is suspected."""
CLOCK_WRONG_MS = 60_000
"""A wall clock that differs by more from the control plane's is spoken of in the log."""
LOW_WATER_PARTS = 4
"""A lease is filled up when less than this part of keep is available (one quarter)."""
RETURN_HYSTERESIS_PARTS = 8
"""What is above keep goes back once it is above this part of keep (one eighth)."""

# --- Waiting ------------------------------------------------------------------------------------

QUEUE_CALLS_MAX = 1_024
"""Calls that wait per set of budgets, so that one exhausted client never delays another."""
QUEUES_MAX = 4_096
"""Sets of budgets that calls wait for at once."""
QUEUE_DEMANDS_MAX = 16
"""Waiting calls per set of budgets that a Sync tells of: first those that no older undercuts."""
DEMANDS_MAX = 512
"""Waiting calls that one Sync tells of, the oldest first."""
UNREACHABLE_PATIENCE_MS = 2_000
"""How long a call waits for a control plane that does not answer."""
PATIENCE_MS = 20_000
"""How long a call waits for money when its project says nothing."""
COUNTER_WAIT_MS = 2_000
"""How long a provider's token counter is waited for."""
COUNT_MAX_BYTES = 65_536
"""What a counter says in one piece is no longer, or no count."""
HOSTED_CALLS_MAX = 1_000
"""Calls of hosted tools that one request may allow."""
PATIENCE_MAX_MS = 600_000
"""The longest patience that is believed."""
ASK_LATE_MS = 9_500
"""A call that could not be named, by what was heard last, is told of after so long,"""
ASK_BEHIND_MS = 10_000
"""and behind one that was told of after so long; in proportion where its patience is shorter."""
ASK_AGAIN_MS = 2_500
"""No Sync goes out for such calls when the latest one is not so old."""
SHORT_FRESH_MS = 10_000
"""How old an answer may be for telling that money is short."""
FREED_WAIT_MS = 100
"""What comes free where calls wait for it and one gives up soon is told within this time."""
REACHABLE_FRESH_MS = 1_000
"""How old an answer may be for telling an arriving call that its money is out of reach."""
UNSPENT_FRESH_MS = 15_000
"""How old an answer may be for telling an arriving call that its money is spent: a budget in use is
heard of with every whole report, of another it may have changed when a lost journal turned up."""

# --- Rate limits --------------------------------------------------------------------------------

RATE_SLICES = 50
"""Slices of a window in which what was taken is counted; one of them is what is lost of it."""
RATE_BURST_SLICES = 10
"""Slices in which a client uses no more of a limit that others share,"""
RATE_BURST_PARTS = 3
"""than this part of what it may use in the whole window (a third)."""
RATE_CLIENTS_MAX = 1_000
"""Clients whose use of one limit is remembered before those that use nothing are forgotten."""
RATE_REMEMBERED_KINDS_MAX = 10_000
"""Combinations of client, key, provider and model whose limits are remembered."""
RATE_UNTIMED_WINDOW_MS = 10_000
"""For how long a call that was refused counts as wanted, where the limit is on calls in flight."""

RATE_QUEUE_CALLS_MAX = 1_024
"""Calls of one client that wait for room in the same rate limits."""
RATE_WAITING_CALLS_MAX = 8_192
"""Calls that wait for room in rate limits, all together."""
RATE_RETRY_MS = 1_000
"""After which a caller is told to come back where no time tells when there is room."""
RATE_HOPE_MS = 3_000
"""A call that has no room waits so long for more of the limit, where others may have some left; not
when the control plane was asked for it in this time, and knows of no more."""
RECENT_RECORDS_MS = 60_000
"""A start looks up what was sent within this time, the longest window of a rate limit, by records
that were written since then; what was sent before counts no more."""
RECENT_RECORDS_MAX = 100_000
"""How many of them at most."""
RATE_TOLD_CLIENTS_MAX = 500
"""Clients of one rate limit that a Sync tells of."""
LOOPS_MAX = 10_000
"""Different requests that are remembered for finding loops; the longest unseen go first."""
LOOP_MS = 60_000
"""The time in which equal requests are counted, and the quiet after which a loop is over."""

# --- Clamping -----------------------------------------------------------------------------------

CLAMP_PARTS = 10
"""An unlimited answer may hold this part of what is left (one tenth); above it, it is clamped."""
OUTPUT_FLOOR_TOKENS = 1_024
"""Tokens of output below which no answer is clamped."""
OUTPUT_UNKNOWN_TOKENS = 4_096
"""The same for a workflow whose answers are not known."""
OUTPUT_SAMPLES_MIN = 20
"""Answers of a workflow from which its needs are known."""
OUTPUT_SAMPLES_MAX = 200
"""Answers that are remembered per workflow."""
OUTPUT_WORKFLOWS_MAX = 4_096
"""Workflows whose answers are remembered."""

# --- Journal ------------------------------------------------------------------------------------

JOURNAL_LINGER_MS = 10
"""How long a record that nobody waits for may wait for others before it is written."""
RECORDS_KEPT_MS = 72 * 3_600_000
"""How long records are kept after no fail-over can lose them."""
RECORDS_KEPT_BYTES = 1 << 30
"""Room for records that are kept although the ledger has them."""
PRUNED_RECORDS_MAX = 5_000
"""Records that are dropped in one transaction."""
BALLAST_BYTES = 4 << 20
"""Room that is kept free, so that open calls can settle on a full disk."""
DISK_FULL_RETRY_MS = 1_000
"""How often a full disk is looked at again."""
OPEN_CALLS_MAX = 20_000
"""Calls that hold money at once."""

# --- Control link -------------------------------------------------------------------------------

SYNC_MS = 10_000
"""Time between two Syncs when nothing happens."""
SYNC_JITTER_PARTS = 5
"""The time between two Syncs varies by this part to either side (one fifth)."""
SYNC_MIN_MS = 50
"""Two Syncs are never closer."""
SYNC_REFILL_MS = 1_000
"""A Sync that only refills comes at most so often."""
SYNC_WHOLE_MS = 2_000
"""A Sync tells of leases that did not change when the last that did so is so old."""
SYNC_DEADLINE_MS = 2_000
"""How long an answer may take at most."""
SYNC_DEADLINE_QUIET_MS = 1_000
"""How long it may take at first, when nobody waits as it is asked."""
SYNC_DEADLINE_WAITING_MS = 300
"""The same, while someone waits."""
RECORDS_WAIT_MS = 1_000
"""Records are told within this time,"""
WAITING_RECORDS_MAX = 64
"""or when there are so many."""
SYNC_RECORDS_MAX = 500
"""Records that one Sync tells,"""
SYNC_RECORDS_BYTES = 512 * 1024
"""and their size in all."""
REFUSAL_KINDS_MAX = 1_000
"""Different refusals that are counted for one minute; the rest are counted together."""
REFUSAL_MINUTES_MAX = 30
"""Minutes of refusals that are kept for a control plane that is away."""
SENT_REFUSALS_MAX = 500
"""Refusal counts that one Sync tells."""
SECRET_USES_MAX = 10_000
"""Secrets whose last use waits to be told."""
SENT_SECRET_USES_MAX = 1_000
"""Uses of secrets that one Sync tells."""
RECONNECT_MIN_MS = 200
"""The first pause after a control plane did not answer,"""
RECONNECT_MAX_MS = 2_000
"""which doubles up to this."""
WATCH_SILENT_MS = 25_000
"""A stream of directives that is silent for so long is opened anew; heartbeats come each 10 s."""
STREAM_SILENT_MS = 3_000
"""While calls wait that were told of, a stream that is silent for so long is not relied on."""
POLICY_LATE_MS = 2_000
"""A newer policy that the stream did not bring within this time is asked for by registering."""
REGISTER_DEADLINE_MS = 10_000
"""How long a registration may take."""
DRAIN_MS = 5_000
"""How long reporting and returning may take at the end."""
POLICY_BYTES_MAX = 16 << 20
"""The largest policy snapshot."""

# --- Calls --------------------------------------------------------------------------------------

LONGEST_CALL_MS = 600_000
"""Hard wall for one attempt at a provider."""
CALL_ATTEMPTS_MAX = 4
"""Attempts at providers that one request makes, the first one included."""
SECRET_REFUSED_REST_MS = 60_000
"""A provider's secret that was refused, or whose quota is used up, rests for so long."""
SECRET_BUSY_REST_MS = 5_000
"""One that had too many requests, where the provider does not say for how long,"""
SECRET_REST_MAX_MS = 60_000
"""and at most, where it does."""
DRAIN_CALLS_MS = 30_000
"""How long open calls may go on after the sidecar was asked to end."""
COLLECTED_OBJECTS = 50_000
"""Young objects after which the cycle collector looks at them; a few megabytes."""

assert LEFT_ENDED_LEASES < ENDED_LEASES_MAX
assert SYNC_MIN_MS < SYNC_DEADLINE_WAITING_MS < SYNC_DEADLINE_MS < SYNC_MS
assert (  # Two lost Syncs in a row refuse no call.
    SYNC_DEADLINE_QUIET_MS + RECONNECT_MIN_MS + 2 * SYNC_DEADLINE_WAITING_MS
    < UNREACHABLE_PATIENCE_MS
)
assert SYNC_MS * 2 < WATCH_SILENT_MS
assert OUTPUT_FLOOR_TOKENS <= OUTPUT_UNKNOWN_TOKENS
assert OUTPUT_SAMPLES_MIN <= OUTPUT_SAMPLES_MAX
assert WAITING_RECORDS_MAX <= SYNC_RECORDS_MAX
assert QUEUE_DEMANDS_MAX <= QUEUE_CALLS_MAX
assert UNREACHABLE_PATIENCE_MS <= PATIENCE_MS <= PATIENCE_MAX_MS <= LONGEST_CALL_MS
assert SECRET_BUSY_REST_MS <= SECRET_REFUSED_REST_MS <= SECRET_REST_MAX_MS
assert IDLE_RETURN_LOW_MS <= IDLE_RETURN_MS <= FLOOR_MS
assert RECONNECT_MIN_MS <= RECONNECT_MAX_MS <= UNREACHABLE_PATIENCE_MS
assert RATE_BURST_PARTS * RATE_BURST_SLICES < RATE_SLICES
