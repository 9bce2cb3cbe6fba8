"""A cheaper model that calls of a route go to near a cap; empty for no such rule."""

STATEMENTS = (
    "ALTER TABLE model_route ADD COLUMN cheaper TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE model_route ADD COLUMN above_percent BIGINT NOT NULL DEFAULT 0",
)
