"""The proof of the bounds: generated requests, each held against the dearest legal bill of it."""
