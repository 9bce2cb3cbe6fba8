"""The language in which the rooms speak: wire messages, and the values they mean."""
