"""The `bursar` command: one file per noun, and `up`, which starts everything as child processes."""
