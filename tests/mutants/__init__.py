"""Planted bugs: one-line changes of the real code that the simulation must find."""
