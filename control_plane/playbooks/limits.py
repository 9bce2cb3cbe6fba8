"""Bounds of playbooks, each with its unit."""

PLAYBOOKS_MAX = 50
"""Playbooks of an agency's own."""
PLAYBOOK_VERSIONS_MAX = 1_000
"""Versions of one of them; all are kept."""
PLAYBOOK_BYTES_MAX = 32_768
"""Size of a playbook's file."""
PLAYBOOK_STEPS_MAX = 100
"""Steps of one playbook."""
PLAYBOOK_ID_CHARACTERS_MAX = 40
"""Longest id of a playbook or a step."""
PLAYBOOK_TEXT_CHARACTERS_MAX = 300
"""Longest text of a step."""

assert PLAYBOOK_ID_CHARACTERS_MAX < PLAYBOOK_TEXT_CHARACTERS_MAX < PLAYBOOK_BYTES_MAX
