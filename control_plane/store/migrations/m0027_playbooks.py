"""The agency's own playbooks, every version, and what was said of steps."""

_PLAYBOOK = """
CREATE TABLE playbook (
  name TEXT NOT NULL,
  version BIGINT NOT NULL CHECK (version >= 1),
  toml TEXT NOT NULL,
  author TEXT NOT NULL,
  applied_unix_ms BIGINT NOT NULL,
  PRIMARY KEY (name, version)
)
"""

_MARK = """
CREATE TABLE playbook_mark (
  playbook TEXT NOT NULL,
  step_id TEXT NOT NULL,
  project_id TEXT NOT NULL,
  month TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('DONE', 'WAIVED')),
  marked_by TEXT NOT NULL,
  marked_unix_ms BIGINT NOT NULL,
  note TEXT NOT NULL,
  PRIMARY KEY (project_id, playbook, month, step_id)
)
"""

STATEMENTS = (_PLAYBOOK, _MARK)
