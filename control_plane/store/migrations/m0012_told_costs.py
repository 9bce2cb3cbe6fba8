"""Which calls cost what their provider said in money; of calls from before nobody knows.

And where the calls of a run of a workflow are, to find the one that its fee goes with.
"""

STATEMENTS = (
    "ALTER TABLE call ADD COLUMN cost_told BIGINT NOT NULL DEFAULT 0",
    """CREATE INDEX call_of_execution ON call (project_id, workflow, execution, position)
       WHERE execution <> ''""",
)
