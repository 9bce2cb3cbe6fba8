"""Every bound of the control plane, by name and with its unit."""

# --- Store ----------------------------------------------------------------------------------------

QUEUED_WRITES_MAX = 4_096
"""Writes that may wait for the writer; more are refused as UNAVAILABLE."""
BATCHED_WRITES_MAX = 256
"""Writes that share one COMMIT."""
QUEUED_READS_MAX = 256
"""Reads that may wait for a reader."""
READERS = 2
"""Read-only connections."""
READ_TIME_LIMIT_MS = 2_000
"""A read that takes longer is interrupted."""
READ_ROWS_MAX = 100_000
"""Rows that one statement may return."""

# --- Messages -------------------------------------------------------------------------------------

MESSAGE_BYTES_MAX = 4 << 20
"""Largest gRPC message that is taken; a Sync has 512 KiB of records at most."""
SENT_MESSAGE_BYTES_MAX = 16 << 20
"""Largest gRPC message that is sent: the policy of a large agency."""
METADATA_BYTES_MAX = 8_192
"""Largest gRPC metadata that is taken."""
CONCURRENT_RPCS_MAX = 4_096
"""RPCs in progress over all connections, Watch streams included."""

REQUEST_WAIT_S = 5
"""From the head of an RPC to its request."""
CONNECTION_STREAMS_MAX = 100
"""RPCs in progress on one connection."""
KEEPALIVE_MS = 30_000
"""A quiet connection is pinged so often."""
PING_TIMEOUT_MS = 10_000
"""A ping that is not answered for so long ends the connection."""
PING_INTERVAL_MIN_MS = 10_000
"""A client may ping a quiet connection no more often."""

# --- Watermark ------------------------------------------------------------------------------------

WATERMARK_STEPS = 20
"""A ceiling is raised by one part in so many of the cap."""
WATERMARK_STEP_MIN_NANO_USD = 10_000_000
"""The smallest step, one cent: a tiny cap must not cost a write to the disk for each call."""
WATERMARK_STEP_MAX_NANO_USD = 1_000_000_000_000
"""The largest step, $1,000: so much of a huge cap waits at most after a restore."""
AHEAD_GENERATIONS_MAX = 10_000
"""A sidecar has seen at most so many restores that a database without a watermark has not."""
LEARNING_STOP_MS = 60_000
"""So long a database that may be old grants nothing; then the watermark bounds what is missing."""
LEARNING_REST_MS = 3_600_000
"""So long after that no claim of a sidecar stops all grants again."""
WATERMARK_LINE_MARKS = 100
"""Marks in one line of a file that is written anew."""
WATERMARK_SPARE_BYTES = 1 << 20
"""A file is written anew when it has grown by its own size and so much more."""

# --- Sync -----------------------------------------------------------------------------------------

SYNC_RECORDS_MAX = 500
"""Records in one Sync."""
SYNC_RECORD_BYTES_MAX = 512 << 10
"""Bytes of records in one Sync."""
READ_TOGETHER_LEASES_MAX = 32
"""Leases of one sidecar whose rows, and all beside them, one statement reads for a decision."""
SYNC_LEASES_MAX = 4_096
"""Lease reports in one Sync."""
SYNC_DEMANDS_MAX = 1_024
"""Demands in one Sync."""
SYNC_REFUSALS_MAX = 512
"""Refusal counters in one Sync."""
SYNC_SECRET_USES_MAX = 1_024
"""Uses of secrets in one Sync."""
VECTOR_LEASES_MAX = 32
"""Budgets that one call can match."""
RECORD_NANO_USD_MAX = 1_000_000 * 1_000_000_000
"""The largest amount that one record may move, $1,000,000: no call costs more."""
RECORD_QUANTITY_MAX_UNITS = 10**12
"""The largest quantity of one record."""
LEASE_NANO_USD_MAX = 2**60
"""The largest number of one lease that is believed, a billion dollars."""
PERIOD_NANO_USD_MAX = 2**63 - 1 - 2**60
"""Sums of one period stay below this, so that no addition leaves 64 bits."""
ROLLUP_MAX_UNITS = 10**18
"""Where a sum for people stops growing."""
BAD_RECORD_BYTES_MAX = 4_096
"""Bytes that are kept of a record that could not be read."""
ALARM_CHARACTERS_MAX = 1_000
"""Longest text of an alarm that repeats what a sidecar said."""
BAD_RECORDS_MAX = 1_000
"""Such records that are kept of one sidecar."""
TEXT_CHARACTERS_MAX = 512
"""Longest text that a record or a counter may carry; longer ones are cut."""

