"""The bounds of how money and rate limits are shared, and of telling what is left of caps."""

LEFT_WORSTS = 32
"""Below so many median worst cases sidecars are told what is left of a period,"""
LEFT_STEP_PARTS = 8
"""each time that it fell by this part (one eighth),"""
LEFT_INTERVAL_MS = 200
"""at most so often,"""
LEFT_SIDECARS_MAX = 1_000
"""and so many of them."""
RATE_LIMITS_MAX = 200
"""Rate limits of one installation: each Sync tells of all that its sidecar may meet."""
RATE_LIMIT_MAX_UNITS = 10**12
"""The highest rate limit."""
RATE_SHARE_MS = 300_000
"""How long a sidecar goes on with its share of a rate limit when nobody renews it; as long as
authority lasts by default."""
RATE_SHARE_OVER_MS = 376_000
"""When a share that was not renewed has ended at any sidecar whose clock is not 20 % slow."""
RATE_RESERVE_PARTS = 20
"""The part of a rate limit that is kept for whoever was not heard of yet (a twentieth)."""
RATE_PACED_WINDOW_MS = 10_000
"""The shortest window in which those who begin are held back: shares move within seconds."""
RATE_BEGIN_PARTS = 10
"""Who began to ask less than this part of a window ago (a tenth) is taken to have begun then."""
RATE_BEGIN_AT_ONCE_PARTS = 3
"""Who begins may use this part of a limit at once (a third), the rest as a window passes."""
RATE_NUDGE_INTERVAL_MS = 1_000
"""A sidecar is asked at most so often to say that it took a lower share."""
RATE_TARGETS_MS = 500
"""What each sidecar should have is worked out at most so often,"""
RATE_FRESH_SIDECARS = 8
"""but anew with each Sync while there are no more than these."""
RATE_TURN_MS = 10_000
"""Who gets what cannot be divided changes so often, or each window if that is longer."""
RATE_WANT_MAX_UNITS = 2**50
"""What a client may be said to ask for."""
RATE_CLIENTS_MAX = 1_000
"""Clients of one rate limit that a Sync may tell of."""
RATE_WEIGHT_DEFAULT_PARTS = 100
"""A client's weight where rate limits are shared, when nothing is said."""
RATE_WEIGHT_MAX_PARTS = 10_000
"""The largest weight."""
LOOP_MAX_REQUESTS = 1_000_000
"""The largest number of equal requests in a minute that may be set as no loop yet."""
LOOP_MIN_REQUESTS = 2
"""The smallest."""
LONGEST_CALL_MS = 600_000
"""No call at a provider takes longer: sidecars break it off."""
NAMED_LIFE_MS = 2_000
"""For so long after its patience a call that was named keeps what it was sent, unheard."""
FAR_PARTS = 2
"""While this part of a cap (half) is left, half of what is left is leased to nobody."""

assert RATE_SHARE_MS * 5 // 4 < RATE_SHARE_OVER_MS
