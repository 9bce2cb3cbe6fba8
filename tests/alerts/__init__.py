"""Replays the rules of alerts over months that nobody lived, to see how often they are wrong."""