SIDECARS_MAX = 1_000
"""Sidecars that may share one wished name."""
INCARNATION_CHARACTERS_MAX = 64
"""Longest name of a process."""
PROCESSES_MAX = 256
"""Processes of one sidecar that are known again when something of them arrives late."""
FORKS_MAX = 16
"""Copies of one life of a journal that are followed record by record."""
FORK_RECORDS_MAX = 100_000
"""Rows that forks of one life of a journal may add to the ledger."""
LATE_RECORDS_MAX = 1_000_000
"""Records that are booked of a journal whose time is over and that take nothing from its leases: a
sidecar that is cut off makes no more without a lease in the five minutes that it has for them."""
ALARMS_MAX = 1_000
"""Alarms of one kind that are kept of one sidecar; the newest stay."""
DOUBT_TOLD_AGAIN_MS = 3_600_000
"""An alarm about the price of one model is raised once in so long."""
DOUBTS_MAX = 8
"""Such alarms that one Sync may raise."""
DECIDED_LEASES_MAX = 1_000
"""Leases that one request of a person decides about; the next ones are for the next request."""
CHARGED_LEASES_MAX = 500
"""Leases that one round of housekeeping charges as lumps."""

# --- Leasing --------------------------------------------------------------------------------------

SYNC_INTERVAL_MS = 10_000
"""When a quiet sidecar syncs again."""
SYNC_SOON_MS = 3_000
"""When a sidecar with waiting calls syncs again, while no stream brings it what they may have."""
SYNC_BACKOFF_MS = 1_000
"""When a sidecar that was refused for load comes back."""
AFTER_TURN_MS = 50
"""So long after a window turned, who waits for its money asks for the next one's."""
DEMAND_LIFE_MS = 25_000
"""Demands that were not repeated for so long are forgotten: two quiet Syncs."""
RECALL_PENDING_MS = 250
"""A recall that was sent is counted as on its way for so long."""
RESERVATION_PAUSE_MIN_MS = 500
"""After a reservation its budgets make no new one for so long at least: a nudge and its Sync."""
RESERVATION_LAST_PARTS = 10
"""In the last part of its patience (one tenth) a call reserves nothing."""
SHORT_LIFE_MS = 2_000
"""A period in which calls waited for money hands out none ahead of calls for so long after."""
SILENT_AFTER_MS = 30_000
"""A sidecar that did not speak for so long is silent."""
ACTIVE_HOLDER_MS = 30_000
"""A sidecar's levels count in the sharing of money for so long."""
SYNC_OFFERS_MAX = 8
"""Other sidecars whose waiting calls are decided with one Sync; the rest are nudged."""
UNHEARD_OFFERS_MAX = 4
"""Offers that a sidecar is sent until it speaks again; after that it is nudged."""
NUDGE_INTERVAL_MS = 100
"""A sidecar is nudged at most so often."""
NUDGE_UNANSWERED_MS = 1_200
"""Waiting calls of a sidecar that was nudged and did not come for so long hold nobody up."""
PATIENCE_DEFAULT_MS = 20_000
"""How long a waiting call waits when it did not say."""
PATIENCE_MAX_MS = 600_000
"""No patience is believed beyond this."""
BUDGET_PARTITIONS_MAX = 10_000
"""Values of a key or workflow for which one budget's window may be granted money."""
ADOPTED_PARTITIONS_MAX = 10_000
"""Beside them, those that evidence alone may name; what it says of others is booked together."""
DECISION_DEMANDS_MAX = 1_024
"""Demands that one decision looks at; the oldest count."""
DECISION_SET_DEMANDS_MAX = 64
"""Demands of one set of budgets that one decision looks at; the oldest count."""
IDLE_FLOOR_MEDIANS = 4
"""A lease that is quiet keeps at most so many median worst cases, to survive an outage."""
IDLE_FLOOR_LIFE_MS = 86_400_000
"""A lease that was not used for so long keeps nothing."""
STARTER_LEAD_MS = 3_600_000
"""From when the next period's first leases are granted, before the boundary."""
UNCAPPED_AUTHORITY_MS = 300_000
"""How long a cut-off sidecar goes on starting calls that no capped budget counts."""
OFFLINE_DEFAULT_MS = 300_000
"""How long a cut-off sidecar may go on starting calls, unless the budget says otherwise."""

