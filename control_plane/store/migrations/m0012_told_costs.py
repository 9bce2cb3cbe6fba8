"""Which calls cost what their provider said in money; of calls from before nobody knows."""

STATEMENTS = ("ALTER TABLE call ADD COLUMN cost_told BIGINT NOT NULL DEFAULT 0",)
