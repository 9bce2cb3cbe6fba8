"""What the desk needs: sessions, links, clients who see their own project alone.

A principal with a project is a client of the agency, whatever its role column says: a viewer of
that project and of nothing else.
"""

STATEMENTS = (
    "ALTER TABLE principal ADD COLUMN project_id TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE cap_change ADD COLUMN policy_version BIGINT NOT NULL DEFAULT 0",
    """CREATE TABLE web_session (
        digest BLOB NOT NULL,
        principal_id TEXT NOT NULL,
        token_id TEXT NOT NULL,
        created_unix_ms BIGINT NOT NULL,
        used_unix_ms BIGINT NOT NULL,
        CONSTRAINT web_session_pk PRIMARY KEY (digest),
        CONSTRAINT web_session_digest_whole CHECK (length(digest) = 32),
        CONSTRAINT web_session_owner FOREIGN KEY (principal_id) REFERENCES principal (principal_id)
    )""",
    "CREATE INDEX web_session_by_principal ON web_session (principal_id, created_unix_ms)",
    """CREATE TABLE sign_in_link (
        digest BLOB NOT NULL,
        principal_id TEXT NOT NULL,
        created_unix_ms BIGINT NOT NULL,
        expires_unix_ms BIGINT NOT NULL,
        CONSTRAINT sign_in_link_pk PRIMARY KEY (digest),
        CONSTRAINT sign_in_link_digest_whole CHECK (length(digest) = 32),
        CONSTRAINT sign_in_link_owner FOREIGN KEY (principal_id)
            REFERENCES principal (principal_id)
    )""",
    """CREATE TABLE share_link (
        link_id TEXT NOT NULL,
        digest BLOB NOT NULL,
        project_id TEXT NOT NULL,
        created_by TEXT NOT NULL,
        created_unix_ms BIGINT NOT NULL,
        expires_unix_ms BIGINT NOT NULL,
        revoked_unix_ms BIGINT,
        view_count BIGINT NOT NULL,
        viewed_unix_ms BIGINT,
        CONSTRAINT share_link_pk PRIMARY KEY (link_id),
        CONSTRAINT share_link_digest UNIQUE (digest),
        CONSTRAINT share_link_digest_whole CHECK (length(digest) = 32),
        CONSTRAINT share_link_project FOREIGN KEY (project_id) REFERENCES project (project_id)
    )""",
    "CREATE INDEX share_link_by_project ON share_link (project_id, link_id)",
)
