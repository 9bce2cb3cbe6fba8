"""What a model costs when it is served otherwise than usual, beside its standard tiers."""

STATEMENTS = ("ALTER TABLE price ADD COLUMN variants TEXT NOT NULL DEFAULT '[]'",)
