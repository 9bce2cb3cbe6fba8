"""Names of the agency's own for models, and why a call went to another model than it named.

A route for all clients has an empty project.
"""

STATEMENTS = (
    """CREATE TABLE model_route (
        project_id TEXT NOT NULL,
        name TEXT NOT NULL,
        targets TEXT NOT NULL,
        updated_unix_ms BIGINT NOT NULL,
        version BIGINT NOT NULL,
        CONSTRAINT model_route_pk PRIMARY KEY (project_id, name)
    )""",
    "ALTER TABLE call ADD COLUMN routed TEXT NOT NULL DEFAULT ''",
)