# --- Watch ----------------------------------------------------------------------------------------

HEARTBEAT_MS = 10_000
"""A Watch stream carries something at least so often, faster while calls of its sidecar wait."""
HEARTBEAT_WAITING_MS = 1_000
WATCH_RECALLS_MAX = 1_024
"""Recalls that wait for one stream; a newer one replaces the older one of its lease."""
DRAIN_GRACE_S = 5
"""For how long running RPCs may finish after SIGTERM."""

# --- Ledger ---------------------------------------------------------------------------------------

BUCKET_MS = 900_000
"""Roll-ups are per quarter of an hour (UTC): every zone's midnight is a boundary of one."""
REFUSAL_LIFE_MS = 35 * 86_400_000
"""Refusal counters are kept for so long."""
HOUSEKEEPING_INTERVAL_S = 60
"""How often periods are closed and old counters dropped."""

# --- Administration -------------------------------------------------------------------------------

NAME_CHARACTERS_MAX = 100
"""Longest display name."""
REASON_CHARACTERS_MAX = 500
"""Longest reason."""
REQUEST_ID_CHARACTERS_MAX = 64
"""Longest request id."""
CACHED_ZONES_MAX = 1_024
"""Zones kept in memory; there are about 600."""
CACHED_WINDOWS_MAX = 1_024
"""Windows of budgets whose begin and end are kept in memory."""
ZONE_CHARACTERS_MAX = 64
"""Longer names are refused unread."""
HOSTED_CALLS_MAX = 1_000
"""Calls of tools that a provider runs, which one call may make."""
PROJECTS_MAX = 10_000
"""Projects that are not archived."""
KEY_MODELS_MAX = 200
"""Models in one allow-list."""
MODEL_CHARACTERS_MAX = 128
"""Longest id of a model."""
PROJECT_KEYS_MAX = 1_000
"""Keys of one project that are not revoked."""
KEY_SECRETS_MAX = 8
"""Secrets of one key that work at the same time."""
OVERLAP_DEFAULT_MS = 24 * 3_600_000
"""How long the secrets before go on working after a rotation."""
OVERLAP_MAX_MS = 90 * 24 * 3_600_000
"""The longest overlap."""
OFFLINE_MIN_MS = 15_000
"""The shortest max_offline."""
OFFLINE_MAX_MS = 24 * 3_600_000
"""The longest max_offline."""
SCOPE_BUDGETS_MAX = 500
"""Budgets of one project, or of the agency, that are not archived."""
REACH_MARGIN_MS = 1_000
"""Added to every announced reach, for what is under way."""
PRINCIPALS_MAX = 1_000
"""Principals that are not disabled."""
PRINCIPAL_TOKENS_MAX = 20
"""Tokens of one principal that work at the same time."""
SECRET_CHARACTERS_MAX = 1_024
"""Longest provider secret."""
HINTED_SECRET_CHARACTERS_MIN = 16
"""Of a shorter secret nothing is shown."""
URL_CHARACTERS_MAX = 512
"""Longest base URL."""
DEPLOYMENTS_MAX = 200
"""Deployments of one provider."""
PROVIDERS_MAX = 100
"""Providers of one installation."""
PROVIDER_SECRETS_MAX = 2_000
"""Secrets beside the providers' own."""
SCOPE_SECRETS_MAX = 8
"""Those of one client, or of the agency, at one provider."""
ROUTE_TARGETS_MAX = 8
"""Targets of one route of a model."""
SCOPE_ROUTES_MAX = 200
"""Routes of models for one client, or for all."""
MODEL_ALIASES_MAX = 50
"""Aliases of one model."""
PRICE_TIERS_MAX = 8
"""Tiers of one price."""
MODEL_TOKENS_MAX = 100_000_000
"""Most tokens that a model may take or write."""
PRICE_VARIANTS_MAX = 32
"""Variants of one price."""
VARIANT_CHARACTERS_MAX = 64
"""Longest name of a variant, a combination included."""
RATE_PICO_USD_MAX = 100_000_000_000_000
"""The dearest rate: $100 per unit. Images, searches and containers are billed by the piece."""
CATALOGUE_BYTES_MAX = 16 << 20
"""Most bytes of a catalogue of prices that somebody brings, unpacked."""
IMPORTED_PRICES_MAX = 2_000
"""Most prices that one import may set."""
RERATING_READ_CALLS = 20_000
"""Places in the ledger that one question about re-rating looks at."""
RERATING_WRITTEN_CALLS = 1_000
"""Places in the ledger that one re-rating corrects: it holds up every Sync meanwhile."""
MARKUP_MAX_MILLIONTHS = 100_000_000
"""The highest markup: a hundred times the cost."""
RATE_CARDS_MAX = 200
"""Rate cards of one project, replaced ones included."""
SCOPE_OUTPUT_DEFAULTS_MAX = 200
"""Defaults of output for one client, or for all."""
OUTPUT_DEFAULT_MIN_TOKENS = 16
"""The smallest default of output: OpenAI's responses take no smaller limit."""
PROPOSAL_CALLS_MAX = 20_000
"""Calls that one proposal of defaults looks at, the newest first."""
PROPOSAL_REACH_MS = 30 * 24 * 3_600_000
"""How far back a proposal looks when nothing is said."""
PROPOSAL_ANSWERS_MIN = 50
"""Of fewer answers nothing is concluded."""
PROPOSALS_MAX = 1_000
"""Most proposals in one answer."""
MARGIN_MAX_PERCENT = 10_000
"""The largest margin of a proposal: a hundred times the longest answer."""
PRICES_MAX = 20_000
"""Prices of one installation, replaced ones included."""
PAGE_ROWS_DEFAULT = 50
"""Rows of a page when nothing is said."""
PAGE_ROWS_MAX = 1_000
"""Rows of the largest page."""
PAGE_TOKEN_CHARACTERS_MAX = 1_024
"""Longest page token."""
USAGE_DAYS_MAX = 400
"""Most days of one question that groups by day."""
USAGE_ROWS_MAX = 10_000
"""Most rows of one answer."""
ENDED_SECRET_KEPT_MS = 7 * 24 * 3_600_000
"""For so long the refusal of an ended secret says that it ended; later it is just unknown."""
REPLACED_PRICE_KEPT_MS = 3_600_000
"""For so long a replaced price is kept; more than the longest call."""
TAIL_BATCH_CALLS = 500
"""Calls that a tail reads at once."""
JOIN_TOKEN_LIFE_DEFAULT_MS = 3_600_000
"""How long a token may be used when nothing is said."""
JOIN_TOKEN_LIFE_MAX_MS = 24 * 3_600_000
"""The longest life of a token."""
SIDECAR_PROJECTS_MAX = 1_000
"""Projects that a sidecar may be scoped to by name; empty means all."""
JOIN_TOKENS_MAX = 1_000
"""Tokens that wait to be used."""
UNDO_MS = 600_000
"""For so long a decision about a cap can be taken back by its number."""
REQUEST_LIFE_MS = 24 * 3_600_000
"""For so long a request may be repeated."""
KEPT_SECRETS_MAX = 1_000
"""Secrets that are kept; the oldest goes first."""
ADMIN_REQUEST_BYTES_MAX = 256 << 10
"""Largest admin request."""
UNARY_DEADLINE_S = 30
"""A unary RPC takes no longer."""
RETRY_AFTER_MS = 250
"""When something that is unavailable may be asked again, at the earliest."""
ERROR_CHARACTERS_MAX = 2_000
"""Longest message; metadata has a limit of its own."""
ERROR_FIELD_CHARACTERS_MAX = 500
"""Longest value of a field."""
TAILS_MAX = 64
"""Streams of calls at once."""
TAIL_LOOK_MS = 1_000
"""A stream looks at the ledger at least so often, also when nobody woke it."""
BACKUP_PIECE_BYTES = 1 << 20
"""Bytes in one piece of a copy."""
BACKUPS_MAX = 1
"""Copies that are made at the same time: each needs the disk once more."""

