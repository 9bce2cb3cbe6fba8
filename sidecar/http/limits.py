"""Every bound on what a peer may make the sidecar read, keep or wait for."""

KIB = 1024
MIB = 1024 * KIB

HEAD_MAX_BYTES = 32 * KIB
"""A request's or an answer's head; nginx takes 32 KiB, Cloudflare 128 KiB."""
HEAD_MAX_HEADERS = 100
"""Header lines of a request; Apache's own bound."""
TARGET_MAX_BYTES = 2 * KIB
"""A request target. The longest that is served is a label of 64 characters, percent-encoded."""
READ_MAX_BYTES = 64 * KIB
"""Taken from a socket at once."""

REQUEST_BODY_MAX_BYTES = 64 * MIB
"""One request's body. Anthropic takes 32 MiB, n8n passes on up to 50 MiB."""
REQUEST_BODY_MAX_TIMES = 200
"""How much larger a compressed body may become; deflate itself ends at 1,032."""
ANSWER_BODY_MAX_BYTES = 64 * MIB
"""One answer that is collected to read its usage."""
BUFFERED_MAX_BYTES = 256 * MIB
"""All request and answer bodies that are held at once."""
DISCARD_MAX_BYTES = 256 * KIB
"""What is read and thrown away of a refused request so that its connection can be kept."""
LARGE_BODY_BYTES = 1 * MIB
"""From here on JSON is read in a thread, so that one call does not hold up the others."""

FORM_PARTS_MAX_PARTS = 64
"""Parts of one form. An image edit has sixteen images and about twenty fields."""
FORM_HEAD_MAX_BYTES = 4 * KIB
"""The headers of one part of a form."""
FORM_TEXT_MAX_BYTES = 256 * KIB
"""One text of a form. The longest prompt of an image has 32,000 characters."""

JSON_DEPTH_MAX_TIMES = 128
"""Objects and arrays inside each other."""
FRAME_MAX_BYTES = 4 * MIB
"""One server-sent event."""
PICTURE_FRAME_MAX_BYTES = 32 * MIB
"""One server-sent event that brings a picture, whole: 3,840 by 2,160 pixels in base64."""
UNREAD_DELTAS_MAX_BYTES = 16 * KIB
"""Stream kept unread for the estimate of an answer that breaks off; then it is folded."""

CALLERS_MAX_CONNECTIONS = 4096
"""Connections of callers at once."""
UPSTREAM_MAX_CONNECTIONS = 2048
"""Connections to one provider at once; a call beyond waits."""
UPSTREAM_IDLE_MAX_CONNECTIONS = 256
"""Connections to one provider that wait for the next call."""

UPSTREAMS_MAX_PROVIDERS = 64
"""Addresses whose connections are remembered; beyond, those without connections are forgotten."""

PREFIXES_MAX_ENTRIES = 64
"""Beginnings of request heads that are remembered for one provider."""

HEAD_DEADLINE_MS = 10_000
"""From the first byte of a head to its last."""
BODY_IDLE_MS = 30_000
"""Between two reads of a request's body."""
CALLER_IDLE_MS = 60_000
"""A caller's connection without a call."""
CALLER_STALL_MS = 60_000
"""An answer that the caller does not take."""
UPSTREAM_IDLE_MS = 60_000
"""A provider's connection without a call."""
CONNECT_MS = 10_000
"""Name, socket, tunnel and TLS of a new connection."""
LONGEST_CALL_MS = 600_000
"""From dispatch to the last byte; the official clients' own deadline."""
HANG_UP_CHECK_MS = 250
"""How often a caller's connection is looked at while its call waits or streams."""
CATCH_UP_MS = 250
"""How long an abandoned stream is read on, if it goes on; a provider has always sent more,"""
CATCH_UP_QUIET_MS = 50
"""unless nothing comes for so long."""
CATCH_UP_MAX_MS = 2_000
"""The same for a stream of which more is there already than can be read in that time."""
DRAINS_MAX_CALLS = 256
"""Abandoned streams that are read to their end, where their provider bills that; each holds its
worst case meanwhile, and lasts as long as a call may."""
LINGER_MS = 2_000
"""How long a closing connection may still take the caller's bytes."""

assert HEAD_MAX_BYTES <= READ_MAX_BYTES
assert TARGET_MAX_BYTES < HEAD_MAX_BYTES
assert REQUEST_BODY_MAX_BYTES <= BUFFERED_MAX_BYTES
assert FORM_HEAD_MAX_BYTES < FORM_TEXT_MAX_BYTES < REQUEST_BODY_MAX_BYTES
assert ANSWER_BODY_MAX_BYTES <= BUFFERED_MAX_BYTES
assert UPSTREAM_IDLE_MAX_CONNECTIONS <= UPSTREAM_MAX_CONNECTIONS
assert UNREAD_DELTAS_MAX_BYTES < FRAME_MAX_BYTES < PICTURE_FRAME_MAX_BYTES
assert PICTURE_FRAME_MAX_BYTES < ANSWER_BODY_MAX_BYTES
assert CONNECT_MS < LONGEST_CALL_MS
assert CATCH_UP_QUIET_MS < CATCH_UP_MS < CATCH_UP_MAX_MS
assert HANG_UP_CHECK_MS < LINGER_MS < HEAD_DEADLINE_MS
