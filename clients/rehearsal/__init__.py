"""An offline provider with wire code and arithmetic of its own: the truth of tests and demos."""