# --- The desk -------------------------------------------------------------------------------------

SESSION_IDLE_MS = 12 * 3_600_000
"""A browser's session that was not used for so long is over."""
SESSION_LIFE_MS = 30 * 24 * 3_600_000
"""A session that was opened so long ago is over, however often it is used."""
SESSION_TOUCH_MS = 300_000
"""The use of a session is noted at most so often."""
PRINCIPAL_SESSIONS_MAX = 20
"""Sessions of one principal; the oldest go first."""
SIGN_IN_LINK_MS = 3_600_000
"""A link that signs in works for so long, once."""
PRINCIPAL_LINKS_MAX = 10
"""Links of one principal that wait to be used; the oldest go first."""
SHARE_LINK_DEFAULT_MS = 90 * 24 * 3_600_000
"""How long a link to a client's page works when nothing is said."""
SHARE_LINK_MAX_MS = 366 * 24 * 3_600_000
"""The longest life of such a link."""
PROJECT_SHARE_LINKS_MAX = 50
"""Links of one client that work at the same time."""
SIGN_IN_WINDOW_MS = 900_000
"""The time in which failed attempts to sign in are counted."""
ADDRESS_ATTEMPTS_MAX = 10
"""Failed attempts from one address in that time."""
ALL_ATTEMPTS_MAX = 200
"""Failed attempts from anywhere in that time: more is no typing error of ours."""
FORM_BYTES_MAX = 32 << 10
"""Largest form that a browser may send."""
FORM_FIELDS_MAX = 64
"""Fields of one form."""
FORM_DIGITS_MAX = 18
"""Digits of the longest whole number in a form: it fits 64 bits."""
BROWSER_CONNECTIONS_MAX = 256
"""Connections of browsers at once."""
BROWSER_STREAMS_MAX = 64
"""Tabs that are kept up to date at once."""
PRINCIPAL_STREAMS_MAX = 16
"""Of them those of one principal, so that nobody takes them all."""
STREAM_BEAT_MS = 15_000
"""A tab hears something at least so often."""
STREAM_PAUSE_MS = 1_000
"""A tab hears of changes no more often than this."""
DESK_ROWS = 50
"""Clients, or cells of the model matrix, on one page of a list that is put in order anew."""
DESK_STRIPS_MAX = 20
"""Budgets that are stopped, and caps that were changed, that a page tells of above its lists."""
DESK_DRAIN_S = 2
"""How long browsers' requests may take to end when the control plane stops."""

