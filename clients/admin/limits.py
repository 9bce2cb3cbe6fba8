"""Bounds of the admin client, each with its unit."""

DEADLINE_MS = 10_000
"""How long one request may take, its repetitions included, unless the caller says otherwise."""
BACKUP_DEADLINE_MS = 3_600_000
"""How long a backup may take to come over."""
ATTEMPTS_MAX_TIMES = 5
"""How often one request is sent at most."""
BACKOFF_FIRST_MS = 100
"""Pause before the second attempt; doubles with each one."""
BACKOFF_MAX_MS = 2_000
"""Longest pause between two attempts."""
PAGE_ITEMS = 200
"""Items fetched at a time by iterators."""
KEEPALIVE_MS = 20_000
"""How often a quiet connection is asked whether it still lives."""
KEEPALIVE_ANSWER_MS = 5_000
"""How long that answer may take before the connection counts as dead."""
MESSAGE_MAX_BYTES = 16 * 1024 * 1024
"""Largest answer that is taken."""
TAIL_START_CALLS = 200
"""Calls read to learn where the ledger stands before a tail begins."""

assert BACKOFF_FIRST_MS <= BACKOFF_MAX_MS < DEADLINE_MS < BACKUP_DEADLINE_MS
assert KEEPALIVE_ANSWER_MS < KEEPALIVE_MS
