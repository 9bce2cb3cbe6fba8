"""More secrets at a provider: the agency's, with an empty project, and clients' own.

And which of them a call was made with.
"""

STATEMENTS = (
    """CREATE TABLE provider_secret (
        provider_secret_id TEXT NOT NULL,
        provider TEXT NOT NULL,
        project_id TEXT NOT NULL,
        display_name TEXT NOT NULL,
        ciphertext BLOB NOT NULL,
        encryption_key_id TEXT NOT NULL,
        hint TEXT NOT NULL,
        created_unix_ms BIGINT NOT NULL,
        CONSTRAINT provider_secret_pk PRIMARY KEY (provider_secret_id)
    )""",
    "CREATE INDEX provider_secret_by_provider ON provider_secret (provider, project_id)",
    "ALTER TABLE call ADD COLUMN provider_secret_id TEXT NOT NULL DEFAULT ''",
)
