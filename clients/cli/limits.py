"""Bounds of the command, each with its unit."""

TABLE_WIDTH_CHARACTERS = 160
"""How wide tables are where no terminal says."""
LIST_ITEMS = 50
"""Items that a log-like list shows unless told otherwise."""
LIST_MAX_ITEMS = 100_000
"""Most items that a list shows."""
SECRET_MAX_CHARACTERS = 4_096
"""Longest provider secret or token that is read from a file."""
PLAYBOOK_MAX_BYTES = 32_768
"""Largest file of a playbook that is read."""
NAMES_SEARCHED_ITEMS = 10_000
"""Names that are looked through for one that was meant."""

FIRST_CALL_WAIT_S = 180
"""How long a first call is waited for unless told otherwise."""
FIRST_CALL_WAIT_MAX_S = 86_400
"""Longest that a first call is waited for."""
FIRST_CALL_POLL_MS = 500
"""How often it is looked whether it was booked."""

READY_MS = 60_000
"""How long a started process may take until it is ready."""
SIGNAL_LOOK_MS = 500
"""How often it is looked whether a signal came that woke nobody."""
READY_POLL_MS = 25
"""How often it is looked whether it is."""
STOP_SIDECAR_MS = 30_000
"""How long a sidecar may take to let its calls end before it is killed."""
STOP_MS = 10_000
"""The same for any other process."""
RESTART_FIRST_MS = 500
"""Pause before an ended process is started again; doubles with each crash."""
RESTART_MAX_MS = 30_000
"""Longest such pause."""
CRASHES_MAX_TIMES = 5
"""So many crashes of one process within the window end everything."""
CRASH_WINDOW_MS = 120_000
"""The window in which crashes are counted together."""
LOG_MAX_BYTES = 8 * 1024 * 1024
"""Size at which a log file is set aside; one older file is kept."""
LOG_LINE_MAX_BYTES = 64 * 1024
"""A longer line is cut into several."""
LOG_TAIL_LINES = 20
"""Last lines of a log that are shown when its process keeps crashing."""
SIDECARS_MAX_SIDECARS = 10
"""Most sidecars that one `up` runs."""

QUEUED_WARN_MS = 600_000
"""A message that waits for longer is told by `doctor`."""
CLOCK_SKEW_WARN_MS = 2_000
"""Difference of clocks from which `doctor` warns."""
CLOCK_SKEW_FAIL_MS = 60_000
"""Difference of clocks from which expiries can no longer be trusted."""
DISK_WARN_BYTES = 2 * 1024**3
"""Free disk below which `doctor` warns."""
DISK_FAIL_BYTES = 256 * 1024**2
"""Free disk below which `doctor` fails."""
BACKUP_WARN_DAYS = 7
"""Age of the last backup from which `doctor` warns."""
PROBE_MS = 1_500
"""How long `doctor` waits for one port to answer."""
HEALTH_MAX_BYTES = 65_536
"""What `doctor` reads of what a sidecar says of its health."""

assert READY_POLL_MS < READY_MS
assert RESTART_FIRST_MS <= RESTART_MAX_MS
assert RESTART_FIRST_MS * 2**CRASHES_MAX_TIMES < CRASH_WINDOW_MS
assert CLOCK_SKEW_WARN_MS < CLOCK_SKEW_FAIL_MS
assert DISK_FAIL_BYTES < DISK_WARN_BYTES
assert LOG_LINE_MAX_BYTES < LOG_MAX_BYTES
