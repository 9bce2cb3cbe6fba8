"""Every bound of the rehearsal provider, named with its unit."""

CONNECTIONS_MAX = 8_192
"""Open sockets; further ones are answered 503 and closed."""

HEAD_BYTES_MAX = 64 * 1024
"""Request line and headers together."""

BODY_BYTES_MAX = 64 * 1024 * 1024
"""A request body, the size real providers stop at being smaller."""

INBOX_BYTES_MAX = 256 * 1024
"""Bytes read ahead of the parser while an answer is being written."""

RECEIVE_BYTES = 64 * 1024
"""Asked of the socket at once."""

IDLE_S = 120
"""A connection without a whole request head for this long is closed."""

BODY_S = 120
"""How long a body may take to arrive."""

SEND_S = 600
"""How long one write may be stuck on a client that does not read."""

CLOSE_S = 2
"""How long closing politely may take."""

ROWS_DEFAULT = 200_000
"""Ended calls kept for /rehearsal/bill; totals go on counting beyond."""

ROWS_MAX = 5_000_000
"""The most that --keep-calls accepts."""

PAGE_ROWS_DEFAULT = 10_000
"""Rows in one answer of /rehearsal/bill and /rehearsal/log."""

PAGE_ROWS_MAX = 200_000
"""The most rows that ?limit= accepts."""

PROMPT_HEAD_CHARS = 64
"""How much of a prompt a bill row repeats."""

TAG_CHARS = 128
"""How much of x-request-tag a bill row repeats."""

PROMPT_CACHE_ENTRIES_MAX = 10_000
"""Prompt prefixes remembered for cache reads; the longest unused goes first."""

STORED_RESPONSES_MAX = 10_000
"""Responses remembered for previous_response_id; the oldest goes first."""

HOSTED_CALLS_MAX = 100
"""Calls of hosted tools that one response makes at most."""

PROMPTS_MAX = 1_024
"""Prompts in one legacy completion."""

PICTURES_MAX = 10
"""Pictures in one call, as at OpenAI."""

PARTIAL_PICTURES_MAX = 3
"""Unfinished pictures on the way to one, as at OpenAI."""

SPOKEN_CHARS_MAX = 4_096
"""Characters of one call for speech, as at OpenAI."""

SOUND_CHUNK_BYTES = 1_024
"""Sound in one streamed chunk."""

MEDIA_BYTES_MAX = 32 * 1024 * 1024
"""The largest picture or sound that a knob accepts."""

MEDIA_BYTES_INLINE_MAX = 100_000
"""Larger pictures than this are made in a thread, so that streams keep their pace."""

FORM_PARTS_MAX = 100
"""Parts of one form."""

CACHE_BREAKPOINTS_MAX = 4
"""Blocks with cache_control in one request, as at Anthropic."""

CHOICES_MAX = 128
"""OpenAI's n."""

CANDIDATES_MAX = 8
"""Gemini's candidateCount."""

EMBEDDING_INPUTS_MAX = 2_048
"""Texts in one embeddings request, as at OpenAI."""

EMBEDDING_INPUT_TOKENS_MAX = 8_192
"""Tokens of one input in an embeddings request, as at OpenAI."""

EMBEDDING_INPUTS_INLINE_MAX = 16
"""More inputs than this are computed in a thread, so that streams keep their pace."""

SCHEMA_DEPTH_MAX = 6
"""How deep a tool's schema is followed when its arguments are made up."""

PAUSE_MS_MAX = 24 * 3_600 * 1_000
"""The longest latency, pace or stall a knob accepts."""

TOKENS_MAX = 2_000_000
"""The largest token count a knob accepts."""

TEXT_CHARS_MAX = 1_000_000
"""The longest text a knob accepts."""

assert HEAD_BYTES_MAX < INBOX_BYTES_MAX < BODY_BYTES_MAX
assert PAGE_ROWS_DEFAULT <= PAGE_ROWS_MAX
assert ROWS_DEFAULT <= ROWS_MAX