# --- Statements -----------------------------------------------------------------------------------

LINES_PIECE_CALLS = 5_000
"""Calls of which one read makes lines by kind: well within a read's time."""
STATEMENT_WORKFLOWS_MAX = 200
"""Workflows that a statement lists; the smallest of more are summed in one line."""
STATEMENT_MODELS_MAX = 50
"""Models that a statement lists."""
STATEMENT_REFUSALS_MAX = 100
"""Reasons of refusals that a statement lists."""
STATEMENT_INCIDENTS_MAX = 50
"""Alerts that a statement tells of."""
STATEMENT_LOOK_S = 60
"""How often it is looked whether a statement is to go out."""
STATEMENT_BUILD_LOOK_MS = 600_000
"""How often all clients are looked at for months that are to be built."""
STATEMENT_SENDS_MAX = 20
"""Statements that one look lets go out."""
STATEMENT_MONTHS_MAX = 12
"""Months of a trend."""
STATEMENT_CLOSE_MS = 2 * 86_400_000
"""So long after a month's end late usage is waited for before its statement is built by itself."""
STATEMENT_WATCH_MS = 62 * 86_400_000
"""For so long after a month's end it is looked whether late usage or a correction changed it."""
REVIEW_ROWS_MAX = 50
"""Movers, raises and unused keys that a monthly review lists, and moves that a matrix does."""
STATEMENT_NOTE_CHARACTERS_MAX = 2_000
"""Longest note on a statement."""
LOGO_BYTES_MAX = 128 << 10
"""Largest logo."""
LOGO_PIXELS_MAX = 4_000_000
"""Most of them in a logo, for a small file may unpack to gigabytes."""
UNIT_SECONDS_MAX_S = 8 * 86_400
"""Longest work by hand that one unit of a workflow stands for."""

# --- Alerts ---------------------------------------------------------------------------------------

