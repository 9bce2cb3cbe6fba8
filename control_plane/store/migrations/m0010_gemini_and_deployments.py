"""Providers that speak Gemini's API, and providers that name models by deployments."""

_COLUMNS = """provider, family, base_url, secret_ciphertext, secret_key_id, secret_hint,
          secret_version, updated_unix_ms, deleted_unix_ms, version"""

STATEMENTS = (
    "ALTER TABLE provider RENAME TO provider_before",
    """CREATE TABLE provider (
        provider TEXT NOT NULL,
        family TEXT NOT NULL,
        base_url TEXT NOT NULL,
        secret_ciphertext BLOB,
        secret_key_id TEXT NOT NULL,
        secret_hint TEXT NOT NULL,
        secret_version BIGINT NOT NULL,
        updated_unix_ms BIGINT NOT NULL,
        deleted_unix_ms BIGINT,
        version BIGINT NOT NULL,
        deployments TEXT NOT NULL DEFAULT '{}',
        CONSTRAINT provider_of_a_family_pk PRIMARY KEY (provider),
        CONSTRAINT provider_family_known CHECK (family IN ('openai', 'anthropic', 'gemini')),
        CONSTRAINT provider_deleted_has_no_secret CHECK (
            deleted_unix_ms IS NULL OR secret_ciphertext IS NULL
        )
    )""",
    f"INSERT INTO provider ({_COLUMNS}) SELECT {_COLUMNS} FROM provider_before",  # noqa: S608 - a constant
    "DROP TABLE provider_before",
)
