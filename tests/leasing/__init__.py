"""The leasing benchmark: the real decisions, driven by a simulated fleet in virtual time."""