ALERT_LOOK_S = 30
"""How often the rules of alerts look."""
LOOK_PAUSE_MS = 3 * 60_000
"""After a longer pause nobody knows when was spent what is seen, and paces begin anew."""
LIVE_TESTS_MAX = 20
"""Tests of alerts that go on at once; each is over after an hour."""
ANSWERS_LOOK_MS = 5 * 60_000
"""How often they look at how calls ended."""
CLIENT_LOOK_MS = 30 * 60_000
"""How often they look at each client's forecast, margin, prices, models and latency."""
LOOKED_AT_CLIENTS_MAX = 10
"""Clients of that at one look: 600 in half an hour, each some 15 ms of a read."""
PACE_NOTE_MS = 5 * 60_000
"""How often it is noted what a period has spent, where that changed."""
PACE_KEPT_MS = 3 * 3_600_000
"""How long such notes are kept; of older ones the last stays."""
PRICE_NEWS_MS = 7 * 86_400_000
"""A price that began so long ago is no news any more."""
TAKEN_NOTICES_MAX = 1_000
"""Notices that one look makes messages of."""
ALERT_CHANNELS_MAX = 200
"""Channels of an installation."""
ALERT_PERSONS_MAX = 500
"""People who are told of alerts."""
RECEIVER_CHANNELS_MAX = 10
"""Channels of one person, or of one client."""
NOTE_CHARACTERS_MAX = 500
"""Longest note of whoever answers an alert."""
OPEN_DELIVERIES_MAX = 8
"""Messages that are in hand at the same time."""
DELIVERY_LOOK_S = 2
"""How often it is looked for messages to send, when nobody says that there are any."""
DELIVERY_TIME_S = 30
"""One attempt takes no longer."""
DELIVERY_ERROR_CHARACTERS_MAX = 300
"""Longest error of an attempt that is kept."""
DELIVERY_KEPT_MS = 90 * 86_400_000
"""For so long messages are kept after they are done."""
DROPPED_DELIVERIES_MAX = 500
"""Messages that one round of housekeeping forgets."""
WAITING_DELIVERIES_MAX = 5_000
"""Messages not done; what is to be told meanwhile stays a notice, or an approval."""
DELIVERIES_MAX = 50_000
"""Messages in all: for a new one the oldest that is done is forgotten."""
DELIVERY_PARTS_BYTES_MAX = 10 << 20
"""Files of one mail, together."""

assert SYNC_RECORDS_MAX * RECORD_NANO_USD_MAX < 2**60
assert ALERT_LOOK_S * 1_000 < PACE_NOTE_MS < ANSWERS_LOOK_MS + 1
assert OPEN_DELIVERIES_MAX < QUEUED_WRITES_MAX < WAITING_DELIVERIES_MAX < DELIVERIES_MAX
assert SYNC_RECORDS_MAX <= FORK_RECORDS_MAX
assert SYNC_RECORD_BYTES_MAX < MESSAGE_BYTES_MAX
assert 2 * SYNC_SOON_MS < DEMAND_LIFE_MS
assert NUDGE_INTERVAL_MS < NUDGE_UNANSWERED_MS < SYNC_SOON_MS
assert RECALL_PENDING_MS < SYNC_SOON_MS
assert SYNC_INTERVAL_MS * 2 < SILENT_AFTER_MS
assert SILENT_AFTER_MS < LEARNING_STOP_MS < LEARNING_REST_MS
assert OFFLINE_MIN_MS <= OFFLINE_DEFAULT_MS <= OFFLINE_MAX_MS
assert PAGE_ROWS_DEFAULT <= PAGE_ROWS_MAX < READ_ROWS_MAX
assert USAGE_ROWS_MAX < READ_ROWS_MAX
assert PROPOSAL_CALLS_MAX < READ_ROWS_MAX
assert LINES_PIECE_CALLS < READ_ROWS_MAX
assert STATEMENT_CLOSE_MS < STATEMENT_WATCH_MS
assert LOGO_BYTES_MAX < ADMIN_REQUEST_BYTES_MAX
assert TAILS_MAX < CONNECTION_STREAMS_MAX
assert REQUEST_WAIT_S < UNARY_DEADLINE_S
assert ADMIN_REQUEST_BYTES_MAX < MESSAGE_BYTES_MAX
assert BACKUP_PIECE_BYTES < SENT_MESSAGE_BYTES_MAX
assert SESSION_TOUCH_MS < SESSION_IDLE_MS < SESSION_LIFE_MS
assert PRINCIPAL_STREAMS_MAX < BROWSER_STREAMS_MAX < BROWSER_CONNECTIONS_MAX
assert STREAM_PAUSE_MS < STREAM_BEAT_MS
assert ADDRESS_ATTEMPTS_MAX < ALL_ATTEMPTS_MAX
