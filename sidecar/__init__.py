"""Decides alone, from leased money, whether a call may be made; forwards, meters, reports."""
