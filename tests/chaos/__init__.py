"""Chaos: real processes under real faults, round after round, held against the provider's bill."""
