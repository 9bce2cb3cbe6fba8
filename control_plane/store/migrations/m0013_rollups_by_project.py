"""The way to one project's sums without reading everybody's: forecasts and pages ask for weeks."""

STATEMENTS = ("CREATE INDEX rollup_by_project ON rollup (project_id, bucket_unix_ms)",)
