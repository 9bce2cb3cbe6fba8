"""Every bound of what is told of a process, by name and with its unit."""

SERIES_MAX = 2_000
"""Different labels of one instrument; what comes beyond is counted together, as "other"."""
LABEL_CHARACTERS_MAX = 128
"""Longest label; the rest is cut."""
QUEUED_SPANS_MAX = 4_096
"""Spans that wait to be sent; more are dropped, and counted."""
BATCH_SPANS_MAX = 512
"""Spans in one message; so many that wait are sent at once."""
SPANS_EVERY_MS = 1_000
"""How often what waits is sent."""
METRICS_EVERY_MS = 60_000
"""How often metrics are sent, unless OTEL_METRIC_EXPORT_INTERVAL says otherwise."""
METRICS_EVERY_MIN_MS = 1_000
"""The shortest interval that is taken."""
LAST_WORDS_MS = 2_000
"""How long a process that ends may wait for its collector."""
READ_MS = 2_000
"""How long the reading of counters may take."""
SCRAPES_MAX = 4
"""Scrapes that are answered at the same time; more are told to come again."""
SCRAPE_MS = 5_000
"""How long a scrape may take to be asked, or to be taken."""
SPAN_TEXT_CHARACTERS_MAX = 256
"""Longest text in a span; the rest is cut."""
TRACE_STATE_CHARACTERS_MAX = 512
"""A longer trace state of a caller's is not kept."""

assert BATCH_SPANS_MAX <= QUEUED_SPANS_MAX
assert METRICS_EVERY_MIN_MS <= METRICS_EVERY_MS
assert SPANS_EVERY_MS <= METRICS_EVERY_MIN_MS
