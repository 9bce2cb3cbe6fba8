"""Decides alone, on localhost, from leased money, whether a call may be made; forwards and meters it."""
