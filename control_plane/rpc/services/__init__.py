"""The admin servicers, one per noun: decode, call a use case, encode."""
