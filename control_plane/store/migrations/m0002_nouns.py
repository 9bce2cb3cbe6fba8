"""The tables of what people administer.

Nothing that the ledger names is ever deleted: projects are archived, keys revoked, principals
disabled. `name_key` is a name folded for comparison, so that sorting and uniqueness do not depend
on a database's collation. A number of nano-dollars fits 64 bits; money truths are checked here too.
"""

STATEMENTS = (
    """CREATE TABLE project (
        project_id TEXT NOT NULL,
        display_name TEXT NOT NULL,
        name_key TEXT NOT NULL,
        time_zone TEXT NOT NULL,
        state TEXT NOT NULL,
        patience_ms BIGINT NOT NULL,
        created_unix_ms BIGINT NOT NULL,
        updated_unix_ms BIGINT NOT NULL,
        version BIGINT NOT NULL,
        CONSTRAINT project_pk PRIMARY KEY (project_id),
        CONSTRAINT project_state_known CHECK (state IN ('ACTIVE', 'SUSPENDED', 'ARCHIVED'))
    )""",
    "CREATE UNIQUE INDEX project_name ON project (name_key) WHERE state <> 'ARCHIVED'",
    "CREATE INDEX project_by_name ON project (name_key, project_id)",
    """CREATE TABLE api_key (
        key_id TEXT NOT NULL,
        project_id TEXT NOT NULL,
        display_name TEXT NOT NULL,
        models TEXT NOT NULL,
        workflow TEXT NOT NULL,
        created_unix_ms BIGINT NOT NULL,
        revoked_unix_ms BIGINT,
        version BIGINT NOT NULL,
        CONSTRAINT api_key_pk PRIMARY KEY (key_id),
        CONSTRAINT api_key_project FOREIGN KEY (project_id) REFERENCES project (project_id)
    )""",
    "CREATE INDEX api_key_by_project ON api_key (project_id, key_id)",
    """CREATE TABLE key_secret (
        secret_id TEXT NOT NULL,
        key_id TEXT NOT NULL,
        digest BLOB NOT NULL,
        hint TEXT NOT NULL,
        created_unix_ms BIGINT NOT NULL,
        expires_unix_ms BIGINT,
        revoked_unix_ms BIGINT,
        last_used_unix_ms BIGINT,
        CONSTRAINT key_secret_pk PRIMARY KEY (secret_id),
        CONSTRAINT key_secret_digest UNIQUE (digest),
        CONSTRAINT key_secret_digest_whole CHECK (length(digest) = 32),
        CONSTRAINT key_secret_key FOREIGN KEY (key_id) REFERENCES api_key (key_id)
    )""",
    "CREATE INDEX key_secret_by_key ON key_secret (key_id, secret_id)",
    """CREATE TABLE budget (
        budget_id TEXT NOT NULL,
        display_name TEXT NOT NULL,
        project_id TEXT NOT NULL,
        key_id TEXT NOT NULL,
        workflow TEXT NOT NULL,
        model TEXT NOT NULL,
        region TEXT NOT NULL,
        split_by TEXT NOT NULL,
        window_kind TEXT NOT NULL,
        time_zone TEXT NOT NULL,
        anchor_day BIGINT NOT NULL,
        cap_nano_usd BIGINT,
        cap_version BIGINT NOT NULL,
        max_offline_ms BIGINT NOT NULL,
        offline_until_unix_ms BIGINT NOT NULL,
        created_unix_ms BIGINT NOT NULL,
        archived_unix_ms BIGINT,
        version BIGINT NOT NULL,
        CONSTRAINT budget_pk PRIMARY KEY (budget_id),
        CONSTRAINT budget_split_known CHECK (split_by IN ('', 'key', 'workflow')),
        CONSTRAINT budget_window_known CHECK (window_kind IN ('day', 'week', 'month', 'once')),
        CONSTRAINT budget_anchor_real CHECK (anchor_day BETWEEN 1 AND 31),
        CONSTRAINT budget_cap_not_negative CHECK (cap_nano_usd >= 0),
        CONSTRAINT budget_cap_version_positive CHECK (cap_version > 0)
    )""",
    "CREATE INDEX budget_by_project ON budget (project_id, budget_id)",
    """CREATE TABLE cap_change (
        budget_id TEXT NOT NULL,
        cap_version BIGINT NOT NULL,
        period_id TEXT NOT NULL,
        old_cap_nano_usd BIGINT,
        new_cap_nano_usd BIGINT,
        actor TEXT NOT NULL,
        reason TEXT NOT NULL,
        changed_unix_ms BIGINT NOT NULL,
        CONSTRAINT cap_change_pk PRIMARY KEY (budget_id, cap_version),
        CONSTRAINT cap_change_not_negative CHECK (new_cap_nano_usd >= 0),
        CONSTRAINT cap_change_budget FOREIGN KEY (budget_id) REFERENCES budget (budget_id)
    )""",
    """CREATE TABLE price (
        provider TEXT NOT NULL,
        model TEXT NOT NULL,
        valid_from_unix_ms BIGINT NOT NULL,
        version TEXT NOT NULL,
        aliases TEXT NOT NULL,
        input_max_count BIGINT NOT NULL,
        output_max_count BIGINT NOT NULL,
        tiers TEXT NOT NULL,
        cache_write_implicit BIGINT NOT NULL,
        expands_text BIGINT NOT NULL,
        hides_reasoning BIGINT NOT NULL,
        source TEXT NOT NULL,
        created_unix_ms BIGINT NOT NULL,
        CONSTRAINT price_pk PRIMARY KEY (provider, model, valid_from_unix_ms, version),
        CONSTRAINT price_limits_real CHECK (input_max_count > 0 AND output_max_count >= 0),
        CONSTRAINT price_flags_known CHECK (
            cache_write_implicit IN (0, 1) AND expands_text IN (0, 1) AND hides_reasoning IN (0, 1)
        )
    )""",
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
        CONSTRAINT provider_pk PRIMARY KEY (provider),
        CONSTRAINT provider_family_known CHECK (family IN ('openai', 'anthropic')),
        CONSTRAINT provider_deleted_has_no_secret CHECK (
            deleted_unix_ms IS NULL OR secret_ciphertext IS NULL
        )
    )""",
    """CREATE TABLE principal (
        principal_id TEXT NOT NULL,
        display_name TEXT NOT NULL,
        name_key TEXT NOT NULL,
        role TEXT NOT NULL,
        created_unix_ms BIGINT NOT NULL,
        disabled_unix_ms BIGINT,
        CONSTRAINT principal_pk PRIMARY KEY (principal_id),
        CONSTRAINT principal_name UNIQUE (name_key),
        CONSTRAINT principal_role_known CHECK (role IN ('viewer', 'operator', 'owner'))
    )""",
    """CREATE TABLE admin_token (
        token_id TEXT NOT NULL,
        principal_id TEXT NOT NULL,
        digest BLOB NOT NULL,
        hint TEXT NOT NULL,
        created_unix_ms BIGINT NOT NULL,
        expires_unix_ms BIGINT,
        revoked_unix_ms BIGINT,
        CONSTRAINT admin_token_pk PRIMARY KEY (token_id),
        CONSTRAINT admin_token_digest UNIQUE (digest),
        CONSTRAINT admin_token_digest_whole CHECK (length(digest) = 32),
        CONSTRAINT admin_token_owner FOREIGN KEY (principal_id) REFERENCES principal (principal_id)
    )""",
    "CREATE INDEX admin_token_by_principal ON admin_token (principal_id, token_id)",
    """CREATE TABLE join_token (
        token_id TEXT NOT NULL,
        digest BLOB NOT NULL,
        project_ids TEXT NOT NULL,
        region TEXT NOT NULL,
        created_by TEXT NOT NULL,
        created_unix_ms BIGINT NOT NULL,
        expires_unix_ms BIGINT NOT NULL,
        used_unix_ms BIGINT,
        credential_digest BLOB,
        sidecar_id TEXT,
        CONSTRAINT join_token_pk PRIMARY KEY (token_id),
        CONSTRAINT join_token_digest UNIQUE (digest),
        CONSTRAINT join_token_used_once CHECK (
            (used_unix_ms IS NULL) = (credential_digest IS NULL)
            AND (used_unix_ms IS NULL) = (sidecar_id IS NULL)
        )
    )""",
    """CREATE TABLE audit (
        position BIGINT NOT NULL,
        at_unix_ms BIGINT NOT NULL,
        actor TEXT NOT NULL,
        method TEXT NOT NULL,
        resource TEXT NOT NULL,
        project_id TEXT NOT NULL,
        detail_json TEXT NOT NULL,
        request_id TEXT NOT NULL,
        CONSTRAINT audit_pk PRIMARY KEY (position)
    )""",
    "CREATE INDEX audit_by_project ON audit (project_id, position)",
    """CREATE TABLE request (
        principal_id TEXT NOT NULL,
        request_id TEXT NOT NULL,
        method TEXT NOT NULL,
        body_sha256 BLOB NOT NULL,
        answer BLOB NOT NULL,
        created_unix_ms BIGINT NOT NULL,
        CONSTRAINT request_pk PRIMARY KEY (principal_id, request_id)
    )""",
    "CREATE INDEX request_by_age ON request (created_unix_ms)",
)
